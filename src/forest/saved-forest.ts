// Saves and restores the forest, so that a restart within the same boot changes no tree.
//
// One JSON document: `images` (the programs), `nodes` (parents before children, by index) and `processes`. The warden
// reads and writes the file. Only root may write it, because policies decide by lineage.
import * as v from "valibot";
import { NS_PER_TICK } from "../linux/ticks.ts";
import type { Forest, Remembered } from "./forest.ts";
import type { Lineage } from "./lineage.ts";
import type { Runnable } from "./runnable.ts";
import { decodeFacts, FactsList, type SavedFacts, savedFacts } from "./saved-facts.ts";

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
  /** Effective user; absent if unknown. */
  u: v.exactOptional(v.number()),
  /** Container id; absent on the host. */
  c: v.exactOptional(v.string()),
  /** 1 if the lineage is complete. */
  k: v.picklist([0, 1]),
  /** 1 if the lineage is uncertain. */
  d: v.exactOptional(v.literal(1)),
  /** 1 for pid 1. */
  n: v.exactOptional(v.literal(1)),
});
export type SavedNode = v.InferOutput<typeof savedNode>;

/** Pid, start ticks, node, ancestry (-1 if unknown), execed, link guessed. */
const savedProcess = v.tuple([v.number(), v.number(), index, index, v.picklist([0, 1]), v.picklist([0, 1])]);
type SavedProcess = v.InferOutput<typeof savedProcess>;

/** Pid of the parent, index of its lasting facts, number of its program (`execId`, -1 if unknown). */
const savedDetails = v.tuple([v.number(), index, index]);
type SavedDetails = v.InferOutput<typeof savedDetails>;

const savedForest = v.object({
  version: v.number(),
  bootId: v.string(),
  images: v.array(v.unknown()),
  nodes: v.array(savedNode),
  processes: v.array(savedProcess),
  /** Of each process, in the same order. Absent in what older versions have written. */
  details: v.exactOptional(v.array(savedDetails)),
  facts: v.exactOptional(v.array(savedFacts)),
});

/** The saved document. `E` is the encoding of a program. */
export interface SavedForest<E> {
  readonly version: number;
  /** /proc/sys/kernel/random/boot_id: pids and start ticks are valid within one boot only. */
  readonly bootId: string;
  readonly images: readonly E[];
  readonly nodes: readonly SavedNode[];
  readonly processes: readonly SavedProcess[];
  readonly details?: readonly SavedDetails[];
  readonly facts?: readonly SavedFacts[];
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

  const indexOfProgram = (program: Runnable): number => {
    let index = imageIndex.get(program);
    if (index === undefined) {
      index = images.push(encode(program)) - 1;
      imageIndex.set(program, index);
    }
    return index;
  };
  const indexOf = (lineage: Lineage): number => {
    const saved = nodeIndex.get(lineage);
    if (saved !== undefined) return saved;
    // DEPTH_LIMIT bounds this recursion.
    const parent = lineage.parent === null ? -1 : indexOf(lineage.parent);
    const index =
      nodes.push({
        p: parent,
        i: indexOfProgram(lineage.program),
        ...(lineage.earlier.length > 0 ? { e: lineage.earlier.map(indexOfProgram) } : {}),
        ...(lineage.elided === null ? {} : { l: lineage.elided.map(indexOfProgram) }),
        ...(lineage.uid === undefined ? {} : { u: lineage.uid }),
        ...(lineage.container === null ? {} : { c: lineage.container }),
        k: lineage.complete ? 1 : 0,
        ...(lineage.uncertain ? { d: 1 as const } : {}),
        ...(lineage.init ? { n: 1 as const } : {}),
      }) - 1;
    nodeIndex.set(lineage, index);
    return index;
  };
  return { images, nodes, indexOf };
}

/** The forest as a document. Kernel threads and processes without an exact start are left out. */
export function saveForest<E>(
  forest: Forest,
  bootId: string,
  encode: (program: Runnable) => E,
): SavedForest<E> {
  const { images, nodes, indexOf } = lineageLists(encode);
  const processes: SavedProcess[] = [];
  const details: SavedDetails[] = [];
  const facts = new FactsList();
  for (const process of forest.processes()) {
    if (process.kernelThread || !process.startExact) continue;
    const ancestry = process.ancestry === null ? -1 : indexOf(process.ancestry);
    const flags = [process.execed ? 1 : 0, process.linkGuessed ? 1 : 0] as const;
    processes.push([process.pid, process.startTicks, indexOf(process.lineage), ancestry, ...flags]);
    details.push([process.parentPid, facts.numberOf(process.facts), process.execId ?? -1]);
  }
  return {
    version: SAVED_VERSION,
    bootId,
    images,
    nodes,
    processes,
    details,
    facts: facts.saved(),
  };
}

export interface RestoredForest {
  /** The saved processes by pid. */
  readonly processes: ReadonlyMap<number, Remembered>;
  /** Call it after `reconcile`: releases the lineages that no live process uses. */
  readonly release: () => void;
}

/**
 * The processes of a saved forest, for `reconcile`. Empty if it is from another boot or version. `json` is the result
 * of JSON.parse; throws an Error that names the problem if it is inconsistent.
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
    // The caller does not get `release`, so release here what was retained so far.
    release();
    throw error;
  }
  return { processes: remembered, release };
}

/**
 * Fills an empty forest with a saved one as it was, without a scan. False, with nothing done, if that is from another boot
 * or version. Throws as `restoreForest`.
 */
export function restoreWholeForest(
  forest: Forest,
  json: unknown,
  bootId: string,
  decode: (program: unknown) => Runnable,
): boolean {
  const { details = [], facts = [] } = checkedForest(json);
  const { processes, release } = restoreForest(forest, json, bootId, decode);
  const factsByIndex = facts.map(decodeFacts);
  const whole = [...processes.values()].flatMap((process, i) => {
    const [parentPid, factsIndex, execId] = details[i] ?? [];
    const own = factsIndex === undefined ? undefined : factsByIndex[factsIndex];
    if (parentPid === undefined || own === undefined) return [];
    return {
      ...process,
      startTime: process.startTicks * NS_PER_TICK - forest.suspendedNs,
      parentPid,
      kernelThread: false,
      facts: own,
      execId: execId === undefined || execId < 0 ? undefined : execId,
    };
  });
  if (whole.length > 0 && whole.length === processes.size) forest.restore(whole);
  release();
  return forest.size > 0;
}

function restoreProcesses(
  saved: SavedForest<unknown>,
  nodes: readonly Lineage[],
  remembered: Map<number, Remembered>,
): void {
  for (const [pid, startTicks, node, parentNode, execed, guessed] of saved.processes) {
    const lineage = nodes[node];
    const ancestry = parentNode === -1 ? null : nodes[parentNode];
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
      uncertain: node.d === 1,
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
