// `treewarden replay F --policy P`: the verdicts that the policy would have given.
import { Command, Option } from "commander";
import { Baseline } from "../baseline/baseline.ts";
import { readBaseline } from "../baseline/baseline-file.ts";
import { writeDescriptor } from "../linux/descriptor.ts";
import { SystemCallError } from "../linux/libc.ts";
import { printable } from "../linux/text.ts";
import { type ReplayResult, replay } from "../offline/replay.ts";
import type { RoleBaseline } from "../policy/role-baseline.ts";
import type { EventRecord } from "../report/event-record.ts";
import { CaptureInput } from "../sensor/capture/file.ts";
import { type Capture, openCapture } from "../sensor/capture/read.ts";
import type { VariableName } from "../vocabulary/variables.ts";
import { refusal } from "./capture-errors.ts";
import { readError } from "./file-errors.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";
import { policyOrError } from "./policies.ts";

interface ReplayFlags {
  readonly policy: readonly string[];
  readonly output?: "json" | "pretty";
}

/** Lines are gathered to this many characters before they are written. */
const GATHER = 64 * 1024;

export function replayCommand(): Command {
  return new Command("replay")
    .description("show the verdicts that a policy would have given on a capture")
    .argument("<capture>", "file that treewarden record has made")
    .requiredOption(
      "--policy <role-or-file>",
      "policy to judge by; more than one: all of them",
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .action((file: string, flags: ReplayFlags) => replayFile(file, flags));
}

function replayFile(file: string, flags: ReplayFlags): void {
  const { policy, baselines } = policyOrError({ policies: [...flags.policy], policy_keys: [] });
  using input = openInput(file);
  const opened = guarded(file, () => openCapture(input.read));
  if (!opened.ok) throw refusal(file, opened.problem);
  const format = (flags.output ?? (process.stdout.isTTY ? "pretty" : "json")) === "json" ? json : pretty;
  const out = new Output();
  const tell = (record: EventRecord): void => out.line(format(record));
  const result = guarded(file, () => replay(opened.capture, policy, tell, knownOf(baselines)));
  out.flush();
  if (out.closed) return;
  summarise(opened.capture, result);
  if (result.end.kind === "damaged") throw refusal(file, result.end);
  if (result.end.kind === "cut") {
    warn(`${file}: cut at byte ${result.end.at}: these are the verdicts on what is whole before it`);
  }
}

/** What comes with the roles, as a warden without a baseline of its own knows it. */
function knownOf(baselines: readonly RoleBaseline[]): Baseline | undefined {
  if (baselines.length === 0) return undefined;
  const known = new Baseline();
  for (const { bytes } of baselines) readBaseline(bytes, (entry) => known.add(entry));
  return known;
}

function openInput(file: string): CaptureInput {
  try {
    return new CaptureInput(file);
  } catch (error) {
    throw new CommandError(exitCodes.usage, readError("capture", file, error));
  }
}

/** Errors of the file system, met while reading, are the file's and not treewarden's. */
function guarded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && "syscall" in error && error.syscall === "read") {
      throw new CommandError(exitCodes.usage, readError("capture", file, error));
    }
    throw error;
  }
}

function summarise(capture: Capture, { events, tally }: ReplayResult): void {
  const { kill, alert, allow } = tally.verdicts;
  const { host_name, kernel } = capture.header;
  warn(
    `${events} events of ${printable(host_name)} (Linux ${printable(kernel)}), ${tally.judged} programs: ${kill} kill, ${alert} alert, ${allow} allow`,
  );
  if (tally.lost > 0 || tally.lossesUncounted > 0) {
    const more = tally.lossesUncounted === 0 ? "" : `, and ${tally.lossesUncounted} times an unknown number`;
    warn(`${tally.lost} events were lost while it was recorded${more}: what they were is not judged`);
  }
  const [most] = [...tally.undecided].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  if (most !== undefined) {
    hint(
      `${tally.undecided.size} rules were undecided at times, ${most[0]} most often (${most[1]}): they name what was not known`,
    );
  }
}

/** Standard output, which must have everything before the process ends. */
class Output {
  /** Nobody reads any more. */
  closed = false;
  private pending = "";

  line(text: string): void {
    this.pending += text;
    if (this.pending.length >= GATHER) this.flush();
  }

  flush(): void {
    let bytes: Uint8Array = new TextEncoder().encode(this.pending);
    this.pending = "";
    try {
      while (bytes.length > 0 && !this.closed) {
        const put = writeDescriptor(1, bytes);
        if (put < 0) Bun.sleepSync(1);
        else bytes = bytes.subarray(put);
      }
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.closed = true;
    }
  }
}

function json(record: EventRecord): string {
  return `${JSON.stringify(record)}\n`;
}

function pretty(record: EventRecord): string {
  const at = (name: VariableName): string => String(record[name] ?? "?");
  const rule = `${at("security_rule.ruleset.name")}/${at("security_rule.name")}`;
  const user = record["process.user.name"] ?? record["process.user.id"] ?? "?";
  return `${at("timestamp")}  ${at("policy.outcome")}  ${at("policy.severity")}  ${rule}  ${user}  pid ${at("process.pid")}  ${at("tree.path")}\n`;
}
