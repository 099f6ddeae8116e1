// `treewarden replay F`: the warden's verdicts again, or with --policy P those that P would have given.
import { Command, Option } from "commander";
import { writeDescriptor } from "../linux/descriptor.ts";
import { SystemCallError } from "../linux/libc.ts";
import { printable } from "../linux/text.ts";
import { type ReplayResult, replay } from "../offline/replay.ts";
import type { EventRecord } from "../report/event-record.ts";
import { CaptureInput } from "../sensor/capture/capture-file.ts";
import { type Capture, openCapture } from "../sensor/capture/capture-reader.ts";
import { refusal, warnOfEnd } from "./capture-errors.ts";
import { readError } from "./file-errors.ts";
import { CommandError, exitCodes, warn } from "./output.ts";
import { policyOrError } from "./policies.ts";

interface ReplayFlags {
  readonly policy?: readonly string[];
  readonly output?: "json" | "pretty";
}

/** Lines are gathered to this many characters before they are written. */
const GATHER = 64 * 1024;
/** Rules that are named in the summary. */
const UNDECIDED_SHOWN = 20;

export function replayCommand(): Command {
  return new Command("replay")
    .description("show the verdicts of a capture again, or those that another policy would have given")
    .argument("<capture>", "file that treewarden record has made")
    .option(
      "--policy <role-or-file>",
      "policy to judge by, may be repeated (default: the one in a capture that the warden made)",
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .action((file: string, flags: ReplayFlags) => replayFile(file, flags));
}

function replayFile(file: string, flags: ReplayFlags): void {
  const other =
    flags.policy === undefined ? undefined : policyOrError({ policies: flags.policy, policy_keys: [] });
  using input = openInput(file);
  const opened = guarded(file, () => openCapture(input.read));
  if (!opened.ok) throw refusal(file, opened.problem);
  if (other === undefined && opened.capture.header.madeBy === "record") {
    throw new CommandError(
      exitCodes.usage,
      `${file} holds no policy: record made it without a warden`,
      "name a policy with --policy",
    );
  }
  const format = (flags.output ?? (process.stdout.isTTY ? "pretty" : "json")) === "json" ? json : pretty;
  const out = new Output();
  const tell = (record: EventRecord): void => out.line(format(record));
  const result = guarded(file, () => replay(opened.capture, tell, other));
  out.flush();
  if (out.closed) return;
  summarise(opened.capture, result);
  if (result.end.kind === "damaged") throw refusal(file, result.end);
  warnOfEnd(file, result.end, "these are the verdicts on what is before that");
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
  const { hostName, kernel, redacted } = capture.header;
  warn(
    `${events} events of ${printable(hostName)} (Linux ${printable(kernel)}), ${tally.judged} programs: ${kill} kill, ${alert} alert, ${allow} allow`,
  );
  if (tally.lost > 0 || tally.lossesUncounted > 0) {
    const more = tally.lossesUncounted === 0 ? "" : `, and ${tally.lossesUncounted} times an unknown number`;
    warn(`${tally.lost} events were lost while it was recorded${more}: what they were is not judged`);
  }
  if (redacted)
    warn("its arguments were redacted, so rules on arguments may decide otherwise than on the host");
  const undecided = [...tally.undecided].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  if (undecided.length === 0) return;
  const shown = undecided.slice(0, UNDECIDED_SHOWN).map(([rule, times]) => `${rule} (${times})`);
  if (undecided.length > shown.length) shown.push(`and ${undecided.length - shown.length} more`);
  warn(`undecided, because they name something that was not known: ${shown.join(", ")}`);
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
  const at = (name: string): string => String(record[name] ?? "?");
  const rule = `${at("security_rule.ruleset.name")}/${at("security_rule.name")}`;
  const user = record["process.user.name"] ?? record["process.user.id"] ?? "?";
  return `${at("timestamp")}  ${at("policy.outcome")}  ${at("policy.severity")}  ${rule}  ${user}  pid ${at("process.pid")}  ${at("tree.path")}\n`;
}
