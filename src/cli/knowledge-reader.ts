// Looks up live processes in the baseline, as the running warden does, for commands that only show.
import { AcceptedTrees } from "../baseline/accepted-trees.ts";
import type { Knowledge } from "../baseline/baseline.ts";
import { describeContainer } from "../examiner/container-description.ts";
import { treeOf } from "../fingerprint/tree.ts";
import type { FoundProcess } from "../forest/forest.ts";
import { baselineOf, compiledExclusions, readExclusions, readKnown } from "./baseline/store.ts";
import { CommandError } from "./output.ts";

/** The baselines in force and the exclusions. If they cannot be read, nothing is known of any tree. */
function readAcceptedTrees(stateDirectory: string): AcceptedTrees {
  try {
    const entries = readKnown(stateDirectory);
    const exclusions = compiledExclusions(readExclusions(stateDirectory));
    return new AcceptedTrees(entries === undefined ? null : baselineOf(entries), exclusions);
  } catch (error) {
    // Only root may read them; `doctor` reports any other error in them.
    if (error instanceof CommandError) return new AcceptedTrees(undefined, compiledExclusions([]));
    throw error;
  }
}

/** What the baseline in force knows of a process now. */
export function knowledgeReader(stateDirectory: string): (found: FoundProcess) => Knowledge {
  const accepted = readAcceptedTrees(stateDirectory);
  const second = Math.floor(Date.now() / 1_000);
  /** Invalidated by: nothing, a container keeps its image. */
  const images = new Map<string, string | null>();
  const imageOf = (container: string): string | null => {
    const known = images.get(container);
    if (known !== undefined) return known;
    const image = describeContainer(container).image ?? null;
    images.set(container, image);
    return image;
  };
  return ({ process: { lineage }, facts }) => {
    const { container } = lineage;
    const scope = accepted.scopeOf(lineage, facts, container === null ? null : imageOf(container));
    return accepted.lookUp(lineage, treeOf(lineage), scope, second);
  };
}
