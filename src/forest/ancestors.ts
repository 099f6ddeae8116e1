// The ancestors of a live process as a report shows them: each node of its lineage with the live process, if any, that
// it describes.
import type { Lineage } from "./lineage.ts";
import type { Process } from "./process.ts";

export interface Ancestor {
  /** What it was when it forked the process below it. */
  readonly lineage: Lineage;
  /** Undefined: not known, because it has ended and only its child's parent would be. */
  readonly pid: number | undefined;
  /** Undefined: it has ended. */
  readonly process: Process | undefined;
  /** It still runs what it ran when it forked the process below it. */
  readonly isCurrent: boolean;
}

/**
 * The ancestors of `process`, from the root to its parent; of more than `limit`, the nearest. `live`: its live ancestors,
 * the nearest first. Processes that share a node, because they run the same program as the same user, are listed each.
 */
export function ancestorsOf(process: Process, live: readonly Process[], limit: number): readonly Ancestor[] {
  const found: Ancestor[] = [];
  let next = 0;
  let below = process;
  for (let node = process.ancestry; node !== null && found.length < limit; node = node.parent) {
    let isLive = false;
    for (let i = indexOn(node, live, next); i >= 0; i = indexOn(node, live, next)) {
      const ancestor = live[i];
      if (ancestor === undefined) break;
      found.push({
        lineage: node,
        pid: ancestor.pid,
        process: ancestor,
        isCurrent: isSameState(ancestor.lineage, node),
      });
      isLive = true;
      below = ancestor;
      next = i + 1;
    }
    if (isLive) continue;
    // Only the parent of a live process is known after it has ended.
    const pid = found.at(-1)?.process === undefined && found.length > 0 ? undefined : pidAbove(below);
    found.push({ lineage: node, pid, process: undefined, isCurrent: false });
  }
  return found.slice(0, limit).reverse();
}

function pidAbove({ parentPid }: Process): number | undefined {
  return parentPid === 0 ? undefined : parentPid;
}

/** The first of the live processes from `start` on that was on `node` when it forked; -1: none. */
function indexOn(node: Lineage, live: readonly Process[], start: number): number {
  for (let i = start; i < live.length; i += 1) {
    const process = live[i];
    if (process !== undefined && wasOn(process, node)) return i;
  }
  return -1;
}

/** A process that has run another program since was on a node below its parent's, or on that one. */
function wasOn({ lineage, ancestry }: Process, node: Lineage): boolean {
  if (isSameState(lineage, node)) return true;
  if (ancestry === null) return node.parent === null;
  return (node.parent !== null && isSameState(ancestry, node.parent)) || isSameState(ancestry, node);
}

/** Nodes of the same process may differ in whether they are certain or complete. */
function isSameState(a: Lineage, b: Lineage): boolean {
  return a === b || (a.program === b.program && a.uid === b.uid && a.container === b.container);
}
