// `baseline learn` and `baseline accept`: from what runs, to what may run.
import { hostname, uptime } from "node:os";
import { type BaselineEntry, diffEntries, mergeEntries, withHabits } from "../../baseline/entry.ts";
import { excludable } from "../../baseline/exclusions.ts";
import {
  isSettled,
  type LearningState,
  perHourAt,
  reasonNotToAccept,
  secondsLeft,
  seenWhole,
} from "../../baseline/learning-state.ts";
import { LEARN_LIMIT } from "../../baseline/warden-request.ts";
import { durationText } from "../../config/duration.ts";
import { unambiguous } from "../../linux/text.ts";
import { wholeSeconds } from "../duration-options.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { type CandidateRows, entriesOfRows, FOREIGN_HINT, foreignText, readRows } from "./candidates.ts";
import { jsonLine, nowSeconds } from "./entry-output.ts";
import type { BaselineHost } from "./host.ts";
import { isWardenRunning, leaveRequest, requestWarden, requestWardenOrFail } from "./request-warden.ts";
import {
  compiledExclusions,
  headerOf,
  readExclusions,
  readInForce,
  readLearning,
  writeInForce,
} from "./store.ts";

export interface LearnFlags {
  readonly for?: string;
  readonly stop?: boolean;
  readonly show?: boolean;
  readonly output: OutputFormat;
}

export function learn(flags: LearnFlags, host: BaselineHost): void {
  if ([flags.for !== undefined, flags.stop, flags.show].filter(Boolean).length > 1)
    throw new CommandError(exitCodes.usage, "--for, --stop and --show: only one of them");
  if (flags.show) {
    show(flags, host);
    return;
  }
  if (flags.stop) {
    requestWardenOrFail(host.stateDirectory, { kind: "stop-learning" });
    warn("the learning was told to stop");
    hint("see what it found with: treewarden baseline compare");
    return;
  }
  const seconds = learnSeconds(flags.for);
  requestWardenOrFail(host.stateDirectory, { kind: "learn", seconds });
  warn(
    seconds === null ? "the warden learns until it is told to stop" : `the warden learns for ${flags.for}`,
  );
  hint("see how far it is with: treewarden baseline learn --show");
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

function show(flags: LearnFlags, host: BaselineHost): void {
  const state = readLearning(host.stateDirectory);
  if (state === undefined)
    throw new CommandError(
      exitCodes.no,
      "nothing was learned yet",
      "start with: treewarden baseline learn --for 24h",
    );
  const now = nowSeconds();
  process.stdout.write(flags.output === "json" ? stateJson(state, now) : stateText(state, now));
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
    `${state.phase} for ${durationText((state.ended ?? now) - state.started)}${left === undefined ? "" : `, ${durationText(left)} to go`}`,
    `${state.trees} trees; new in each of the last hours: ${perHourAt(state, now).join(" ")}`,
    isSettled(state, now) ? "settled: no new tree for hours" : "not settled yet",
  ];
  if (state.losses > 0) lines.push(lossText(state, now));
  if (state.missed > 0)
    lines.push(`${state.missed} executions were not learned, because the table of trees was full`);
  if (state.unreadable > 0) lines.push(`${state.unreadable} programs could not be read`);
  return lines.map((line) => `${line}\n`).join("");
}

/** What losses mean for what was learned. */
function lossText(state: LearningState, now: number): string {
  const times = state.losses === 1 ? "once" : `${state.losses} times`;
  const percent = Math.floor(seenWhole(state, now) * 1000) / 10;
  return (
    `events were lost ${times}: ${percent} % of the time was seen whole; ` +
    `${state.uncertain} executions of the rest were not learned, and are new when they run again`
  );
}

export interface AcceptFlags {
  readonly role?: string;
  /** Takes complete trees only. */
  readonly strict?: boolean;
  readonly anyway?: boolean;
}

/** How long `accept` waits for trees that are on their way from the warden through the reporter to the disk. */
const ARRIVAL_MS = 5_000;
const RETRY_MS = 200;
/** Files whose content varies that `accept` names. */
const VARYING_SHOWN = 20;

/** The rows of the journal, once all trees that the warden has counted are among them, or after ARRIVAL_MS. */
async function readLearnedRows(
  { stateDirectory }: BaselineHost,
  state: LearningState,
): Promise<CandidateRows> {
  const end = performance.now() + ARRIVAL_MS;
  for (;;) {
    const found = readRows(stateDirectory);
    const isComplete = found.foreign > 0 || arrived(found, state) >= state.trees;
    if (isComplete || performance.now() >= end || !isWardenRunning(stateDirectory)) return found;
    await Bun.sleep(RETRY_MS);
  }
}

/** The number of trees of this learning run. */
function arrived({ rows }: CandidateRows, { id }: LearningState): number {
  return rows.filter(({ learning }) => learning === id).length;
}

/** Refuses rows that the reporter has made up, and a journal from which it has removed some. */
function checkRows(found: CandidateRows, state: LearningState, { anyway }: AcceptFlags): void {
  const missing = state.trees - arrived(found, state);
  const problems = [
    ...(found.foreign > 0 ? [{ problem: foreignText(found.foreign), fix: FOREIGN_HINT }] : []),
    ...(missing > 0
      ? [{ problem: `${missing} of ${state.trees} learned trees are not in the journal`, fix: "learn again" }]
      : []),
  ];
  const [first] = problems;
  if (first === undefined) return;
  const lines = problems.map(({ problem }) => `not accepted: ${problem}`);
  if (anyway !== true)
    throw new CommandError(exitCodes.no, lines, `${first.fix}; --anyway accepts the others`);
  warn(...problems.map(({ problem }) => `left out: ${problem}`));
}

/** The paths whose content varied while learning: the first of them, and how many more there are. */
function varyingLines(entries: readonly BaselineEntry[]): readonly string[] {
  const paths = [...new Set(entries.flatMap(({ contents, path }) => (contents === "varies" ? [path] : [])))];
  const shown = paths.slice(0, VARYING_SHOWN).map((path) => `${path} varies: its content is never compared`);
  const more = paths.length - shown.length;
  return more > 0 ? [...shown, `${more} more files vary: treewarden baseline export`] : shown;
}

/** Puts into force what was learned. What was first seen after the learning had ended is for compare and review. */
export async function accept(flags: AcceptFlags, host: BaselineHost): Promise<void> {
  const state = readLearning(host.stateDirectory);
  if (state === undefined || state.phase === "watching")
    throw new CommandError(
      exitCodes.no,
      "nothing was learned yet",
      "start with: treewarden baseline learn --for 24h",
    );
  const reason = reasonNotToAccept(state);
  if (reason !== undefined && flags.anyway !== true)
    throw new CommandError(exitCodes.no, `not accepted: ${reason}`, "continue learning, or use --anyway");
  const before = readInForce(host.stateDirectory);
  const exclusions = compiledExclusions(readExclusions(host.stateDirectory));
  const now = nowSeconds();
  const end = state.ended ?? now;
  const learnedRows = await readLearnedRows(host, state);
  checkRows(learnedRows, state, flags);
  const rows = entriesOfRows(learnedRows.rows);
  // A row begins with its learning: one that began before was an alarm then, and is not taken because it is old.
  const ofRun = entriesOfRows(learnedRows.rows.filter(({ learning }) => learning === state.id));
  const inTime = mergeEntries([ofRun.filter(({ first }) => first >= state.started && first <= end)], false);
  const visible = inTime.filter((entry) => exclusions.hides(excludable(entry), now) === undefined);
  const learned = flags.strict === true ? visible.filter(({ complete }) => complete) : visible;
  if (learned.length === 0) throw new CommandError(exitCodes.no, "no tree was learned");
  const { entries: kept, unseen } = withHabits(before?.entries ?? [], learned);
  const entries = mergeEntries([kept, learned], false);
  const header = headerOf(entries, [unambiguous(hostname())], flags.role ?? before?.header.role, now);
  writeInForce(host.stateDirectory, { header, entries });
  warn(`${entries.length} trees are in force, ${entries.length - (before?.entries.length ?? 0)} of them new`);
  const others = diffEntries(inTime, mergeEntries([rows], false)).added.length;
  if (others > 0)
    hint(`${others} trees were seen only before or after the learning: treewarden baseline review`);
  const excluded = inTime.length - visible.length;
  if (excluded > 0)
    hint(`${excluded} trees are hidden by exclusions: treewarden baseline compare --show-excluded`);
  if (unseen > 0)
    hint(
      `${unseen} trees of an earlier version were not seen again: their exact tree is their habit from now on`,
    );
  const fromMain = learned.filter((entry) => entry.fromMain).length;
  const alone = learned.filter(({ complete }) => !complete).length - fromMain;
  if (fromMain > 0)
    hint(
      `${fromMain} incomplete trees begin with the main program of their unit: they stand for longer ones too`,
    );
  if (alone > 0) hint(`${alone} incomplete trees stand for themselves alone`);
  const left = visible.length - learned.length;
  if (left > 0) hint(`${left} incomplete trees were left out: treewarden baseline review`);
  for (const line of varyingLines(learned)) hint(line);
  if (state.losses > 0) hint(lossText(state, now));
  requestWarden(host.stateDirectory, { kind: "reload-baseline" });
}
