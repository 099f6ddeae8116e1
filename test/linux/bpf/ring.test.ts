import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RING_HEADER, RingError, type RingMemory, RingReader } from "../../../src/linux/bpf/ring.ts";

const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;

/** A ring in ordinary memory, filled as kernel/bpf/ringbuf.c does: a reserved record is busy until it is committed. */
class FakeRing implements RingMemory {
  readonly size: number;
  consumer = 0;
  producerPosition = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(size: number, position = 0) {
    this.size = size;
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
    this.consumer = position;
    this.producerPosition = position;
  }

  /** Reserves a record and returns its position; undefined if there is no room. The kernel keeps one byte free. */
  reserve(length: number): number | undefined {
    const slot = (RING_HEADER + length + 7) & ~7;
    if (this.producerPosition + slot - this.consumer > this.size - 1) return undefined;
    const position = this.producerPosition;
    this.view.setUint32(position % this.size, (length | BUSY) >>> 0, true);
    this.producerPosition += slot;
    return position;
  }

  finish(position: number, data: Uint8Array, discard: boolean): void {
    data.forEach((byte, i) => {
      this.bytes[(position + RING_HEADER + i) % this.size] = byte;
    });
    this.view.setUint32(position % this.size, (data.length | (discard ? DISCARD : 0)) >>> 0, true);
  }

  write(text: string): void {
    const data = new TextEncoder().encode(text);
    const position = this.reserve(data.length);
    if (position !== undefined) this.finish(position, data, false);
  }

  producer(): number {
    return this.producerPosition;
  }

  header(position: number): number {
    return this.view.getUint32(position % this.size, true);
  }

  acquire(): void {}

  copy(target: Uint8Array, position: number, length: number): void {
    for (let i = 0; i < length; i += 1) target[i] = this.bytes[(position + i) % this.size] ?? 0;
  }

  release(position: number): void {
    expect(position).toBeGreaterThanOrEqual(this.consumer);
    this.consumer = position;
  }
}

function drained(reader: RingReader, limit = 1 << 20, hold = false): string[] {
  const texts: string[] = [];
  reader.drain(
    (bytes, _, start, end) => texts.push(new TextDecoder().decode(bytes.slice(start, end))),
    limit,
    hold,
  );
  return texts;
}

describe("a ring", () => {
  test("delivers committed records in order and releases their space", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.write("first");
    ring.write("second");
    expect(drained(reader)).toEqual(["first", "second"]);
    expect(ring.consumer).toBe(ring.producerPosition);
  });

  test("stops before a record that is still being written, and continues once it is committed", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.write("a");
    const busy = ring.reserve(1) ?? -1;
    ring.write("c");
    expect(drained(reader)).toEqual(["a"]);
    expect(ring.consumer).toBe(busy);
    ring.finish(busy, new TextEncoder().encode("b"), false);
    expect(drained(reader)).toEqual(["b", "c"]);
  });

  test("skips discarded records", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.finish(ring.reserve(3) ?? -1, new Uint8Array(3), true);
    ring.write("kept");
    expect(drained(reader)).toEqual(["kept"]);
  });

  test("reads a record that wraps around its end", () => {
    const ring = new FakeRing(64);
    const reader = new RingReader(ring);
    ring.write("x".repeat(30));
    drained(reader);
    ring.write("y".repeat(40));
    expect(drained(reader)).toEqual(["y".repeat(40)]);
  });

  test("with `hold` does not release the last record, so that the kernel sends no wake-up for the next one", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.write("a");
    const last = ring.producerPosition;
    ring.write("b");
    expect(drained(reader, 1 << 20, true)).toEqual(["a", "b"]);
    expect(ring.consumer).toBe(last);
    expect(drained(reader, 1 << 20, true)).toEqual([]);
    expect(drained(reader)).toEqual([]);
    expect(ring.consumer).toBe(ring.producerPosition);
  });

  test("finds a record that was committed while the last one was released", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.write("a");
    drained(reader, 1 << 20, true);
    const release = ring.release.bind(ring);
    ring.release = (position) => {
      // The kernel commits just before it sees the new position, so it sends no wake-up for this record.
      ring.release = release;
      ring.write("late");
      release(position);
    };
    expect(drained(reader)).toEqual(["late"]);
  });

  test("stops at the limit, and returns true because records are left", () => {
    const ring = new FakeRing(256);
    const reader = new RingReader(ring, 0, 32);
    for (const text of ["a", "b", "c", "d"]) ring.write(text);
    const texts: string[] = [];
    const hasMore = reader.drain((bytes, _, start) => texts.push(String.fromCharCode(bytes[start] ?? 0)), 32);
    expect(hasMore).toBe(true);
    expect(texts).toEqual(["a", "b"]);
    expect(drained(reader)).toEqual(["c", "d"]);
  });

  test("with an impossible record throws instead of looping", () => {
    const ring = new FakeRing(64);
    ring.finish(ring.reserve(8) ?? -1, new Uint8Array(40), false);
    expect(() => drained(new RingReader(ring))).toThrow(RingError);
  });
});

interface Step {
  readonly action: "reserve" | "commit" | "discard" | "drain" | "hold";
  readonly length: number;
  /** For commit and discard: which of the busy records. */
  readonly busyIndex: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  action: fc.constantFrom("reserve", "reserve", "commit", "commit", "discard", "drain", "hold"),
  length: fc.nat(60),
  busyIndex: fc.nat(5),
});

test("every committed record is delivered once, in the order of reservation, whatever the order of commits", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 120 }),
      // Positions beyond 2^32 occur after some days on a busy server.
      fc.constantFrom(0, 8 * 7, 2 ** 32 - 64, 2 ** 45),
      fc.constantFrom(256, 1 << 18),
      (steps, origin, copyBytes) => {
        const ring = new FakeRing(256, origin);
        const reader = new RingReader(ring, origin, copyBytes);
        const reserved: { position: number; state: "busy" | "committed" | "discarded"; text: string }[] = [];
        const delivered: string[] = [];
        const drainAll = (hold: boolean) => {
          while (
            reader.drain(
              (bytes, _, start, end) =>
                delivered.push(Buffer.from(bytes.slice(start, end)).toString("latin1")),
              1 << 20,
              hold,
            )
          ) {}
        };
        for (const { action, length, busyIndex } of steps) {
          if (action === "drain" || action === "hold") drainAll(action === "hold");
          else if (action === "reserve") {
            const position = ring.reserve(length);
            const text = String.fromCharCode(33 + (reserved.length % 90)).repeat(length);
            if (position !== undefined) reserved.push({ position, state: "busy", text });
          } else {
            const record = reserved.filter(({ state }) => state === "busy")[busyIndex];
            if (record === undefined) continue;
            ring.finish(record.position, Buffer.from(record.text, "latin1"), action === "discard");
            record.state = action === "discard" ? "discarded" : "committed";
          }
        }
        drainAll(false);
        const firstBusy = reserved.findIndex(({ state }) => state === "busy");
        const finished = firstBusy === -1 ? reserved : reserved.slice(0, firstBusy);
        expect(delivered).toEqual(
          finished.filter(({ state }) => state === "committed").map(({ text }) => text),
        );
        expect(ring.consumer).toBe(
          firstBusy === -1 ? ring.producerPosition : (reserved[firstBusy]?.position ?? -1),
        );
      },
    ),
    { numRuns: 300 },
  );
});
