// Which process forked which, to find all descendants of a process even if processes in between have ended.
//
// The node of a member that has left stays as a tombstone only while it joins two or more branches with live members,
// so there are always fewer tombstones than live members.

/** A node of the tree: a live member, or a tombstone that joins the branches below a member that has left. */
export class TreeNode<T> {
  /** Null for a tombstone. */
  member: T | null;
  /** @internal */ parent: TreeNode<T> | null = null;
  /** @internal */ children: Set<TreeNode<T>> | null = null;

  constructor(member: T) {
    this.member = member;
  }
}

/** The links between members; nodes with no parent are roots. */
export class ProcessTree<T> {
  private tombstoneCount = 0;

  /** Number of nodes kept for members that have left. */
  get tombstones(): number {
    return this.tombstoneCount;
  }

  /** Links `child` below `parent`. `child` must not have a parent yet. */
  join(child: TreeNode<T>, parent: TreeNode<T>): void {
    child.parent = parent;
    parent.children ??= new Set();
    parent.children.add(child);
  }

  /** Removes the member of `node`, which becomes a tombstone or is unlinked. */
  leave(node: TreeNode<T>): void {
    node.member = null;
    if (node.children !== null && node.children.size > 1) this.tombstoneCount += 1;
    else this.unlink(node);
  }

  /** The live members at and below `top`, parents before children. */
  *from(top: TreeNode<T>): Generator<T> {
    const waiting: TreeNode<T>[] = [top];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (node.member !== null) yield node.member;
      for (const child of node.children ?? []) waiting.push(child);
    }
  }

  /** The live members among the `limit` nodes above `node`, the nearest first. */
  above(node: TreeNode<T>, limit: number): T[] {
    const members: T[] = [];
    let { parent } = node;
    for (let seen = 0; parent !== null && seen < limit; seen += 1) {
      if (parent.member !== null) members.push(parent.member);
      ({ parent } = parent);
    }
    return members;
  }

  /** Removes a node without a member and with at most one branch, then its parent if that has become such a node. */
  private unlink(node: TreeNode<T>): void {
    const { parent, children } = node;
    let onlyChild: TreeNode<T> | undefined;
    if (children !== null) [onlyChild] = children;
    if (onlyChild !== undefined) onlyChild.parent = parent;
    if (parent === null) return;
    parent.children?.delete(node);
    if (onlyChild !== undefined) parent.children?.add(onlyChild);
    if (parent.member === null && (parent.children?.size ?? 0) <= 1) {
      this.tombstoneCount -= 1;
      this.unlink(parent);
    }
  }
}
