// `baseline learn`: starts and ends a learning run, and shows its progress and what it has found.
import { uptime } from "node:os";
import {
  isSettled,
  type LearningState,
  perHourAt,
  secondsLeft,
  seenWhole,
} from "../../baseline/learning-state.ts";
import { LEARN_LIMIT } from "../../baseline/warden-request.ts";
import { durationText } from "../../vocabulary/duration.ts";
import { wholeSeconds } from "../duration-options.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { askWarden, leaveRequest, noWardenRuns, requestWardenOrFail } from "../request-warden.ts";
import { readRows, withoutForeign } from "./candidates.ts";
import { jsonLine, nowSeconds } from "./entry-output.ts";
import { type EntryFilterFlags, entryCounts, entryListing } from "./entry-tree.ts";
import type { BaselineHost } from "./host.ts";
import { proposalOf } from "./proposal.ts";
import { readLearning } from "./store.ts";

export interface LearnFlags extends EntryFilterFlags {
  readonly for?: string;
  readonly stop?: boolean;
  readonly show?: boolean;
  readonly output: OutputFormat;
}

export async function learn(flags: LearnFlags, host: BaselineHost): Promise<void> {
  if ([flags.for !== undefined, flags.stop, flags.show].filter(Boolean).length > 1)
    throw new CommandError(exitCodes.usage, "--for, --stop and --show: only one of them");
  if (flags.show) {
    await show(flags, host);
    return;
  }
  const filters = { "--unit": flags.unit, "--tree": flags.tree, "--new": flags.new };
  for (const [option, value] of Object.entries(filters))
    if (value !== undefined) throw new CommandError(exitCodes.usage, `${option} needs --show`);
  if (flags.stop) {
    await stop(host);
    return;
  }
  const seconds = learnSeconds(flags.for);
  requestWardenOrFail(host.stateDirectory, { kind: "learn", seconds });
  warn(seconds === null ? "the warden learns until it is stopped" : `the warden learns for ${flags.for}`);
  hint("see how far it is with: treewarden baseline learn --show");
}

/** Ends the learning run; returns once `accept` finds it ended. */
async function stop({ stateDirectory }: BaselineHost): Promise<void> {
  const answer = await askWarden(stateDirectory, { kind: "stop-learning" });
  if (answer === undefined) throw noWardenRuns(stateDirectory);
  const phase = readLearning(stateDirectory)?.phase;
  if (phase === undefined || phase === "watching")
    throw new CommandError(
      exitCodes.no,
      "no learning run is under way",
      "start with: treewarden baseline learn --for 24h",
    );
  if (phase === "learning")
    throw new CommandError(
      exitCodes.fault,
      `the learning run has ended, but its state could not be written to ${stateDirectory}`,
      "if the disk is full, make room: the warden tries again every 2 seconds",
    );
  warn("the learning run has ended");
  hint("show what it found: treewarden baseline learn --show");
}

/** What `--for` means: seconds, null without it. */
export function learnSeconds(text: string | undefined): number | null {
  const seconds = text === undefined ? null : wholeSeconds(text, "--for");
  if (seconds !== null && seconds > LEARN_LIMIT)
    throw new CommandError(exitCodes.usage, `--for ${text}: longer than a year`);
  return seconds;
}

/** Has the next warden learn, unless one that goes on already is gone on with. */
export function learnFromStart(stateDirectory: string, seconds: number | null): void {
  if (readLearning(stateDirectory)?.phase !== "learning")
    leaveRequest(stateDirectory, { kind: "learn", seconds });
}

async function show(flags: LearnFlags, host: BaselineHost): Promise<void> {
  const state = readLearning(host.stateDirectory);
  if (state === undefined)
    throw new CommandError(
      exitCodes.no,
      "nothing was learned yet",
      "start with: treewarden baseline learn --for 24h",
    );
  const now = nowSeconds();
  const { output: format } = flags;
  process.stdout.write(format === "json" ? stateJson(state, now) : stateText(state, now));
  // Without a learning run nothing is proposed: what the baseline does not know is for compare and review.
  if (state.phase === "watching") return;
  const rows = withoutForeign(await readRows(host.stateDirectory));
  const { entries, known, hidden } = proposalOf(rows, state, flags, host.stateDirectory);
  process.stdout.write(entryListing(entries, known, format, "baseline.learned"));
  if (format === "json") return;
  warn(`${entryCounts(entries, known)}; nothing is in force before: treewarden baseline accept`);
  if (hidden > 0) hint(`${hidden} more are hidden by exclusions: treewarden baseline exclude list`);
}

function stateJson(state: LearningState, now: number): string {
  const left = secondsLeft(state, now);
  return jsonLine("baseline.learning", {
    "baseline.phase": state.phase,
    "baseline.learning.seconds": (state.ended ?? now) - state.started,
    ...(left === undefined ? {} : { "baseline.learning.left": left }),
    "baseline.learning.losses": state.losses,
    "baseline.seen_whole": seenWhole(state, now),
    "baseline.learning.missed": state.missed,
    "baseline.learning.uncertain": state.uncertain,
    "baseline.learning.unreadable": state.unreadable,
    "baseline.trees": state.trees,
    "baseline.new_per_hour": perHourAt(state, now),
    "baseline.settled": isSettled(state, now),
    "system.uptime": Math.round(uptime()),
  });
}

function stateText(state: LearningState, now: number): string {
  const left = secondsLeft(state, now);
  const lines = [
    `this host is up for ${durationText(uptime())}`,
    `${state.phase === "learning" ? "learning for" : `${state.phase} after`} ${durationText((state.ended ?? now) - state.started)}${left === undefined ? "" : `, ${durationText(left)} to go`}`,
    `${state.trees} trees${state.phase === "learning" ? "" : ", with those found since"}; new in each of the last hours: ${perHourAt(state, now).join(" ")}`,
    isSettled(state, now) ? "settled: no new tree for hours" : "not settled yet",
  ];
  if (state.losses > 0) lines.push(lossText(state, now));
  if (state.missed > 0)
    lines.push(`${state.missed} executions were not learned, because the table of trees was full`);
  if (state.unreadable > 0)
    lines.push(`${state.unreadable} ${state.unreadable === 1 ? "program" : "programs"} could not be read`);
  return lines.map((line) => `${line}\n`).join("");
}

/** What losses mean for what was learned. */
export function lossText(state: LearningState, now: number): string {
  const times = state.losses === 1 ? "once" : `${state.losses} times`;
  const percent = Math.floor(seenWhole(state, now) * 1000) / 10;
  return (
    `events were lost ${times}: ${percent} % of the time was seen whole; ` +
    `${state.uncertain} executions of the rest were not learned, and are new when they run again`
  );
}
