// Which trees this host has shown before: the first of each is told.
import { type Tree, treeId } from "../fingerprint/tree.ts";

/** Tree ids remembered: ten times what an ordinary server runs. Beyond that the one seen longest ago is forgotten. */
const LIMIT = 20_000;

export class NewTrees {
  private readonly ids: Set<string>;
  /** Trees whose exact one was asked for before. Invalidated by: nothing, what was once asked for is never new again. */
  private readonly asked = new WeakSet<Tree>();

  /** `before`: what `ids` gave in the last run. */
  constructor(before: Iterable<string> = []) {
    this.ids = new Set(before);
  }

  /** True the first time. `unknown`: the baseline in force does not have it; that is about the exact tree. */
  isNew(tree: Tree, unknown: boolean): boolean {
    if (!unknown) return this.isFirst(tree.id);
    if (this.asked.has(tree)) return false;
    this.asked.add(tree);
    this.isFirst(tree.id);
    // Every tree's text begins with a slash: no id is like it.
    return this.isFirst(treeId(`unknown ${tree.exact}`));
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

  /** To be kept for the next run. */
  list(): readonly string[] {
    return [...this.ids];
  }
}
