// Which trees this host has shown before: the first of each is told.
import type { Tree } from "../fingerprint/tree.ts";

/** Tree ids remembered: ten times what an ordinary server runs. Beyond that the one seen longest ago is forgotten. */
const LIMIT = 20_000;

export class NewTrees {
  private readonly ids: Set<string>;

  /** `before`: what `ids` gave in the last run. */
  constructor(before: Iterable<string> = []) {
    this.ids = new Set(before);
  }

  /** True the first time. */
  isNew(tree: Tree): boolean {
    if (this.ids.has(tree.id)) return false;
    if (this.ids.size >= LIMIT) {
      const [oldest] = this.ids;
      if (oldest !== undefined) this.ids.delete(oldest);
    }
    this.ids.add(tree.id);
    return true;
  }

  /** To be kept for the next run. */
  list(): readonly string[] {
    return [...this.ids];
  }
}
