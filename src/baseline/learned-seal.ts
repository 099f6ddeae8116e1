// The warden's seal on what it reports as learned. The reports pass through the reporter, which may be taken over; root
// accepts a learned tree only if each part of it carries a MAC that was made with a key that only root can read.
import * as v from "valibot";
import { parseJson } from "../vocabulary/parse-json.ts";
import { sealText } from "../vocabulary/seal.ts";
import { LearnedTree, type LearnedUpdate, type SealedUpdate } from "./learned.ts";

/** Who reports: one warden in one learning run. A report of another learning run, or another warden, is not valid. */
export interface SealOrigin {
  /** The random id of the learning run, see `LearningState`. */
  readonly learning: string;
  /** The warden, see `wardenOrigin`. */
  readonly warden: string;
  /** When the learning run began, seconds since the epoch. */
  readonly started: number;
}

/** Computes the seal over these values. */
export type Seal = (...values: readonly (string | number | boolean | null)[]) => string;

/** The name of a warden in rows of the learned table: the supervisor's run and the warden's number in it. */
export function wardenOrigin(run: string, generation: number): string {
  return `${run}:${generation}`;
}

/** The column `origin` of the learned table. */
export function rowOrigin({ warden, started }: Pick<SealOrigin, "warden" | "started">): string {
  return `${warden}:${started}`;
}

/** `key`: SEAL_KEY_BYTES random bytes. */
function sealWith(key: Uint8Array, learning: string, origin: string): Seal {
  return (...values) =>
    // A JSON array has one reading: no two lists of values have the same text.
    sealText(key, JSON.stringify(["treewarden learned 3", learning, origin, ...values]));
}

// Three seals for each tree: the warden does not keep the texts of trees that it has reported, so it cannot seal them
// again when a count changes. All three contain the tree's id, which is a digest of its texts.

function treeSeal(seal: Seal, tree: LearnedTree): string {
  const { id, scope, exact, habit, path, complete, fromMain, first, change } = tree;
  return seal(
    ...["tree", id, scope, exact, habit, path, tree.tree, complete, fromMain, first, tree.arguments, change],
  );
}

function countSeal(seal: Seal, counted: Pick<LearnedTree, "id" | "last" | "count" | "users">): string {
  return seal("count", counted.id, counted.last, counted.count, counted.users);
}

function executablesSeal(
  seal: Seal,
  { id, executables, contents }: Pick<LearnedTree, "id" | "executables" | "contents">,
): string {
  return seal("executables", id, executables, contents);
}

/** The update with its seals, as it crosses to the reporter. */
export function sealUpdate(update: LearnedUpdate, key: Uint8Array, origin: SealOrigin): SealedUpdate {
  const { learning } = origin;
  const seal = sealWith(key, learning, rowOrigin(origin));
  switch (update.kind) {
    case "tree": {
      const { tree } = update;
      const seals = {
        tree: treeSeal(seal, tree),
        count: countSeal(seal, tree),
        executables: executablesSeal(seal, tree),
      };
      return { ...update, learning, seals };
    }
    case "counts":
      return {
        ...update,
        counts: update.counts.map((counted) => ({ ...counted, seal: countSeal(seal, counted) })),
      };
    case "executables":
      return { ...update, seal: executablesSeal(seal, update) };
  }
}

/** SQLite has no booleans. */
const flag = v.pipe(
  v.picklist([0, 1]),
  v.transform((value) => value === 1),
);

/** A row of the learned table, as SQLite has it. */
const Row = v.object({
  origin: v.string(),
  learning: v.string(),
  ...LearnedTree.entries,
  complete: flag,
  fromMain: flag,
  tree_seal: v.string(),
  count_seal: v.string(),
  executables_seal: v.string(),
});

/** A learned tree that the warden has reported, and the learning run in which it did. */
export interface VerifiedTree {
  readonly learning: string;
  readonly tree: LearnedTree;
}

/**
 * The tree of a row, given as JSON; undefined if the text is not a row, or not exactly as the warden has reported it.
 * The reporter can still withhold a row, and give an older count or an older list of files of the same tree.
 */
export function verifyRow(text: string, key: Uint8Array): VerifiedTree | undefined {
  const row = parseJson(Row, text);
  if (row === undefined) return undefined;
  const { origin, learning, tree_seal, count_seal, executables_seal, ...tree } = row;
  const seal = sealWith(key, learning, origin);
  const isGenuine =
    tree_seal === treeSeal(seal, tree) &&
    count_seal === countSeal(seal, tree) &&
    executables_seal === executablesSeal(seal, tree);
  return isGenuine ? { learning, tree } : undefined;
}
