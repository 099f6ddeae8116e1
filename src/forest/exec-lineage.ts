// The lineage that an exec would give a process, for questions about execs that have not happened.
import { detachedLineage, type Lineage, type LineageSpec, withEarlier } from "./lineage.ts";
import type { Runnable } from "./runnable.ts";

/** Who executes a program: the process itself, in its own place, or a child that it has forked. */
export type ExecPlace = "own" | "child";

/** What of a process decides the lineage of what it executes; see `Process`. */
export interface Executor {
  readonly lineage: Lineage;
  readonly ancestry: Lineage | null;
  readonly execed: boolean;
  readonly linkGuessed: boolean;
}

/** What is above a program that is executed in this place; null: its parent is not known. */
export function ancestryOfExec({ lineage, ancestry }: Executor, place: ExecPlace): Lineage | null {
  return place === "own" ? ancestry : lineage;
}

/**
 * The lineage after an exec of `program` by the user `uid`, a node that no table shares. undefined if the lineage is so
 * deep that its middle would be left out.
 */
export function lineageAfterExec(
  executor: Executor,
  place: ExecPlace,
  program: Runnable,
  uid: number | undefined,
): Lineage | undefined {
  const { lineage, execed, linkGuessed } = executor;
  const above = ancestryOfExec(executor, place);
  const isOwn = place === "own";
  const spec: LineageSpec = {
    program,
    earlier: isOwn && execed ? withEarlier(lineage, program) : [],
    uid: uid ?? lineage.uid,
    container: lineage.container,
    complete: !(isOwn && linkGuessed) && (above?.complete ?? false),
    uncertain: above === null && lineage.uncertain,
    init: false,
    elided: null,
  };
  return detachedLineage(above, spec);
}
