// The progress of a learning run. The warden keeps it in a file that only root can write. Commands show it, and check
// whether what was learned may be accepted.
import * as v from "valibot";
import { count, parseJson } from "../vocabulary/parse-json.ts";

/**
 * `learning`: every tree is collected. `finished`: the requested time has passed. `stopped`: it was
 * ended by a request. `watching`: only trees that the baseline in force does not know are collected.
 */
export const phases = ["watching", "learning", "finished", "stopped"] as const;
export type Phase = (typeof phases)[number];

/** Maximum number of hours in `perHour`. */
export const HOURS = 24;

const savedState = v.object({
  version: v.literal(3),
  id: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  phase: v.picklist(phases),
  started: count,
  ended: v.nullable(count),
  wanted: v.nullable(count),
  losses: count,
  lossSince: v.nullable(count),
  lostSeconds: count,
  missed: count,
  uncertain: count,
  unreadable: count,
  trees: count,
  // Earlier versions did not write these two.
  inTransit: v.optional(count, 0),
  unconfirmed: v.optional(count, 0),
  hour: count,
  perHour: v.pipe(v.array(count), v.maxLength(HOURS)),
});

/** All times are seconds since the epoch. */
export interface LearningState {
  /** Random, 32 hexadecimal digits. Tells the trees of this learning run from those of every other one. */
  readonly id: string;
  readonly phase: Phase;
  readonly started: number;
  /** When it was finished or stopped; null while it continues. */
  readonly ended: number | null;
  /** Requested duration in seconds; null to learn until stopped. */
  readonly wanted: number | null;
  /** How often events were lost. */
  readonly losses: number;
  /** Since when events have been missing that no scan has made up for yet; null if none are. */
  readonly lossSince: number | null;
  /** How long events were missing before `lossSince`, each time in whole seconds, rounded up. */
  readonly lostSeconds: number;
  /** Number of executions whose tree was not kept for lack of room. */
  readonly missed: number;
  /** Number of executions whose program or scope could not be read, so that their tree is unknown. */
  readonly unreadable: number;
  /** Number of executions that were not learned because a part of their lineage was not seen. */
  readonly uncertain: number;
  readonly trees: number;
  /** Number of `trees` that this warden has found and that the reporter has not confirmed to be in the journal yet. */
  readonly inTransit: number;
  /** Number of `trees` that were in transit when a warden ended. Some of them may be in the journal. */
  readonly unconfirmed: number;
  /** `perHour` has the number of trees first seen in `hour` (hours since the epoch), in the hour before, and so on. */
  readonly hour: number;
  readonly perHour: readonly number[];
}

/** The trees are settled after this number of hours without a new one: longer than the period of hourly jobs. */
const SETTLED_HOURS = 3;
const HOUR = 3600;

const initialCounts: Omit<LearningState, "id" | "phase" | "started" | "hour" | "wanted"> = {
  ended: null,
  losses: 0,
  lossSince: null,
  lostSeconds: 0,
  missed: 0,
  unreadable: 0,
  uncertain: 0,
  trees: 0,
  inTransit: 0,
  unconfirmed: 0,
  perHour: [0],
};

/** A learning run that starts at `second`. `wanted` is its duration in seconds, null to learn until stopped. */
export function startLearning(second: number, wanted: number | null, id: string): LearningState {
  const hour = Math.floor(second / HOUR);
  return { id, phase: "learning", started: second, hour, wanted, ...initialCounts };
}

/** The state without a learning run, in which only unknown trees are collected. */
export function startWatching(second: number, id: string): LearningState {
  return { ...startLearning(second, null, id), phase: "watching" };
}

/** The state after events were lost. What is learned does not suffer: whatever was not seen whole is left out. */
export function afterLoss(state: LearningState, second: number): LearningState {
  if (state.phase !== "learning") return state;
  return { ...state, losses: state.losses + 1, lossSince: state.lossSince ?? second };
}

/** The state after a scan has made up for lost events. */
export function afterRepair(state: LearningState, second: number): LearningState {
  const { lossSince } = state;
  if (lossSince === null || state.phase !== "learning") return state;
  const lostSeconds = state.lostSeconds + Math.max(1, Math.ceil(second - lossSince));
  return { ...state, lossSince: null, lostSeconds };
}

/** The share of the learning time, up to `second`, in which no event was missing: from 0 to 1. */
export function seenWhole(state: LearningState, second: number): number {
  const end = state.ended ?? second;
  const lost = state.lostSeconds + (state.lossSince === null ? 0 : Math.max(1, end - state.lossSince));
  const total = end - state.started;
  return total <= 0 ? (lost === 0 ? 1 : 0) : Math.max(0, 1 - lost / total);
}

/** The state at `second`: finished if the requested time has passed. */
export function atTime(state: LearningState, second: number): LearningState {
  const remaining = secondsLeft(state, second);
  return remaining === undefined || remaining > 0 || state.missed > 0
    ? state
    : { ...state, phase: "finished", ended: second };
}

/** The state after a request to stop. */
export function stopLearning(state: LearningState, second: number): LearningState {
  return state.phase === "learning" ? { ...state, phase: "stopped", ended: second } : state;
}

/** Seconds until the run finishes ; undefined if there is no run, or if it has no set duration. */
export function secondsLeft(state: LearningState, second: number): number | undefined {
  if (state.phase !== "learning" || state.wanted === null) return undefined;
  return Math.max(0, state.started + state.wanted - second);
}

/** The state after a tree was seen for the first time. */
export function countNewTree(state: LearningState, second: number): LearningState {
  const perHour = [...perHourAt(state, second)];
  perHour[0] = (perHour[0] ?? 0) + 1;
  return { ...state, trees: state.trees + 1, hour: hourAt(state, second), perHour };
}

/** The state after the tree that was found last turned out not to have been seen whole. */
export function uncountNewTree(state: LearningState): LearningState {
  const [latest = 0, ...before] = state.perHour;
  return { ...state, trees: Math.max(0, state.trees - 1), perHour: [Math.max(0, latest - 1), ...before] };
}

/** Number of new trees in this hour, in the hour before it and so on, at most HOURS of them. */
export function perHourAt(state: LearningState, second: number): readonly number[] {
  const passed = Math.min(hourAt(state, second) - state.hour, HOURS);
  return [...Array<number>(passed).fill(0), ...state.perHour].slice(0, HOURS);
}

/** The hour at `second`. It never decreases, even if the clock is set back. */
function hourAt(state: LearningState, second: number): number {
  return Math.max(state.hour, Math.floor(second / HOUR));
}

/** The state with which the next warden begins. What the one before had in transit may have been lost with it. */
export function afterRestart(state: LearningState): LearningState {
  const { inTransit, unconfirmed } = state;
  return { ...state, inTransit: 0, unconfirmed: unconfirmed + inTransit };
}

/** Whether no new tree was found in the last SETTLED_HOURS. */
export function isSettled(state: LearningState, second: number): boolean {
  const hours = perHourAt(state, second);
  return hours.length > SETTLED_HOURS && hours.slice(0, SETTLED_HOURS).every((newTrees) => newTrees === 0);
}

/** The reason why the learned trees should not be accepted; undefined if they may be. */
export function reasonNotToAccept(state: LearningState): string | undefined {
  if (state.phase === "learning") return "the learning run has not ended";
  if (state.missed > 0)
    return `${state.missed} executions were not learned, because the table of trees was full`;
  return undefined;
}

/** The content of the file that holds the state. */
export function formatState(state: LearningState): string {
  return JSON.stringify({ version: 3, ...state });
}

/** Parses the output of `formatState`; undefined for any other text. */
export function parseState(text: string): LearningState | undefined {
  const saved = parseJson(savedState, text);
  if (saved === undefined) return undefined;
  const { version: _version, ...state } = saved;
  return state;
}
