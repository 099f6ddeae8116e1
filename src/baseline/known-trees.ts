// Everything that says whether a tree is known: the baseline in force and the exclusions. The warden asks it of each
// exec, and a replay does so with what the captured host had.
import type { Runnable } from "../fingerprint/runnable.ts";
import type { Tree } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { Baseline, Knowledge } from "./baseline.ts";
import type { Exclusions } from "./exclusions.ts";
import { Scopes, scope as scopeNames } from "./key.ts";

export interface TreeLookup {
  /** What a policy may know; empty where it cannot be told. */
  readonly knowledge: Knowledge;
  /** Where the tree belongs; undefined if that could not be read. */
  readonly scope: string | undefined;
  /** `pending`: the image of its container is not known yet. `excluded`: an exclusion hides that it is not known. */
  readonly state: "answered" | "pending" | "excluded";
}

const nothing: Knowledge = {};

export class KnownTrees {
  baseline: Baseline | undefined;
  exclusions: Exclusions;
  private readonly scopes = new Scopes();

  constructor(baseline: Baseline | undefined, exclusions: Exclusions) {
    this.baseline = baseline;
    this.exclusions = exclusions;
  }

  /** `image`: of its container; null: it has none, or nobody knows it; undefined: not known yet. */
  scopeOf(
    facts: ProcessFacts,
    container: string | null,
    image: string | null | undefined,
  ): string | undefined {
    return this.scopes.of(facts.cgroup, container, image ?? undefined);
  }

  /** What is known of an exec at `second`, since the epoch. `image`: as in `scopeOf`. */
  lookUp(
    exec: { readonly lineage: Lineage<Runnable>; readonly facts: ProcessFacts; readonly tree: Tree },
    image: string | null | undefined,
    second: number,
  ): TreeLookup {
    const { lineage, facts, tree } = exec;
    const { container } = lineage;
    if (container !== null && image === undefined) {
      const unnamed = this.baseline?.knowledge(lineage, scopeNames.container, second) ?? nothing;
      // Below its image it may be known: that is neither yes nor no yet.
      const knowledge = unnamed.known === true ? unnamed : nothing;
      return { knowledge, scope: scopeNames.container, state: "pending" };
    }
    const scope = this.scopeOf(facts, container, image);
    const knowledge = this.baseline?.knowledge(lineage, scope, second) ?? nothing;
    // Hidden is neither known nor unknown: no rule about either matches.
    if (knowledge.known === false && this.isExcluded(tree, scope, second))
      return { knowledge: nothing, scope, state: "excluded" };
    return { knowledge, scope, state: "answered" };
  }

  private isExcluded(tree: Tree, scope: string | undefined, second: number): boolean {
    if (this.exclusions.size === 0) return false;
    const asked = { labels: tree.labels, names: tree.names, scope, users: tree.userIds };
    return this.exclusions.hides(asked, second) !== undefined;
  }
}
