// `treewarden replay F --policy P`: the verdicts that the policy would have given.
import { Command, Option } from "commander";
import { Baseline } from "../baseline/baseline.ts";
import { readBaseline } from "../baseline/baseline-file.ts";
import { PipeWriter } from "../linux/pipe-writer.ts";
import { printable } from "../linux/text.ts";
import { type ReplayResult, replay } from "../offline/replay.ts";
import type { RoleBaseline } from "../policy/role-baseline.ts";
import type { EventRecord } from "../report/event-record.ts";
import { prettyLine } from "../report/pretty.ts";
import { CaptureInput } from "../sensor/capture/file.ts";
import { type Capture, openCapture } from "../sensor/capture/read.ts";
import { refusal } from "./capture-errors.ts";
import { readError } from "./file-errors.ts";
import {
  configOption,
  type HostFlags,
  hostBase,
  hostConfig,
  policyOption,
  policyToTry,
  stateDirOption,
} from "./host-settings.ts";
import { CommandError, exitCodes, hint, mayColour, warn } from "./output.ts";

interface ReplayFlags extends HostFlags {
  readonly output?: "json" | "pretty";
}

export function replayCommand(): Command {
  return new Command("replay")
    .description("show the verdicts that a policy would have given on a capture")
    .argument("<capture>", "file that treewarden record has made")
    .addOption(policyOption())
    .addOption(configOption())
    .addOption(stateDirOption())
    .addOption(
      new Option("--output <format>", "default: pretty on a terminal, else json").choices(["json", "pretty"]),
    )
    .action((file: string, flags: ReplayFlags) => replayFile(file, flags));
}

function replayFile(file: string, flags: ReplayFlags): void {
  const config = hostConfig(flags);
  const { policy, baselines } = policyToTry(flags, config);
  using input = openInput(file);
  const opened = guarded(file, () => openCapture(input.read));
  if (!opened.ok) throw refusal(file, opened.problem);
  const isJson = (flags.output ?? (process.stdout.isTTY ? "pretty" : "json")) === "json";
  const colour = mayColour(process.stdout);
  const output = new PipeWriter();
  const onRecord = (record: EventRecord): void =>
    output.write(isJson ? `${JSON.stringify(record)}\n` : prettyLine(record, colour));
  const result = guarded(file, () =>
    replay(opened.capture, { policy, base: hostBase(config), known: knownOf(baselines), onRecord }),
  );
  if (!output.flush()) return;
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
