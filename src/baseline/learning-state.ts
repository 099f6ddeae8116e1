// How far the learning is: kept by the warden in a file that only root writes, shown and judged by commands.
import * as v from "valibot";
import { count, parseJson } from "../vocabulary/parse-json.ts";

/**
 * `learning`: every tree is collected. `finished`: a stretch without loss as long as was asked for is over. `stopped`:
 * ended by a person, or before it was over. `watching`: only what the baseline in force does not know is collected.
 */
export const phases = ["watching", "learning", "finished", "stopped"] as const;
export type Phase = (typeof phases)[number];

export const HOURS = 24;

const savedState = v.object({
  version: v.literal(1),
  phase: v.picklist(phases),
  started: count,
  ended: v.nullable(count),
  wanted: v.nullable(count),
  cleanSince: count,
  losses: count,
  missed: count,
  unreadable: count,
  trees: count,
  hour: count,
  perHour: v.pipe(v.array(count), v.maxLength(HOURS)),
});

/** All times are seconds since the epoch. */
export interface LearningState {
  readonly phase: Phase;
  readonly started: number;
  /** When it was finished or stopped; null while it goes on. */
  readonly ended: number | null;
  /** Seconds without loss that were asked for; null: until stopped. */
  readonly wanted: number | null;
  /** Nothing was lost since then. */
  readonly cleanSince: number;
  readonly losses: number;
  /** Sights of trees for which there was no room. */
  readonly missed: number;
  /** Programs that could not be read, so that nobody knows which tree they were. */
  readonly unreadable: number;
  readonly trees: number;
  /** Trees first seen in each hour, that of `hour` (hours since the epoch) first. */
  readonly hour: number;
  readonly perHour: readonly number[];
}

/** Trees are settled if the last so many hours brought no new one: longer than any hourly job. */
const SETTLED_HOURS = 3;
const HOUR = 3600;

const nothingYet: Omit<LearningState, "phase" | "started" | "cleanSince" | "hour" | "wanted"> = {
  ended: null,
  losses: 0,
  missed: 0,
  unreadable: 0,
  trees: 0,
  perHour: [0],
};

/** A learning that starts now; `wanted`: seconds, null: until stopped. */
export function startLearning(second: number, wanted: number | null): LearningState {
  const hour = Math.floor(second / HOUR);
  return { phase: "learning", started: second, cleanSince: second, hour, wanted, ...nothingYet };
}

/** Nobody learns: only what is not known is collected. */
export function startWatching(second: number): LearningState {
  return { ...startLearning(second, null), phase: "watching" };
}

/** Events were lost: a stretch without loss begins again. */
export function afterLoss(state: LearningState, second: number): LearningState {
  return state.phase === "learning"
    ? { ...state, losses: state.losses + 1, cleanSince: Math.max(state.cleanSince, second) }
    : state;
}

/** Time went on: ends the learning if it has had what was asked for. */
export function atTime(state: LearningState, second: number): LearningState {
  const left = secondsLeft(state, second);
  return left === undefined || left > 0 || state.missed > 0
    ? state
    : { ...state, phase: "finished", ended: second };
}

/** A person ends it. */
export function stop(state: LearningState, second: number): LearningState {
  return state.phase === "learning" ? { ...state, phase: "stopped", ended: second } : state;
}

/** Until it is finished, if nothing is lost; undefined if there is no such time. */
export function secondsLeft(state: LearningState, second: number): number | undefined {
  if (state.phase !== "learning" || state.wanted === null) return undefined;
  return Math.max(0, state.cleanSince + state.wanted - second);
}

/** A tree was seen for the first time. */
export function countHour(state: LearningState, second: number): LearningState {
  const perHour = [...perHourAt(state, second)];
  perHour[0] = (perHour[0] ?? 0) + 1;
  return { ...state, trees: state.trees + 1, hour: hourAt(state, second), perHour };
}

/** New trees in this hour, the one before it and so on: at most HOURS. */
export function perHourAt(state: LearningState, second: number): readonly number[] {
  const passed = Math.min(hourAt(state, second) - state.hour, HOURS);
  return [...Array<number>(passed).fill(0), ...state.perHour].slice(0, HOURS);
}

/** No clock that was set back brings an hour that is over again. */
function hourAt(state: LearningState, second: number): number {
  return Math.max(state.hour, Math.floor(second / HOUR));
}

/** No new tree for hours. */
export function isSettled(state: LearningState, second: number): boolean {
  const hours = perHourAt(state, second);
  return hours.length > SETTLED_HOURS && hours.slice(0, SETTLED_HOURS).every((count) => count === 0);
}

/** Why what was learned should not be accepted as it is; undefined if there is no reason. */
export function doubt(state: LearningState): string | undefined {
  if (state.phase === "learning") return "it still goes on";
  if (state.missed > 0) return `${state.missed} times there was no room for a tree`;
  if (state.phase === "stopped" && state.losses > 0) return `events were lost ${state.losses} times`;
  return undefined;
}

export function formatState(state: LearningState): string {
  return JSON.stringify({ version: 1, ...state });
}

/** What `formatState` wrote; undefined for anything else. */
export function parseState(text: string): LearningState | undefined {
  const saved = parseJson(savedState, text);
  if (saved === undefined) return undefined;
  const { version: _version, ...state } = saved;
  return state;
}
