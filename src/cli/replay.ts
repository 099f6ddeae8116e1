// `treewarden replay F`: the warden's verdicts again, or with --policy P those that P would have given.
import { Command } from "commander";
import { PipeWriter } from "../linux/pipe-writer.ts";
import { type ReplayResult, replay } from "../offline/replay.ts";
import { isAction } from "../policy/schema.ts";
import type { EventRecord } from "../report/event-record.ts";
import { prettyLine } from "../report/pretty.ts";
import { CaptureInput } from "../sensor/capture/capture-file.ts";
import { type Capture, openCapture } from "../sensor/capture/capture-reader.ts";
import { isSeverity } from "../vocabulary/severities.ts";
import { refusal, warnOfEnd } from "./capture-errors.ts";
import { readError } from "./file-errors.ts";
import { configOption, type HostFlags, hostConfig, policyToTry } from "./host-settings.ts";
import { CommandError, exitCodes, mayColour, warn } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { printImpacts, reportImpacts } from "./policy/impact.ts";
import { ImpactTally } from "./policy/impact-tally.ts";

interface ReplayFlags extends HostFlags {
  readonly output: OutputFormat;
  readonly summary?: boolean;
}

/** Rules that are named in the summary. */
const UNDECIDED_SHOWN = 20;

export function replayCommand(): Command {
  return new Command("replay")
    .description("show the verdicts of a capture again, or those that another policy would have given")
    .argument("<capture>", "file that treewarden record has made")
    .option(
      "--policy <role-or-file>",
      "policy to judge by; may be repeated (default: the capture's, else the configuration's)",
      (value: string, earlier: readonly string[] | undefined) => [...(earlier ?? []), value],
    )
    .option("--summary", "count verdicts by rule, unit and tree; exit code 1 as that of policy impact")
    .addOption(configOption())
    .addOption(outputOption())
    .action((file: string, flags: ReplayFlags) => replayFile(file, flags));
}

function replayFile(file: string, flags: ReplayFlags): void {
  using input = openInput(file);
  const opened = guarded(file, () => openCapture(input.read));
  if (!opened.ok) throw refusal(file, opened.problem);
  const { capture } = opened;
  const hasPolicy = capture.header.madeBy === "warden";
  const other = hasPolicy && flags.policy === undefined ? undefined : policyToTry(flags, hostConfig(flags));
  const isJson = flags.output === "json";
  const colour = mayColour(process.stdout);
  const output = new PipeWriter();
  const tally = new ImpactTally();
  const onRecord = (record: EventRecord): void => {
    if (flags.summary === true) addVerdict(tally, record, hasPolicy);
    else output.write(isJson ? `${JSON.stringify(record)}\n` : prettyLine(record, colour));
  };
  const result = guarded(file, () => replay(capture, onRecord, other));
  if (flags.summary === true) printImpacts(tally, flags.output);
  else if (!output.flush()) return;
  summarise(capture, result);
  if (result.end.kind === "damaged") throw refusal(file, result.end);
  warnOfEnd(file, result.end, "these are the verdicts on what is before that");
  if (flags.summary === true) reportImpacts(tally);
}

/** `fromWarden`: the capture has the baseline of its host, if there was one. */
function addVerdict(tally: ImpactTally, record: EventRecord, fromWarden: boolean): void {
  const { "policy.action": action, "policy.severity": severity, "tree.known": known } = record;
  if (!isAction(action) || !isSeverity(severity)) return;
  tally.add({
    decision: {
      action,
      severity,
      rule: String(record["security_rule.name"]),
      ruleset: String(record["security_rule.ruleset.name"]),
      // They are counted for all programs, also for those that were allowed.
      undecided: [],
    },
    record,
    known: typeof known === "boolean" ? known : known === null || !fromWarden ? null : undefined,
    source: "records",
    count: 1,
  });
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
    `${events} events of ${hostName} (Linux ${kernel}), ${tally.judged} programs: ${kill} kill, ${alert} alert, ${allow} allow`,
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
