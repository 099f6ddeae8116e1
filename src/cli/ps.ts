// `treewarden ps`: shows the current forest.
import { existsSync } from "node:fs";
import { Command } from "commander";
import { treeOf } from "../fingerprint/tree.ts";
import type { FoundProcess } from "../forest/forest.ts";
import { unitOf } from "../linux/cgroup-names.ts";
import { bootTimeMs, wallClockOffset } from "../linux/clock.ts";
import { printable } from "../linux/text.ts";
import { type Snapshot, takeSnapshot } from "../offline/snapshot.ts";
import { localTime } from "../report/local-time.ts";
import { records } from "../report/records.ts";
import { recordUids } from "../report/stamp.ts";
import { creationTime } from "../vocabulary/process-key.ts";
import { readUserNames } from "../warden/user-names.ts";
import { execSubject } from "../warden/verdict-handler.ts";
import {
  configOption,
  type HostFlags,
  hostBase,
  hostConfigOrLastGood,
  stateDirOption,
} from "./host-settings.ts";
import { knowledgeReader } from "./knowledge-reader.ts";
import { openJournal } from "./open-journal.ts";
import { CommandError, hint, warn } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { judgedProcesses, processText } from "./ps/recent-verdicts.ts";
import { type TreeRow, treeLines } from "./ps/tree-lines.ts";

interface PsFlags extends HostFlags {
  readonly output: OutputFormat;
  readonly tree?: boolean;
}

const HOUR_MS = 3_600_000;

const examples = `
Examples:
  treewarden ps                  every process with its label and tree
  treewarden ps --tree           who started whom; * not in the baseline, ! a verdict in the last hour
  treewarden ps --output json    one object per process, with all that rules can name
`;

export function psCommand(): Command {
  return new Command("ps")
    .description("show every process with its label and tree")
    .option("--tree", "show who started whom, with start, unit and arguments")
    .addOption(outputOption())
    .addOption(configOption())
    .addOption(stateDirOption())
    .addHelpText("after", examples)
    .action((flags: PsFlags) => {
      const { config } = hostConfigOrLastGood(flags);
      warnOfMissingState(flags);
      const snapshot = takeSnapshot(config.state_directory, hostBase(config));
      if (flags.output === "json") process.stdout.write(json(snapshot, config.state_directory));
      else if (flags.tree === true) printTree(snapshot, config.state_directory);
      else process.stdout.write(pretty(snapshot));
    });
}

/** Warns that lineages come from /proc alone, if the state directory that was named does not exist. */
function warnOfMissingState({ stateDir }: PsFlags): void {
  if (stateDir === undefined || existsSync(stateDir)) return;
  warn(`there is no state directory ${stateDir}: lineages are as /proc has them now`);
}

function json({ found, time }: Snapshot, stateDirectory: string): string {
  const wallOffset = wallClockOffset();
  const inputs = { bootTimeMs: bootTimeMs(), userName: readUserNames() };
  const stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  const knowledgeOf = knowledgeReader(stateDirectory);
  let text = "";
  for (const entry of byPid(found)) {
    const { process, facts } = entry;
    const tree = treeOf(process.lineage);
    const exec = { process, facts, tree, source: "procfs", time, event: undefined } as const;
    const subject = execSubject(exec, wallOffset, inputs, knowledgeOf(entry));
    text += `${JSON.stringify(records.exec(subject, "process.exec", stamp))}\n`;
  }
  return text;
}

function printTree({ found }: Snapshot, stateDirectory: string): void {
  const userName = readUserNames();
  const boot = bootTimeMs();
  const knowledgeOf = knowledgeReader(stateDirectory);
  // Opened last, because this process has no rights of root's afterwards.
  const verdicts = recentVerdicts(stateDirectory);
  const marks = { unknown: 0, verdicts: 0 };
  const describe = (entry: FoundProcess): TreeRow => {
    const { process, facts } = entry;
    const created = creationTime(process, boot);
    const isUnknown = knowledgeOf(entry).known === false;
    const hasVerdict = verdicts?.has(processText(process.pid, created)) === true;
    marks.unknown += isUnknown ? 1 : 0;
    marks.verdicts += hasVerdict ? 1 : 0;
    const unit = facts.cgroup === undefined ? "?" : unitOf(facts.cgroup);
    const user = facts.uid === undefined ? "?" : (userName(facts.uid) ?? String(facts.uid));
    const start = localTime(created)?.replace(/\.\d+/, "") ?? "?";
    return { isUnknown, hasVerdict, user: printable(user), start, unit: printable(unit ?? "-") };
  };
  const columns = process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY;
  process.stdout.write(`${treeLines(found, describe, columns).join("\n")}\n`);
  if (marks.unknown > 0) hint(`* not in the baseline (${marks.unknown}): treewarden baseline compare`);
  if (marks.verdicts > 0)
    hint(`! a verdict in the last hour (${marks.verdicts}): treewarden events --since 1h`);
  if (verdicts === undefined) hint("verdicts are not marked: the journal cannot be read");
}

/** Undefined if there is no journal that this user may read. */
function recentVerdicts(stateDirectory: string): ReadonlySet<string> | undefined {
  try {
    using journal = openJournal(stateDirectory);
    return judgedProcesses(journal, Date.now() - HOUR_MS);
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
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
