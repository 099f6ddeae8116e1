// Files that were seen a moment ago among the host's own mounts: running again at the same path, they need no look at
// the mounts of the process. Pure.

/** A second, and no more: inodes and the devices of unmounted file systems are given out again. */
const FRESH_TICKS = 100;
/** More paths are forgotten together. */
const PATHS = 1024;

interface Seen {
  readonly device: number;
  readonly inode: number;
  readonly ticks: number;
}

export class HostFiles {
  private readonly seen = new Map<string, Seen>();

  /** `ticks`: clock ticks since boot. */
  add(path: string, device: number, inode: number, ticks: number): void {
    if (this.seen.size >= PATHS) this.seen.clear();
    this.seen.set(path, { device, inode, ticks });
  }

  /** True if the file at `path` was this very one. */
  has(path: string, device: number, inode: number, ticks: number): boolean {
    const seen = this.seen.get(path);
    return seen?.inode === inode && seen.device === device && Math.abs(ticks - seen.ticks) <= FRESH_TICKS;
  }
}
