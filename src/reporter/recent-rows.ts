// The last rows of the journal, as they were appended: an output that keeps up gets them without reading and parsing
// the file.
import type { SizedRow } from "./journal.ts";

/** Limits of what is kept: more than a full batch, so that what outputs gather is still here when they send it. */
const ROWS = 1_024;
const BYTES = 2 << 20;

export class RecentRows {
  /** With ids that follow each other without a gap. */
  private rows: SizedRow[] = [];
  private bytes = 0;

  add(row: SizedRow): void {
    this.rows.push(row);
    this.bytes += row.size;
    if (this.rows.length > ROWS || this.bytes > BYTES) this.forgetOldest();
  }

  /** Forgets the rows up to `id`. What stays in memory is examined at each garbage collection. */
  forgetUpTo(id: number): void {
    const first = this.rows[0]?.id;
    if (first === undefined || id < first) return;
    this.rows = this.rows.slice(id + 1 - first);
    this.bytes = this.rows.reduce((sum, { size }) => sum + size, 0);
  }

  clear(): void {
    this.rows = [];
    this.bytes = 0;
  }

  /** As `Journal.after`; undefined if older rows may come before. */
  after(id: number, limit: number, bytes: number): readonly SizedRow[] | undefined {
    const first = this.rows[0]?.id;
    if (first === undefined || id + 1 < first) return undefined;
    const start = id + 1 - first;
    let size = 0;
    let end = start;
    for (; end < Math.min(this.rows.length, start + limit) && size <= bytes; end += 1)
      size += this.rows[end]?.size ?? 0;
    return this.rows.slice(start, end);
  }

  /** Many at a time, because each time copies the list. */
  private forgetOldest(): void {
    this.rows = this.rows.slice(Math.ceil(this.rows.length / 8));
    this.bytes = this.rows.reduce((sum, { size }) => sum + size, 0);
  }
}
