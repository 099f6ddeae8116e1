// What processes are closed by, judged once for each kind: processes of one lineage that are closed alike.
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";
import type { JudgedSets } from "./closed-set-maker.ts";

/** A kind of process; a process is of another one when it has executed another program. */
export interface ProcessKind {
  readonly lineage: Lineage;
  /** Equal for processes of one lineage that are closed alike. */
  readonly key: string;
}

export function judgedKindOf({ execed, linkGuessed, ancestry, lineage, facts }: Process): ProcessKind {
  const isOwnNode = ancestry !== lineage;
  const above = ancestry?.program.key ?? "";
  return { lineage, key: `${execed}${linkGuessed}${isOwnNode}${above}\u0000${facts.cgroup ?? ""}` };
}

/**
 * Kinds of one lineage that are remembered: a service has a few control groups. Whoever makes control groups of his own, as
 * every user can below his service manager, could have ever more of them remembered; those are judged again.
 */
const KINDS_OF_LINEAGE = 64;

export class JudgedKinds {
  /** Invalidated by: `forget`, for each epoch, and when files were identified. */
  private sets = new WeakMap<Lineage, Map<string, JudgedSets>>();

  get({ lineage, key }: ProcessKind): JudgedSets | undefined {
    return this.sets.get(lineage)?.get(key);
  }

  set({ lineage, key }: ProcessKind, sets: JudgedSets): void {
    const ofLineage = this.sets.get(lineage);
    if (ofLineage === undefined) {
      this.sets.set(lineage, new Map([[key, sets]]));
      return;
    }
    if (ofLineage.size >= KINDS_OF_LINEAGE) ofLineage.clear();
    ofLineage.set(key, sets);
  }

  /** Has each kind judged again. Invalidated by: this. */
  forget(): void {
    this.sets = new WeakMap();
  }
}
