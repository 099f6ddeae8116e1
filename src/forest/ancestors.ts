// The ancestors of a process as a report shows them: each node of its lineage with the process that it describes.
import { START_SLACK_TICKS } from "../vocabulary/process-key.ts";
import type { Lineage } from "./lineage.ts";
import type { Process } from "./process.ts";

export interface Ancestor {
  /** What it was when it forked the process below it. */
  readonly lineage: Lineage;
  /** Undefined: not known, because it has ended. */
  readonly pid: number | undefined;
  /** Undefined: it has ended, and is not remembered. */
  readonly process: Process | undefined;
  readonly hasEnded: boolean;
}

export interface AncestorSources {
  /** The live ancestors of the process, the nearest first. */
  readonly live: readonly Process[];
  /** A process that had this pid, has ended, and is remembered. */
  readonly ended: (pid: number) => Process | undefined;
}

/**
 * The ancestors of `process`, from the root to its parent; of more than `limit`, the nearest. Processes that share a node,
 * because they run the same program as the same user, are listed one by one, as far as they are alive or remembered.
 */
export function ancestorsOf(
  process: Process,
  { live, ended }: AncestorSources,
  limit: number,
): readonly Ancestor[] {
  const found: Ancestor[] = [];
  let next = 0;
  /** The process below; undefined if it is not known, and then neither is its parent's pid. */
  let below: Process | undefined = process;
  for (let node = process.ancestry; node !== null && found.length < limit; node = node.parent) {
    const before = found.length;
    while (found.length < limit) {
      const index = indexOn(node, live, next);
      const candidate = index < 0 ? undefined : live[index];
      // A process further up may run the same program, as a shell does that started the whole job.
      const isAlive: boolean = candidate !== undefined && mayBeParent(candidate, below);
      const parent: Process | undefined = isAlive ? candidate : deadParent(below, node, ended);
      if (parent === undefined) break;
      // Only the first on a node may run another program by now: the others are on it because they run the same.
      if (found.length > before && !isAlive && !isSameState(parent.lineage, node)) break;
      found.push({ lineage: node, pid: parent.pid, process: parent, hasEnded: !isAlive });
      if (isAlive) next = index + 1;
      below = parent;
    }
    if (found.length > before) continue;
    found.push({ lineage: node, pid: parentPidOf(below), process: undefined, hasEnded: true });
    below = undefined;
  }
  return found.reverse();
}

function parentPidOf(child: Process | undefined): number | undefined {
  return child === undefined || child.parentPid === 0 ? undefined : child.parentPid;
}

/** Whether nothing that is known of `child` names another process as its parent. */
function mayBeParent({ pid }: Process, child: Process | undefined): boolean {
  const parentPid = parentPidOf(child);
  return parentPid === undefined || parentPid === pid;
}

/** The parent of `child` if it has ended, is remembered and was on `node`. */
function deadParent(
  child: Process | undefined,
  node: Lineage,
  ended: AncestorSources["ended"],
): Process | undefined {
  const parentPid = parentPidOf(child);
  if (child === undefined || parentPid === undefined) return undefined;
  const parent = ended(parentPid);
  if (parent === undefined || parent === child || !wasOn(parent, node)) return undefined;
  // A process that was given the pid later cannot be the parent.
  return parent.startTicks <= child.startTicks + START_SLACK_TICKS ? parent : undefined;
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
  // A copy of a process further up has run nothing since.
  for (let above = node.parent; above !== null; above = above.parent)
    if (isSameState(lineage, above)) return false;
  if (ancestry === null) return node.parent === null;
  return (node.parent !== null && isSameState(ancestry, node.parent)) || isSameState(ancestry, node);
}

/** Whether both are the same program, run by the same user; they may differ in how certain they are. */
export function isSameState(a: Lineage, b: Lineage): boolean {
  return a === b || (a.program === b.program && a.uid === b.uid && a.container === b.container);
}
