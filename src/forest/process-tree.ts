// Which process forked which, to find all descendants of a process even if processes in between have ended.
//
// The node of a member that has left stays as a tombstone only while it joins two or more branches with live members,
// so there are always fewer tombstones than live members.

/**
 * A node of the tree: a live member, or a tombstone that joins the branches below a member that has left. The nodes below
 * one are linked with each other: most processes fork one child at a time, and a set for each costs more than the links.
 */
export class TreeNode<T> {
  /** Null for a tombstone. */
  member: T | null;
  /** @internal */ parent: TreeNode<T> | null = null;
  /** @internal The newest one below it. */ firstChild: TreeNode<T> | null = null;
  /** @internal The next older one below the same parent. */ older: TreeNode<T> | null = null;
  /** @internal */ newer: TreeNode<T> | null = null;

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
    const { firstChild } = parent;
    child.parent = parent;
    child.older = firstChild;
    if (firstChild !== null) firstChild.newer = child;
    parent.firstChild = child;
  }

  /** Removes the member of `node`, which becomes a tombstone or is unlinked. */
  leave(node: TreeNode<T>): void {
    node.member = null;
    if (hasBranches(node)) this.tombstoneCount += 1;
    else this.unlink(node);
  }

  /** The live members at and below `top`, parents before children. */
  from(top: TreeNode<T>): T[] {
    const members: T[] = [];
    const waiting: TreeNode<T>[] = [top];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (node.member !== null) members.push(node.member);
      for (let child = node.firstChild; child !== null; child = child.older) waiting.push(child);
    }
    return members;
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
    const { parent, firstChild: onlyChild } = node;
    detach(node);
    if (onlyChild !== null) {
      onlyChild.parent = null;
      node.firstChild = null;
      if (parent !== null) this.join(onlyChild, parent);
    }
    if (parent === null || parent.member !== null || hasBranches(parent)) return;
    this.tombstoneCount -= 1;
    this.unlink(parent);
  }
}

function hasBranches<T>({ firstChild }: TreeNode<T>): boolean {
  return firstChild !== null && firstChild.older !== null;
}

/** Takes a node from between its siblings. It still knows its parent, for those who look for its ancestors. */
function detach<T>(node: TreeNode<T>): void {
  const { parent, older, newer } = node;
  if (older !== null) older.newer = newer;
  if (newer !== null) newer.older = older;
  else if (parent?.firstChild === node) parent.firstChild = older;
  node.older = null;
  node.newer = null;
}
