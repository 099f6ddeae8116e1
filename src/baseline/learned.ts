// What a learning run reports: the trees that it found, and later their changes. The same shape of a tree crosses to
// the reporter, is a row of its table, and is a line that root's command reads.
import * as v from "valibot";
import { count } from "../vocabulary/parse-json.ts";
import { parseContents } from "./contents.ts";
import { parseExecutables } from "./executables.ts";
import { parseUsers } from "./users.ts";

const id = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const users = v.pipe(
  v.string(),
  v.check((text) => parseUsers(text) !== undefined),
);
const executables = v.pipe(
  v.string(),
  v.check((text) => parseExecutables(text) !== undefined),
);

const contents = v.pipe(
  v.string(),
  v.check((text) => parseContents(text) !== undefined),
);

/** The schema of a learned tree. */
export const LearnedTree = v.object({
  /**
   * 128 bits of a digest over scope, path, habit, `complete`, `fromMain`, executable and `change`, as 32 hexadecimal
   * digits.
   */
  id,
  scope: v.string(),
  exact: v.string(),
  habit: v.string(),
  /** Folded path of the runnable. */
  path: v.string(),
  tree: v.string(),
  complete: v.boolean(),
  /** See `BaselineEntry.fromMain`. */
  fromMain: v.boolean(),
  /** First and last seen, seconds since the epoch. */
  first: count,
  last: count,
  /** Runs since this warden started. An absolute value, so that an update that arrives twice counts once. */
  count,
  /** As `usersText` formats them: `0,33`, or `-`. */
  users,
  /** As `executablesText` formats them. */
  executables,
  /** As `contentsText` formats them. */
  contents,
  /** One sample of arguments, as `argumentsText` formats it; null if unknown. */
  arguments: v.nullable(v.string()),
  /** The id of the change that it belongs to; null for none. */
  change: v.nullable(v.string()),
});

/** A tree that a learning run found. */
export type LearnedTree = Readonly<v.InferOutput<typeof LearnedTree>>;

type LearnedCount = Pick<LearnedTree, "id" | "last" | "count" | "users">;

/** One report of a learning run. `started`, in seconds since the epoch, tells the runs apart. */
export type LearnedUpdate =
  /** A new tree. */
  | { readonly kind: "tree"; readonly started: number; readonly tree: LearnedTree }
  /** New counts of trees that were reported before. */
  | { readonly kind: "counts"; readonly started: number; readonly counts: readonly LearnedCount[] }
  /** More details on the files of a tree that was reported before. */
  | {
      readonly kind: "executables";
      readonly started: number;
      readonly id: string;
      readonly executables: string;
      readonly contents: string;
    };

/** A MAC of the warden's, see learned-seal.ts. */
const seal = v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/));
const SealedCount = v.object({ ...v.pick(LearnedTree, ["id", "last", "count", "users"]).entries, seal });

const SealedUpdate = v.variant("kind", [
  v.object({
    kind: v.literal("tree"),
    started: count,
    /** The id of the learning run. */
    learning: id,
    tree: LearnedTree,
    seals: v.object({ tree: seal, count: seal, executables: seal }),
  }),
  v.object({ kind: v.literal("counts"), started: count, counts: v.array(SealedCount) }),
  v.object({ kind: v.literal("executables"), started: count, id, executables, contents, seal }),
]);

/** A report with the warden's seals, as it crosses to the reporter. */
export type SealedUpdate = Readonly<v.InferOutput<typeof SealedUpdate>>;

/** Validates a sealed update; undefined if `value` is not one. The reporter trusts nothing that it receives. */
export function parseSealedUpdate(value: unknown): SealedUpdate | undefined {
  const result = v.safeParse(SealedUpdate, value);
  return result.success ? result.output : undefined;
}
