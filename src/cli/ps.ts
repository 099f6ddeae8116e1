// `treewarden ps`: shows the current forest.
import { Command } from "commander";
import { treeOf } from "../fingerprint/tree.ts";
import { bootTimeMs, wallClockOffset } from "../linux/clock.ts";
import { printable } from "../linux/text.ts";
import { type Snapshot, takeSnapshot } from "../offline/snapshot.ts";
import { records } from "../report/records.ts";
import { recordUids } from "../report/stamp.ts";
import { readUserNames } from "../warden/user-names.ts";
import { execSubject } from "../warden/verdict-handler.ts";
import { configOption, type HostFlags, hostBase, hostConfig, stateDirOption } from "./host-settings.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";

interface PsFlags extends HostFlags {
  readonly output: OutputFormat;
}

export function psCommand(): Command {
  return new Command("ps")
    .description("show every process with its label and tree")
    .addOption(outputOption())
    .addOption(configOption())
    .addOption(stateDirOption())
    .action((flags: PsFlags) => {
      const config = hostConfig(flags);
      const snapshot = takeSnapshot(config.state_directory, hostBase(config));
      process.stdout.write(flags.output === "json" ? json(snapshot) : pretty(snapshot));
    });
}

function json({ found, time }: Snapshot): string {
  const wallOffset = wallClockOffset();
  const inputs = { bootTimeMs: bootTimeMs(), userName: readUserNames() };
  const stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  let text = "";
  for (const { process, facts } of byPid(found)) {
    const exec = {
      process,
      facts,
      tree: treeOf(process.lineage),
      source: "procfs",
      time,
      event: undefined,
    } as const;
    text += `${JSON.stringify(records.exec(execSubject(exec, wallOffset, inputs), "process.exec", stamp))}\n`;
  }
  return text;
}

function pretty({ found }: Snapshot): string {
  const userName = readUserNames();
  const rows = [["PID", "USER", "LABEL", "TREE"]];
  for (const { process, facts } of byPid(found)) {
    // Kernel threads are left out: there are hundreds of them, all with the same tree.
    if (process.kernelThread) continue;
    const tree = treeOf(process.lineage);
    const user = facts.uid === undefined ? "?" : (userName(facts.uid) ?? String(facts.uid));
    const mark = tree.complete ? "" : "  (incomplete)";
    rows.push([String(process.pid), printable(user), process.lineage.program.label, `${tree.path}${mark}`]);
  }
  const width = (column: number): number =>
    Math.min(24, Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const widths = [width(0), width(1), width(2)];
  return rows
    .map(
      ([pid, user, label, tree]) =>
        `${(pid ?? "").padStart(widths[0] ?? 0)}  ${(user ?? "").padEnd(widths[1] ?? 0)}  ${(label ?? "").padEnd(widths[2] ?? 0)}  ${tree ?? ""}\n`,
    )
    .join("");
}

function byPid<T extends { readonly process: { readonly pid: number } }>(found: readonly T[]): T[] {
  return [...found].sort((a, b) => a.process.pid - b.process.pid);
}
