// What a learning run proposes: the trees that `accept` puts into force, and why it leaves others out.
import {
  type BaselineEntry,
  diffEntries,
  mergeEntries,
  withFoldedDestinations,
} from "../../baseline/entry.ts";
import { excludable } from "../../baseline/exclusions.ts";
import type { LearningState } from "../../baseline/learning-state.ts";
import { type CandidateRow, entriesOfRows } from "./candidates.ts";
import { nowSeconds } from "./entry-output.ts";
import { type EntryFilterFlags, entryFilter, type InForce } from "./entry-tree.ts";
import { baselineOf, compiledExclusions, readExclusions, readKnown } from "./store.ts";

export interface Proposal {
  /** What is accepted, in the order of a file. */
  readonly entries: readonly BaselineEntry[];
  /** What is in force already, including what comes with the roles. */
  readonly known: InForce;
  /** The number of trees that exclusions hide. */
  readonly hidden: number;
  /** The number of incomplete trees that `--strict` leaves out. */
  readonly incomplete: number;
  /** The number of trees that were seen only before or after the learning run. */
  readonly others: number;
}

export interface ProposalFlags extends EntryFilterFlags {
  /** Takes complete trees only. */
  readonly strict?: boolean;
}

/** What the rows of the journal propose. */
export function proposalOf(
  rows: readonly CandidateRow[],
  state: LearningState,
  flags: ProposalFlags,
  stateDirectory: string,
): Proposal {
  const exclusions = compiledExclusions(readExclusions(stateDirectory));
  const now = nowSeconds();
  const end = state.ended ?? now;
  const inForce = readKnown(stateDirectory);
  const known = inForce && baselineOf(inForce);
  // Only what was first seen during the run is proposed: a tree that was seen before raised an alarm then, and is not
  // accepted for being old. The trees of a change are accepted with the change.
  const withoutChanges = rows.filter(({ change }) => change === null);
  const ofRun = entriesOfRows(withoutChanges.filter(({ learning }) => learning === state.id));
  const inTime = mergeEntries([ofRun.filter(({ first }) => first >= state.started && first <= end)], false);
  const others = diffEntries(inTime, mergeEntries([entriesOfRows(withoutChanges)], false)).added.length;
  const selected = inTime.filter(entryFilter(flags, known));
  const visible = selected.filter((entry) => exclusions.hides(excludable(entry), now) === undefined);
  const taken = flags.strict === true ? visible.filter(({ complete }) => complete) : visible;
  const entries = withFoldedDestinations(taken);
  return {
    entries,
    known,
    others,
    hidden: selected.length - visible.length,
    incomplete: visible.length - taken.length,
  };
}
