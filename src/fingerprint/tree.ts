// Derives the tree of a lineage: its labels, its text and its id.
import type { Lineage } from "../forest/lineage.ts";
import type { Tree } from "../forest/tree.ts";
import { lowerEntropy } from "./entropy.ts";
import { labelNames } from "./label.ts";
import type { Runnable } from "./runnable.ts";

export type { Tree };

/** Maximum number of labels of a tree, including the `...` in its middle. */
export const TREE_LABELS = 32;
/** Maximum size of a tree's text in bytes of UTF-8. */
export const TREE_BYTES = 1024;
const HEAD_LABELS = 16;
const TAIL_LABELS = TREE_LABELS - HEAD_LABELS - 1;

/**
 * Labels from root to leaf. `head` has all of them until the chain is cut; then `head` has the first and `tail` the
 * last ones. Which labels are kept depends on the labels alone, not on the order of calls.
 */
interface Chain {
  readonly head: readonly string[];
  readonly cut: boolean;
  readonly tail: readonly string[];
}

const emptyChain: Chain = { head: [], cut: false, tail: [] };

function append(chain: Chain, text: string): Chain {
  const { head, cut, tail } = chain;
  if (!cut && head.length < TREE_LABELS) return { head: [...head, text], cut, tail };
  if (!cut)
    return { head: head.slice(0, HEAD_LABELS), cut: true, tail: [...head.slice(1 - TAIL_LABELS), text] };
  return { head, cut, tail: tail.length < TAIL_LABELS ? [...tail, text] : [...tail.slice(1), text] };
}

function elide(chain: Chain): Chain {
  return { head: chain.head.slice(0, HEAD_LABELS), cut: true, tail: [] };
}

function lastOf(chain: Chain): string | undefined {
  return chain.cut ? chain.tail.at(-1) : chain.head.at(-1);
}

interface Text {
  readonly path: string;
  readonly labels: readonly string[];
  readonly truncated: boolean;
}

/**
 * The text of a chain. If it is longer than TREE_BYTES, its middle is left out: labels are kept alternately from the leaf
 * and from the root while there is room.
 */
function write(chain: Chain, prefix: string): Text {
  const labels = chain.cut ? [...chain.head, labelNames.elided, ...chain.tail] : chain.head;
  const path = join(labels, prefix);
  if (fits(path)) return { path, labels, truncated: chain.cut };
  let room = TREE_BYTES - prefix.length - labelNames.elided.length - 1;
  let first = 0;
  let last = labels.length;
  for (let fromLeaf = true; first < last; fromLeaf = !fromLeaf) {
    const next = labels[fromLeaf ? last - 1 : first] ?? "";
    room -= Buffer.byteLength(next) + 1;
    if (room < 0 || next === labelNames.elided) break;
    if (fromLeaf) last -= 1;
    else first += 1;
  }
  const kept = [...labels.slice(0, first), labelNames.elided, ...labels.slice(last)];
  return { path: join(kept, prefix), labels: kept, truncated: true };
}

function join(labels: readonly string[], prefix: string): string {
  return labels.length === 0 && prefix !== "" ? prefix : `${prefix}/${labels.join("/")}`;
}

/** One UTF-16 code unit is at most three bytes of UTF-8, so most texts need no exact count. */
function fits(text: string): boolean {
  return text.length * 3 <= TREE_BYTES || Buffer.byteLength(text) <= TREE_BYTES;
}

/** Version of the rules for a tree's text and of the hash: the first digit of every id. */
const ID_VERSION = "1";

/**
 * The id of a tree's text: ID_VERSION, then the first 124 bits of SHA-256 over the UTF-8 text in hexadecimal. It is the
 * same on every host, and ids of different versions never collide.
 */
export function treeId(path: string): string {
  return ID_VERSION + new Bun.CryptoHasher("sha256").update(path).digest("hex").slice(0, 31);
}

/** A tree, with the untruncated chains from which its children's trees are derived. */
class LineageTree implements Tree {
  readonly path: string;
  readonly exact: string;
  readonly habit: string;
  readonly labels: readonly string[];
  readonly names: readonly string[];
  readonly habitNames: readonly string[];
  readonly random: boolean;
  readonly unscored: boolean;
  readonly randomness: number;
  readonly entropy: number | undefined;
  readonly complete: boolean;
  readonly truncated: boolean;
  readonly userIds: readonly number[] | undefined;
  readonly labelChain: Chain;
  readonly nameChain: Chain;
  /** The habit's chain as this node's children continue it: without this node if it is a shell given `-c`. */
  readonly habitChain: Chain;
  /** The program of the last name of `habitChain`. */
  readonly habitLeaf: Runnable | undefined;
  private hash: string | undefined = undefined;

  constructor(lineage: Lineage, parent: LineageTree | null) {
    const entered = entersContainer(lineage);
    const program = lineage.init ? undefined : lineage.program;
    let random = (parent?.random ?? false) || (program?.random ?? false);
    let randomness = Math.max(parent?.randomness ?? 0, program?.randomness ?? 0);
    let entropy = lowerEntropy(parent?.entropy, program?.entropy);
    for (const elided of lineage.elided ?? []) {
      random ||= elided.random;
      randomness = Math.max(randomness, elided.randomness);
      entropy = lowerEntropy(entropy, elided.entropy);
    }
    this.random = random;
    this.unscored = (parent?.unscored ?? false) || (program?.unscored ?? false);
    this.randomness = randomness;
    this.entropy = entropy;
    this.complete = lineage.complete;

    const base = parent === null || entered ? null : parent;
    let labels = base?.labelChain ?? emptyChain;
    let names = base?.nameChain ?? emptyChain;
    if (entered) {
      labels = append(labels, labelNames.container);
      names = append(names, labelNames.container);
    }
    if (lineage.elided !== null) {
      labels = elide(labels);
      names = elide(names);
    }
    if (program !== undefined) {
      if (entered || lastOf(labels) !== program.label) labels = append(labels, program.label);
      const neighbour =
        lineage.elided !== null || entered || lineage.parent?.init ? undefined : lineage.parent?.program;
      if (neighbour === undefined || !sameFile(neighbour, program)) names = append(names, program.name);
    }
    this.labelChain = labels;
    const begins = entered || lineage.elided !== null || lineage.parent?.init === true;
    let habits = base?.habitChain ?? emptyChain;
    if (entered) habits = append(habits, labelNames.container);
    if (lineage.elided !== null) habits = elide(habits);
    const habitsAbove = habits;
    const leafAbove = begins ? undefined : base?.habitLeaf;
    if (program !== undefined) {
      const isNoneLeftOut = base === null || base.habitChain === base.nameChain;
      if (isNoneLeftOut) habits = names;
      else if (leafAbove === undefined || !sameFile(leafAbove, program))
        habits = append(habits, program.name);
    }
    const isLeftOut = program?.shellCommand === true;
    this.habitChain = isLeftOut ? habitsAbove : habits;
    this.habitLeaf = isLeftOut ? leafAbove : program;
    this.nameChain = names;
    this.userIds = usersOf(lineage, base);

    let truncated = base?.truncated ?? false;
    if (base !== null && labels === base.labelChain && random === base.random) {
      this.path = base.path;
      this.labels = base.labels;
    } else {
      const text = write(labels, random ? `/${labelNames.random}` : "");
      this.path = text.path;
      this.labels = text.labels;
      truncated ||= text.truncated;
    }
    if (base !== null && names === base.nameChain) {
      this.exact = base.exact;
      this.names = base.names;
    } else {
      const text = write(names, "");
      this.exact = text.path;
      this.names = text.labels;
      truncated ||= text.truncated;
    }
    this.truncated = truncated;
    if (habits === names) {
      this.habit = this.exact;
      this.habitNames = this.names;
    } else {
      const text = write(habits, "");
      this.habit = text.path;
      this.habitNames = text.labels;
    }
  }

  get id(): string {
    this.hash ??= treeId(this.path);
    return this.hash;
  }
}

/** The tree of a lineage. It is derived once, from its parent's tree, and cached in `lineage.tree`. */
export function treeOf(lineage: Lineage): Tree {
  return derived(lineage);
}

function derived(lineage: Lineage): LineageTree {
  if (lineage.tree instanceof LineageTree) return lineage.tree;
  const tree = new LineageTree(lineage, lineage.parent === null ? null : derived(lineage.parent));
  lineage.tree = tree;
  return tree;
}

/**
 * Whether a container begins at this node. Its tree then begins anew, so that the same image has the same tree under
 * every runtime. The runtime and its shim stay in the lineage, where the operator `under` finds them.
 */
function entersContainer(lineage: Lineage): boolean {
  return lineage.container !== null && lineage.container !== (lineage.parent?.container ?? null);
}

/** Whether both run the same file under the same name, regardless of interpreter and options. */
function sameFile(a: Runnable, b: Runnable): boolean {
  return a.key === b.key || (a.path !== undefined && a.path === b.path && a.name === b.name);
}

function usersOf(lineage: Lineage, base: LineageTree | null): readonly number[] | undefined {
  const above = base === null ? [] : base.userIds;
  if (lineage.init) return above;
  if (above === undefined || lineage.uid === undefined) return undefined;
  return above.at(-1) === lineage.uid ? above : [...above, lineage.uid];
}
