// The forest as it is kept between two runs of the same boot, so that a restart changes no tree.
//
// One JSON document: `images`, `nodes` (parents before children, by index) and `processes`. Reading and writing the
// file is the warden's; only root may write it, because lineages decide.
import * as v from "valibot";
import type { Forest, Remembered } from "./forest.ts";
import type { Lineage } from "./lineage.ts";
import type { Runnable } from "./runnable.ts";

export const SAVED_VERSION = 1;

const index = v.pipe(v.number(), v.safeInteger(), v.minValue(-1));

export const savedNode = v.object({
  /** Index of the parent, -1 for a root. */
  p: index,
  /** Index of the program. */
  i: index,
  /** Indices of earlier programs. */
  e: v.exactOptional(v.array(index)),
  /** Indices of elided programs. */
  l: v.exactOptional(v.array(index)),
  /** uid; absent if unknown. */
  u: v.exactOptional(v.number()),
  c: v.exactOptional(v.string()),
  /** 1: complete. */
  k: v.picklist([0, 1]),
  /** 1: pid 1. */
  n: v.exactOptional(v.literal(1)),
});
export type SavedNode = v.InferOutput<typeof savedNode>;

/** pid, start ticks, node, ancestry (-1: none), execed, link guessed. */
const savedProcess = v.tuple([v.number(), v.number(), index, index, v.picklist([0, 1]), v.picklist([0, 1])]);
type SavedProcess = v.InferOutput<typeof savedProcess>;

const savedForest = v.object({
  version: v.number(),
  bootId: v.string(),
  images: v.array(v.unknown()),
  nodes: v.array(savedNode),
  processes: v.array(savedProcess),
});

export interface SavedForest<E> {
  readonly version: number;
  /** /proc/sys/kernel/random/boot_id: pids and start ticks mean nothing in another boot. */
  readonly bootId: string;
  readonly images: readonly E[];
  readonly nodes: readonly SavedNode[];
  readonly processes: readonly SavedProcess[];
}

/** Lineages as two lists, each program and each node once; `indexOf` adds what is not in them yet. */
export interface LineageLists<E> {
  readonly images: readonly E[];
  /** Parents before children. */
  readonly nodes: readonly SavedNode[];
  readonly indexOf: (lineage: Lineage) => number;
}

export function lineageLists<E>(encode: (program: Runnable) => E): LineageLists<E> {
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
  const indexOf = (one: Lineage): number => {
    const known = nodeIndex.get(one);
    if (known !== undefined) return known;
    // Depth is bounded by DEPTH_LIMIT, so this recursion is too.
    const parent = one.parent === null ? -1 : indexOf(one.parent);
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
  return { images, nodes, indexOf };
}

export function saveForest<E>(
  forest: Forest,
  bootId: string,
  encode: (program: Runnable) => E,
): SavedForest<E> {
  const { images, nodes, indexOf: node } = lineageLists(encode);
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
 * `json` is what JSON.parse gave; anything in it that does not hold together throws an Error that says what.
 */
export function restoreForest(
  forest: Forest,
  json: unknown,
  bootId: string,
  decode: (program: unknown) => Runnable,
): RestoredForest {
  const remembered = new Map<number, Remembered>();
  const nodes: Lineage[] = [];
  const release = (): void => {
    for (const node of nodes) forest.lineages.release(node);
  };
  const saved = checkedForest(json);
  if (saved.version !== SAVED_VERSION || saved.bootId !== bootId) return { processes: remembered, release };
  try {
    restoreLineages(forest, saved.images.map(decode), saved.nodes, nodes);
    restoreProcesses(saved, nodes, remembered);
  } catch (error) {
    // Nobody gets the function that would release what was retained so far.
    release();
    throw error;
  }
  return { processes: remembered, release };
}

function restoreProcesses(
  saved: SavedForest<unknown>,
  nodes: readonly Lineage[],
  remembered: Map<number, Remembered>,
): void {
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
}

/**
 * Makes the lineages of saved nodes and adds them to `into`, retained: their caller releases them. Throws an Error for
 * a node that does not hold together.
 */
export function restoreLineages(
  forest: Forest,
  programs: readonly Runnable[],
  nodes: readonly SavedNode[],
  into: Lineage[],
): void {
  const pick = (index: number): Runnable => {
    const program = programs[index];
    if (program === undefined) throw new Error(`no program ${index}`);
    return program;
  };
  for (const node of nodes) {
    const parent = node.p === -1 ? null : into[node.p];
    if (parent === undefined) throw new Error(`node ${into.length} before its parent ${node.p}`);
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
    into.push(lineage);
  }
}

function checkedForest(json: unknown): SavedForest<unknown> {
  const result = v.safeParse(savedForest, json);
  if (result.success) return result.output;
  throw new Error(`not a saved forest: ${v.getDotPath(result.issues[0]) ?? "no object"}`);
}
