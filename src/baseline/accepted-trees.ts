// What root has accepted: the baseline in force and the exclusions. The warden asks it of each exec, and a replay does so
// with what the captured host had.

import type { Lineage } from "../forest/lineage.ts";
import type { Tree } from "../forest/tree.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { Baseline, Knowledge } from "./baseline.ts";
import type { Exclusions } from "./exclusions.ts";
import { Scopes, scope as scopeNames } from "./key.ts";
import { belowPackageManager, PACKAGES } from "./package-managers.ts";

/** A scope (undefined: it could not be read), or that the image of the container is not known yet. */
export type ScopeOrPending = string | undefined | "pending";

/** Nothing is known: rules that name one of these variables do not act. */
const nothing: Knowledge = {};
/** Where no baseline was ever accepted. */
const noBaseline: Knowledge = { known: null, familiar: null };

export class AcceptedTrees {
  /** null: none was ever accepted; undefined: it could not be read. */
  baseline: Baseline | null | undefined;
  exclusions: Exclusions;
  private readonly scopes = new Scopes();
  private readonly ofPackageManagers = belowPackageManager();

  constructor(baseline: Baseline | null | undefined, exclusions: Exclusions) {
    this.baseline = baseline;
    this.exclusions = exclusions;
  }

  /** The scope that a program runs in. `image`: of its container; null: it cannot be known; undefined: not known yet. */
  scopeOf({ container }: Lineage, facts: ProcessFacts, image: string | null | undefined): ScopeOrPending {
    if (container !== null && image === undefined) return "pending";
    return this.scopes.of(facts.cgroup, container, image ?? undefined);
  }

  /**
   * What the baseline knows of a tree in its scope at `second` (since 1970-01-01T00:00:00Z). Empty while that is not
   * known, or if an exclusion hides the tree. In a change window only the change is known.
   */
  lookUp(lineage: Lineage, tree: Tree, scope: ScopeOrPending, second: number): Knowledge {
    if (this.baseline === undefined) return nothing;
    if (this.baseline === null) return noBaseline;
    if (scope !== "pending") return this.compare(lineage, tree, scope, second) ?? nothing;
    // Under the name of its image it may be known, so an unknown tree is neither known nor unknown yet.
    const knowledge = this.baseline.knowledge(lineage, scopeNames.container, second);
    return knowledge.known === true ? knowledge : nothing;
  }

  /** As `lookUp` in a scope that is known; undefined if the tree is unknown and an exclusion hides it. */
  compare(lineage: Lineage, tree: Tree, scope: string | undefined, second: number): Knowledge | undefined {
    if (this.baseline === undefined) return nothing;
    if (this.baseline === null) return noBaseline;
    const knowledge = this.baseline.knowledge(lineage, scope, second);
    return knowledge.known === false ? this.ofUnknown(knowledge, lineage, tree, scope, second) : knowledge;
  }

  private ofUnknown(
    knowledge: Knowledge,
    lineage: Lineage,
    tree: Tree,
    scope: string | undefined,
    second: number,
  ): Knowledge | undefined {
    if (this.exclusions.size > 0) {
      const change = this.exclusions.changeOf(lineage, { scope, users: tree.userIds }, second);
      if (change !== undefined) return { change: change.id };
      const excludable = {
        labels: tree.labels,
        names: tree.names,
        habitNames: tree.habitNames,
        scope,
        users: tree.userIds,
      };
      if (this.exclusions.hides(excludable, second) !== undefined) return undefined;
    }
    return this.ofPackageManagers.includes(lineage) ? { ...knowledge, change: PACKAGES } : knowledge;
  }
}
