// Mounts that programs of the host's own mount namespace were run from a moment ago. A mount belongs to one namespace
// (a copied namespace has copies of all its mounts, with numbers of their own), so that a program which runs from one of
// these needs no dearer look at its namespace. Pure.

/** A second of USER_HZ, and no more: the numbers of unmounted file systems are given out again. */
const FRESH_TICKS = 100;
/** Hosts run programs from a handful; more are forgotten together. */
const MOUNTS = 256;

export class HostMounts {
  /** Invalidated by: time, after FRESH_TICKS. */
  private readonly seen = new Map<number, number>();

  /** `ticks`: clock ticks since boot. */
  add(mount: number, ticks: number): void {
    if (this.seen.size >= MOUNTS && !this.seen.has(mount)) this.seen.clear();
    this.seen.set(mount, ticks);
  }

  has(mount: number, ticks: number): boolean {
    const seen = this.seen.get(mount);
    return seen !== undefined && Math.abs(ticks - seen) <= FRESH_TICKS;
  }
}
