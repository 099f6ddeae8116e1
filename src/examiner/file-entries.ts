// The files of which the examiner was asked, bounded.

/** Which file it is. The same path is another file after it was replaced, and in another container. */
export interface FileName {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
}

/** The share of the entries that files have whose path has become another file's. */
const EARLIER_SHARE = 0.25;

export class FileEntries<E extends FileName> {
  /**
   * By path: the entry that was made last, which nearly all execs need. A key with device and inode for each of them would
   * take another 200 bytes.
   */
  private readonly latest = new Map<string, E>();
  /** By `fileKey`: those before it. */
  private readonly earlier = new Map<string, E>();
  private readonly most: number;

  /** With more than `most` entries, the oldest is forgotten. */
  constructor(most: number) {
    this.most = most;
  }

  get size(): number {
    return this.latest.size + this.earlier.size;
  }

  find(path: string, device: number, inode: number): E | undefined {
    const latest = this.latest.get(path);
    if (latest?.device === device && latest.inode === inode) return latest;
    return this.earlier.size === 0 ? undefined : this.earlier.get(fileKey(path, device, inode));
  }

  /** Makes it the newest entry, in the place of another one of the same file. */
  remember(entry: E): void {
    const { path, device, inode } = entry;
    if (this.earlier.size > 0) this.earlier.delete(fileKey(path, device, inode));
    const previous = this.latest.get(path);
    if (previous !== undefined && (previous.device !== device || previous.inode !== inode))
      this.earlier.set(fileKey(path, previous.device, previous.inode), previous);
    this.latest.delete(path);
    this.latest.set(path, entry);
    if (this.size > this.most) this.forgetOldest();
  }

  *values(): Generator<E> {
    yield* this.latest.values();
    yield* this.earlier.values();
  }

  private forgetOldest(): void {
    const entries: Map<string, E> =
      this.earlier.size > this.most * EARLIER_SHARE ? this.earlier : this.latest;
    for (const key of entries.keys()) {
      entries.delete(key);
      return;
    }
  }
}

/** A name of the file. */
export function fileKey(path: string, device: number, inode: number): string {
  return `${device}:${inode}:${path}`;
}
