// The users of each process that were emitted last, so that a change is emitted once and not at every fork.

/** A power of two. Processes whose pids share a slot have their users emitted again, which does no harm. */
const SLOTS = 4096;

export class KnownUsers {
  private readonly pids = new Uint32Array(SLOTS);
  private readonly uids = new Uint32Array(SLOTS);
  private readonly realUids = new Uint32Array(SLOTS);

  /** Records the users of `pid`; true if they were not known. */
  update(pid: number, uid: number, realUid: number): boolean {
    const slot = pid & (SLOTS - 1);
    if (this.pids[slot] === pid && this.uids[slot] === uid && this.realUids[slot] === realUid) return false;
    this.pids[slot] = pid;
    this.uids[slot] = uid;
    this.realUids[slot] = realUid;
    return true;
  }

  clear(): void {
    this.pids.fill(0);
  }
}
