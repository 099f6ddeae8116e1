// What the baseline in force knows of a live process, and why it does not know it, for `explain`.
import { AcceptedTrees } from "../baseline/accepted-trees.ts";
import type { Knowledge } from "../baseline/baseline.ts";
import { timeText } from "../baseline/baseline-file.ts";
import { comparedPath } from "../baseline/compared-path.ts";
import type { BaselineEntry } from "../baseline/entry.ts";
import type { Exclusions } from "../baseline/exclusions.ts";
import { baselinePath, properEnds } from "../baseline/key.ts";
import { describeContainer } from "../examiner/container-description.ts";
import { treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { baselineOf, compiledExclusions, readExclusions, readKnown } from "./baseline/store.ts";
import { CommandError } from "./output.ts";

export interface BaselineAnswer {
  readonly knowledge: Knowledge;
  /** One sentence. */
  readonly why: string;
}

/** The answer of the files in the state directory at `second` (since 1970-01-01T00:00:00Z). */
export function askBaseline(
  lineage: Lineage,
  facts: ProcessFacts,
  stateDirectory: string,
  second: number,
): BaselineAnswer {
  try {
    const entries = readKnown(stateDirectory);
    const exclusions = compiledExclusions(readExclusions(stateDirectory));
    const { container } = lineage;
    const image = container === null ? null : (describeContainer(container).image ?? null);
    const scope = new AcceptedTrees(null, exclusions).scopeOf(lineage, facts, image);
    return answerOf(entries, exclusions, lineage, scope, second);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { knowledge: {}, why: `cannot be determined: ${error.message}` };
  }
}

/** As `askBaseline`, from what the files have. `entries`: undefined if there is no baseline. */
export function answerOf(
  entries: readonly BaselineEntry[] | undefined,
  exclusions: Exclusions,
  lineage: Lineage,
  scope: string | undefined,
  second: number,
): BaselineAnswer {
  if (entries === undefined) {
    const knowledge = new AcceptedTrees(null, exclusions).lookUp(lineage, treeOf(lineage), scope, second);
    return { knowledge, why: "no baseline was ever accepted" };
  }
  const accepted = new AcceptedTrees(baselineOf(entries), exclusions);
  const knowledge = accepted.lookUp(lineage, treeOf(lineage), scope, second);
  return { knowledge, why: reasonFor(knowledge, entries, lineage, scope, second) };
}

function reasonFor(
  { known, age, change }: Knowledge,
  entries: readonly BaselineEntry[],
  lineage: Lineage,
  scope: string | undefined,
  second: number,
): string {
  if (lineage.uncertain) return "cannot be determined: a part of the lineage was not seen";
  const path = baselinePath(lineage.program);
  if (scope === undefined || path === undefined)
    return `cannot be determined: the ${scope === undefined ? "control group" : "executable"} could not be read`;
  const within = `in scope ${scope}`;
  if (known === true) return `known ${within}, first seen ${timeText(second - (age ?? 0))}`;
  if (known === undefined) {
    const hiddenBy =
      change === undefined ? "an exclusion hides it" : `the window of change ${change} is open`;
    return `cannot be determined: not known ${within}, but ${hiddenBy}`;
  }
  return whyUnknown(entries, lineage, scope, path);
}

function whyUnknown(
  entries: readonly BaselineEntry[],
  lineage: Lineage,
  scope: string,
  path: string,
): string {
  const { habit, complete } = treeOf(lineage);
  const ofHabit = entries.filter((entry) => entry.scope === scope && standsFor(entry, habit, complete));
  if (ofHabit.length === 0) return `not known: no entry in scope ${scope} has the habit ${habit}`;
  const ofPath = ofHabit.filter((entry) => comparedPath(entry.path) === comparedPath(path));
  if (ofPath.length === 0)
    return `known habit, but another path: learned ${listed(ofHabit.map((entry) => entry.path))}, seen ${path}`;
  const learned = ofPath.flatMap(({ executables }) => executables.map((executable) => executable.path));
  const seen = lineage.program.executable ?? "not known";
  return `known habit and path, but another executable: learned ${listed(learned)}, seen ${seen}`;
}

function standsFor(entry: BaselineEntry, habit: string, complete: boolean): boolean {
  if (entry.habit === habit) return true;
  if (entry.fromMain && [...properEnds(habit)].includes(entry.habit)) return true;
  return !complete && [...properEnds(entry.habit)].includes(habit);
}

function listed(texts: readonly string[]): string {
  return [...new Set(texts)].join(", ");
}
