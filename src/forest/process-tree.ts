// Who was forked by whom, so that everything under a process can be found, however many of those in between have ended.
//
// A member that leaves stays as a joint only while it joins two or more branches that live: there are always fewer
// joints than live members.

/** A place in the kinship: a live member, or what joins the branches of one that has left. */
export class TreeNode<T> {
  /** null: a joint. */
  member: T | null;
  /** @internal */ parent: TreeNode<T> | null = null;
  /** @internal */ children: Set<TreeNode<T>> | null = null;

  constructor(member: T) {
    this.member = member;
  }
}

export class ProcessTree<T> {
  private jointCount = 0;

  /** Places kept for members that have left. */
  get tombstones(): number {
    return this.jointCount;
  }

  join(child: TreeNode<T>, parent: TreeNode<T>): void {
    child.parent = parent;
    parent.children ??= new Set();
    parent.children.add(child);
  }

  leave(kin: TreeNode<T>): void {
    kin.member = null;
    if (kin.children !== null && kin.children.size > 1) this.jointCount += 1;
    else this.unlink(kin);
  }

  /** The live members at and under `top`, parents before children. */
  *from(top: TreeNode<T>): Generator<T> {
    const waiting: TreeNode<T>[] = [top];
    for (let kin = waiting.pop(); kin !== undefined; kin = waiting.pop()) {
      if (kin.member !== null) yield kin.member;
      for (const child of kin.children ?? []) waiting.push(child);
    }
  }

  /** Takes a place without a member and with at most one branch out, and then its parent if that is now such a place. */
  private unlink(kin: TreeNode<T>): void {
    const { parent } = kin;
    const [only] = kin.children ?? [];
    if (only !== undefined) only.parent = parent;
    if (parent === null) return;
    parent.children?.delete(kin);
    if (only !== undefined) parent.children?.add(only);
    if (parent.member === null && (parent.children?.size ?? 0) <= 1) {
      this.jointCount -= 1;
      this.unlink(parent);
    }
  }
}
