// Waits for trees that are on their way from the warden through the reporter to the disk.
import type { LearningState } from "../../baseline/learning-state.ts";
import { isWardenRunning } from "../request-warden.ts";
import { type CandidateRows, readRows } from "./candidates.ts";

/** How long the reporter may take to store what the warden has counted. */
const ARRIVAL_MS = 5_000;
const RETRY_MS = 200;

/**
 * The rows of the journal, once all trees that the warden has counted in `stateOf` are among them. Does not wait without
 * a warden, if there are foreign rows, or longer than 5 s.
 */
export async function readArrivedRows(
  stateDirectory: string,
  stateOf: () => LearningState | undefined,
): Promise<CandidateRows> {
  const end = performance.now() + ARRIVAL_MS;
  for (;;) {
    const state = stateOf();
    const found = await readRows(stateDirectory);
    const isComplete = state === undefined || arrivedTrees(found, state) >= state.trees;
    if (isComplete || found.foreign > 0 || performance.now() >= end || !isWardenRunning(stateDirectory))
      return found;
    await Bun.sleep(RETRY_MS);
  }
}

/** The number of rows that belong to the learning run. */
export function arrivedTrees({ rows }: CandidateRows, { id }: LearningState): number {
  return rows.filter(({ learning }) => learning === id).length;
}
