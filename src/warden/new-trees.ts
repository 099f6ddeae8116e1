// Remembers the trees that this host has run, so that the first exec of each is reported.
import { type Tree, treeId } from "../fingerprint/tree.ts";

/** The most tree ids: ten times those of an ordinary server. Beyond that the oldest id is forgotten. */
const LIMIT = 20_000;

export class NewTrees {
  private readonly ids: Set<string>;
  /** Trees whose habit was checked before. Invalidated by: nothing, a checked tree is never new again. */
  private readonly asked = new WeakSet<Tree>();

  /** `saved`: the result of `list` in the last run. */
  constructor(saved: Iterable<string> = []) {
    this.ids = new Set(saved);
  }

  /** True for the first exec of a tree. `unknown`: a baseline is in force and does not know the habit. */
  isNew(tree: Tree, unknown: boolean): boolean {
    if (!unknown) return this.isFirst(tree.id);
    if (this.asked.has(tree)) return false;
    this.asked.add(tree);
    this.isFirst(tree.id);
    // A tree's text begins with a slash, so this text cannot be a tree's.
    return this.isFirst(treeId(`unknown ${tree.habit}`));
  }

  private isFirst(id: string): boolean {
    if (this.ids.has(id)) return false;
    if (this.ids.size >= LIMIT) {
      const [oldest] = this.ids;
      if (oldest !== undefined) this.ids.delete(oldest);
    }
    this.ids.add(id);
    return true;
  }

  /** The ids to save for the next run. */
  list(): readonly string[] {
    return [...this.ids];
  }
}
