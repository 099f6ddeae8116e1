// Reads a BPF ring buffer. It handles positions, record headers and bytes; RingMemory accesses the memory.
// The layout is that of the kernel's kernel/bpf/ringbuf.c: records of an 8-byte header (u32 length with two flags,
// u32 page offset) and data, each rounded up to 8 bytes, in a ring whose pages are mapped twice in a row.

/** Access to a ring's memory. Positions count bytes since the ring was created and never wrap. */
export interface RingMemory {
  /** Bytes of data: a power of two. */
  readonly size: number;
  /**
   * Position behind the last record that was begun. An acquire: pairs with the kernel's smp_store_release of
   * producer_pos, so that the header of every record before it can be read.
   */
  producer(): number;
  /** The first word of the header of the record at `position`. */
  header(position: number): number;
  /**
   * Orders the header reads before it with the data reads behind it: pairs with the kernel's xchg that clears the
   * busy bit after the data was written.
   */
  acquire(): void;
  /** Copies `length` bytes from `position` into the start of `target`; may run over the ring's end. */
  copy(target: Uint8Array, position: number, length: number): void;
  /**
   * Gives everything before `position` back to the kernel. A release, and ordered before the next `producer` and
   * `header`: the kernel reads consumer_pos after it has committed a record to decide whether to wake us, so either
   * it sees this position or we see its record.
   */
  release(position: number): void;
}

/** The ring's content is invalid, and reading it cannot be resumed. */
export class RingError extends Error {
  override readonly name = "RingError";
}

export const RING_HEADER = 8;
/** BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT of include/uapi/linux/bpf.h. */
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;

/**
 * The data of one record: `bytes[start, end)`, with `start` a multiple of 8; `words` are the same bytes as 32-bit
 * words. Only valid until the sink returns.
 */
export type RecordSink = (bytes: Uint8Array, words: Uint32Array, start: number, end: number) => void;

/** Follows how far the ring has been read. */
export interface RingProgress {
  /** The record that begins at `position` is passed to the sink next; false: it is passed over instead. */
  begin(position: number): boolean;
  /** All records before `position` were passed to the sink. They are released next. */
  end(position: number): void;
}

/** Bytes that are copied out and released at once, or one record if that is longer. */
const BATCH = 1 << 16;

export class RingReader {
  private readonly memory: RingMemory;
  private readonly progress: RingProgress | undefined;
  private readonly copyBuffer: Uint8Array;
  private readonly words: Uint32Array;
  /** All records before this position were passed to the sink. */
  private position: number;
  /** All bytes before this position were returned to the kernel. */
  private released: number;

  /** `position`: the consumer's, 0 for a new ring. `copyBytes`: size of the largest record, a multiple of 8. */
  constructor(memory: RingMemory, position = 0, copyBytes = 1 << 18, progress?: RingProgress) {
    this.memory = memory;
    this.progress = progress;
    this.position = position;
    this.released = position;
    this.copyBuffer = new Uint8Array(new ArrayBuffer(Math.min(copyBytes, memory.size)));
    this.words = new Uint32Array(this.copyBuffer.buffer);
  }

  /**
   * Passes every committed record to the sink in order, until the ring is empty, a record is still being written (its
   * commit wakes the reader), or about `limit` bytes were read. Returns true if records were left because of the limit.
   *
   * With `hold` the last record is not released. The kernel wakes the reader only for a record that begins at the
   * consumer position, so it sends no wake-up while one record is held, and the caller must drain again by a timer.
   */
  drain(sink: RecordSink, limit: number, hold = false): boolean {
    const first = this.position;
    for (;;) {
      const last = this.findCommitted(this.memory.producer());
      if (last === undefined) {
        if (hold || this.released === this.position) return false;
        // Ordered before the next read of the producer position: a record committed before the kernel saw this release
        // is found now.
        this.release(this.position);
        continue;
      }
      const start = this.position;
      const length = last.end - start;
      this.memory.acquire();
      this.memory.copy(this.copyBuffer, start, length);
      this.position = last.end;
      this.deliver(start, length, sink);
      // The bytes are released after the records were handled: if this process ends before, the next one reads them.
      this.progress?.end(last.end);
      this.release(hold ? last.start : last.end);
      if (last.end - first >= limit && this.memory.producer() > this.position) return true;
    }
  }

  private release(position: number): void {
    this.released = position;
    this.memory.release(position);
  }

  /**
   * The last committed record from `position` on up to which all fit into the copy buffer; undefined if there is none.
   */
  private findCommitted(producer: number): { start: number; end: number } | undefined {
    const room = this.position + this.copyBuffer.length;
    let start = this.position;
    let end = this.position;
    while (end < producer) {
      const header = this.memory.header(end);
      if ((header & BUSY) !== 0) break;
      const next = end + slot(header);
      if (next > producer) throw new RingError(`ring buffer: record at ${end} ends behind the producer`);
      if (next > room) {
        if (end === this.position)
          throw new RingError(`ring buffer: record at ${end} is larger than the copy buffer`);
        break;
      }
      start = end;
      end = next;
      if (end - this.position >= BATCH) break;
    }
    return end === this.position ? undefined : { start, end };
  }

  /** Passes the records in the copy, which begins at `position` of the ring, to the sink. */
  private deliver(position: number, length: number, sink: RecordSink): void {
    const { progress } = this;
    let at = 0;
    while (at < length) {
      const header = this.words[at >>> 2] ?? 0;
      const start = at + RING_HEADER;
      if ((header & DISCARD) === 0 && progress?.begin(position + at) !== false)
        sink(this.copyBuffer, this.words, start, start + (header & ~DISCARD));
      at += slot(header);
    }
  }
}

/** Bytes that a record takes in the ring. */
function slot(header: number): number {
  return (RING_HEADER + (header & ~(BUSY | DISCARD)) + 7) & ~7;
}
