// Which users were told of which process, so that a change is told once and not at every fork.

/** A power of two. A process that shares its place with another is told again: that is no harm. */
const PLACES = 4096;

/** Invalidated by: a loss (`clear`), and by each later event of the process. */
export class ToldUsers {
  private readonly pids = new Uint32Array(PLACES);
  private readonly uids = new Uint32Array(PLACES);
  private readonly realUids = new Uint32Array(PLACES);

  /** Notes what is known of `pid` from now on; true if that was not so before. */
  tell(pid: number, uid: number, realUid: number): boolean {
    const place = pid & (PLACES - 1);
    if (this.pids[place] === pid && this.uids[place] === uid && this.realUids[place] === realUid)
      return false;
    this.pids[place] = pid;
    this.uids[place] = uid;
    this.realUids[place] = realUid;
    return true;
  }

  clear(): void {
    this.pids.fill(0);
  }
}
