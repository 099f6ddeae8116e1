// The tree of a lineage: its labels, its text and its id.
import type { Lineage } from "../forest/lineage.ts";
import type { Tree } from "../forest/tree.ts";
import { labelNames } from "./label.ts";
import type { Runnable } from "./runnable.ts";

export type { Tree };

/** A tree has at most this many labels, the `...` in its middle among them. */
export const TREE_LABELS = 32;
/** A tree's text has at most this many bytes of UTF-8. */
export const TREE_BYTES = 1024;
const HEAD_LABELS = 16;
const TAIL_LABELS = TREE_LABELS - HEAD_LABELS - 1;

/**
 * Labels root to leaf. While nothing was left out all of them are in `head`; afterwards `head` has the first and
 * `tail` the last ones. What is kept depends on the labels alone, not on how they came.
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

/** The text of a chain within TREE_BYTES: leaf first, then root, then in turns towards the middle. */
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

/** A character of UTF-16 is at most three bytes of UTF-8, so that most texts need no count. */
function fits(text: string): boolean {
  return text.length * 3 <= TREE_BYTES || Buffer.byteLength(text) <= TREE_BYTES;
}

/** Version of the rules that make a tree's text, and of the hash: the first digit of every id. */
const ID_VERSION = "1";

/**
 * The id of a tree's text: one hexadecimal digit for the algorithm, then the first 124 bits of SHA-256 over the
 * text as UTF-8. The same on every host; ids of different algorithms never meet.
 */
export function treeId(path: string): string {
  return ID_VERSION + new Bun.CryptoHasher("sha256").update(path).digest("hex").slice(0, 31);
}

/** A tree and what its children's trees are derived from. */
class LineageTree implements Tree {
  readonly path: string;
  readonly exact: string;
  readonly labels: readonly string[];
  readonly names: readonly string[];
  readonly random: boolean;
  readonly randomness: number;
  readonly entropy: number | undefined;
  readonly complete: boolean;
  readonly truncated: boolean;
  readonly userIds: readonly number[] | undefined;
  readonly labelChain: Chain;
  readonly nameChain: Chain;
  private hash: string | undefined = undefined;

  constructor(lineage: Lineage, parent: LineageTree | null) {
    const image = lineage.program;
    const entered = entersContainer(lineage);
    const own = lineage.init ? undefined : image;
    let random = (parent?.random ?? false) || (own?.random ?? false);
    let randomness = Math.max(parent?.randomness ?? 0, own?.randomness ?? 0);
    let entropy = least(parent?.entropy, own?.entropy);
    for (const left of lineage.elided ?? []) {
      random ||= left.random;
      randomness = Math.max(randomness, left.randomness);
      entropy = least(entropy, left.entropy);
    }
    this.random = random;
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
    if (own !== undefined) {
      if (entered || lastOf(labels) !== own.label) labels = append(labels, own.label);
      const neighbour =
        lineage.elided !== null || entered || lineage.parent?.init ? undefined : lineage.parent?.program;
      if (neighbour === undefined || !sameFile(neighbour, own)) names = append(names, own.name);
    }
    this.labelChain = labels;
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
  }

  get id(): string {
    this.hash ??= treeId(this.path);
    return this.hash;
  }
}

/** The tree of a lineage: derived once from its parent's, and kept in `lineage.tree`. */
export function treeOf(lineage: Lineage): Tree {
  return derived(lineage);
}

function derived(lineage: Lineage): LineageTree {
  if (lineage.tree instanceof LineageTree) return lineage.tree;
  const made = new LineageTree(lineage, lineage.parent === null ? null : derived(lineage.parent));
  lineage.tree = made;
  return made;
}

function entersContainer(lineage: Lineage): boolean {
  return lineage.container !== null && lineage.container !== (lineage.parent?.container ?? null);
}

/** Whether both run one file under one name, whatever interpreter reads it and however it was told to. */
function sameFile(a: Runnable, b: Runnable): boolean {
  return a.key === b.key || (a.path !== undefined && a.path === b.path && a.name === b.name);
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}

function usersOf(lineage: Lineage, base: LineageTree | null): readonly number[] | undefined {
  const above = base === null ? [] : base.userIds;
  if (lineage.init) return above;
  if (above === undefined || lineage.uid === undefined) return undefined;
  return above.at(-1) === lineage.uid ? above : [...above, lineage.uid];
}
