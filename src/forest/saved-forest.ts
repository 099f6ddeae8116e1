// The forest as it is kept between two runs of the same boot, so that a restart changes no tree.
//
// One JSON document: `images`, `nodes` (parents before children, by index) and `processes`. Pure: who reads and
// writes the file is elsewhere, and the file is root's, since lineages decide.
import type { Forest, Remembered } from "./forest.ts";
import type { Lineage } from "./lineage.ts";
import type { Runnable } from "./runnable.ts";

export const SAVED_VERSION = 1;

interface SavedNode {
  /** Index of the parent, -1 for a root. */
  readonly p: number;
  /** Index of the program. */
  readonly i: number;
  /** Indices of earlier images. */
  readonly e?: readonly number[];
  /** Indices of elided images. */
  readonly l?: readonly number[];
  /** uid; absent if unknown. */
  readonly u?: number;
  readonly c?: string;
  /** 1: complete. */
  readonly k: 0 | 1;
  /** 1: pid 1. */
  readonly n?: 1;
}

/** pid, start ticks, node, ancestry (-1: none), execed, link guessed. */
type SavedProcess = readonly [number, number, number, number, 0 | 1, 0 | 1];

export interface SavedForest<E> {
  readonly version: number;
  /** /proc/sys/kernel/random/boot_id: pids and start ticks mean nothing in another boot. */
  readonly bootId: string;
  readonly images: readonly E[];
  readonly nodes: readonly SavedNode[];
  readonly processes: readonly SavedProcess[];
}

export function saveForest<E>(
  forest: Forest,
  bootId: string,
  encode: (program: Runnable) => E,
): SavedForest<E> {
  const images: E[] = [];
  const imageIndex = new Map<Runnable, number>();
  const nodes: SavedNode[] = [];
  const nodeIndex = new Map<Lineage, number>();

  const program = (one: Runnable): number => {
    let index = imageIndex.get(one);
    if (index === undefined) {
      index = images.push(encode(one)) - 1;
      imageIndex.set(one, index);
    }
    return index;
  };
  const node = (one: Lineage): number => {
    const known = nodeIndex.get(one);
    if (known !== undefined) return known;
    // Depth is bounded by DEPTH_LIMIT, so this recursion is too.
    const parent = one.parent === null ? -1 : node(one.parent);
    const index =
      nodes.push({
        p: parent,
        i: program(one.program),
        ...(one.earlier.length > 0 ? { e: one.earlier.map(program) } : {}),
        ...(one.elided === null ? {} : { l: one.elided.map(program) }),
        ...(one.uid === undefined ? {} : { u: one.uid }),
        ...(one.container === null ? {} : { c: one.container }),
        k: one.complete ? 1 : 0,
        ...(one.init ? { n: 1 as const } : {}),
      }) - 1;
    nodeIndex.set(one, index);
    return index;
  };

  const processes: SavedProcess[] = [];
  for (const process of forest.processes()) {
    if (process.kernelThread || !process.startExact) continue;
    const ancestry = process.ancestry === null ? -1 : node(process.ancestry);
    const flags = [process.execed ? 1 : 0, process.linkGuessed ? 1 : 0] as const;
    processes.push([process.pid, process.startTicks, node(process.lineage), ancestry, ...flags]);
  }
  return { version: SAVED_VERSION, bootId, images, nodes, processes };
}

export interface RestoredForest {
  readonly processes: ReadonlyMap<number, Remembered>;
  /** To be called after `reconcile`: lets go of the lineages that no live process took over. */
  readonly release: () => void;
}

/**
 * The processes of a saved forest, to be handed to `reconcile`. Nothing at all if it is of another boot or version.
 * `saved` is what JSON.parse gave; anything in it that does not hold together throws an Error that says what.
 */
export function restoreForest(
  forest: Forest,
  saved: unknown,
  bootId: string,
  decode: (program: unknown) => Runnable,
): RestoredForest {
  const remembered = new Map<number, Remembered>();
  const nodes: Lineage[] = [];
  const release = (): void => {
    for (const node of nodes) forest.lineages.release(node);
  };
  if (!isSavedForest(saved)) throw new Error("not a saved forest");
  if (saved.version !== SAVED_VERSION || saved.bootId !== bootId) return { processes: remembered, release };
  const images = saved.images.map(decode);
  const pick = (index: number): Runnable => {
    const program = images[index];
    if (program === undefined) throw new Error(`no program ${index}`);
    return program;
  };
  for (const node of saved.nodes) {
    const parent = node.p === -1 ? null : nodes[node.p];
    if (parent === undefined) throw new Error(`node ${nodes.length} before its parent ${node.p}`);
    const lineage = forest.lineages.intern(parent, {
      program: pick(node.i),
      earlier: (node.e ?? []).map(pick),
      uid: node.u,
      container: node.c ?? null,
      complete: node.k === 1,
      init: node.n === 1,
      elided: node.l === undefined ? null : node.l.map(pick),
    });
    forest.lineages.retain(lineage);
    nodes.push(lineage);
  }
  for (const [pid, startTicks, at, above, execed, guessed] of saved.processes) {
    const lineage = nodes[at];
    const ancestry = above === -1 ? null : nodes[above];
    if (lineage === undefined || ancestry === undefined) throw new Error(`no lineage for pid ${pid}`);
    remembered.set(pid, {
      pid,
      startTicks,
      startExact: true,
      lineage,
      ancestry,
      execed: execed === 1,
      linkGuessed: guessed === 1,
    });
  }
  return { processes: remembered, release };
}

function isSavedForest(value: unknown): value is SavedForest<unknown> {
  if (typeof value !== "object" || value === null) return false;
  const { version, bootId, images, nodes, processes } = value as Record<string, unknown>;
  return (
    typeof version === "number" &&
    typeof bootId === "string" &&
    Array.isArray(images) &&
    Array.isArray(nodes) &&
    Array.isArray(processes) &&
    processes.every(
      (one) => Array.isArray(one) && one.length === 6 && one.every((n) => typeof n === "number"),
    )
  );
}
