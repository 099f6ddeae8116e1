import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RING_HEADER, RingError, type RingMemory, RingReader } from "../../../src/linux/bpf/ring.ts";

const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;

/** A ring in ordinary memory, filled as kernel/bpf/ringbuf.c fills it: begun records are busy until they are committed. */
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

  /** Begins a record; undefined if there is no room, as the kernel has it: a full ring keeps one byte free. */
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
  test("gives committed records in order and the room back", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.write("first");
    ring.write("second");
    expect(drained(reader)).toEqual(["first", "second"]);
    expect(ring.consumer).toBe(ring.producerPosition);
  });

  test("stops before a record that is still being written, and goes on when it is there", () => {
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

  test("leaves out discarded records", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.finish(ring.reserve(3) ?? -1, new Uint8Array(3), true);
    ring.write("kept");
    expect(drained(reader)).toEqual(["kept"]);
  });

  test("reads a record that runs over its end", () => {
    const ring = new FakeRing(64);
    const reader = new RingReader(ring);
    ring.write("x".repeat(30));
    drained(reader);
    ring.write("y".repeat(40));
    expect(drained(reader)).toEqual(["y".repeat(40)]);
  });

  test("holds the last record back, so that the kernel does not take the reader for arrived", () => {
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

  test("finds what came while the last record was given back", () => {
    const ring = new FakeRing(128);
    const reader = new RingReader(ring);
    ring.write("a");
    drained(reader, 1 << 20, true);
    const release = ring.release.bind(ring);
    ring.release = (position) => {
      // The kernel commits just before it sees the new position: nobody is woken for this one.
      ring.release = release;
      ring.write("late");
      release(position);
    };
    expect(drained(reader)).toEqual(["late"]);
  });

  test("leaves the rest at its limit, and says so", () => {
    const ring = new FakeRing(256);
    const reader = new RingReader(ring, 0, 32);
    for (const text of ["a", "b", "c", "d"]) ring.write(text);
    const texts: string[] = [];
    const more = reader.drain((bytes, _, start) => texts.push(String.fromCharCode(bytes[start] ?? 0)), 32);
    expect(more).toBe(true);
    expect(texts).toEqual(["a", "b"]);
    expect(drained(reader)).toEqual(["c", "d"]);
  });

  test("that holds what no kernel writes is an error, not a loop", () => {
    const ring = new FakeRing(64);
    ring.finish(ring.reserve(8) ?? -1, new Uint8Array(40), false);
    expect(() => drained(new RingReader(ring))).toThrow(RingError);
  });
});

interface Step {
  readonly act: "reserve" | "commit" | "discard" | "drain" | "hold";
  readonly length: number;
  readonly which: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  act: fc.constantFrom("reserve", "reserve", "commit", "commit", "discard", "drain", "hold"),
  length: fc.nat(60),
  which: fc.nat(5),
});

test("whatever is begun, committed and discarded in whatever order: everything committed comes once, in the order it was begun", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 120 }),
      // Also far beyond 2^32, where a server is after some days.
      fc.constantFrom(0, 8 * 7, 2 ** 32 - 64, 2 ** 45),
      fc.constantFrom(256, 1 << 18),
      (steps, origin, copyBytes) => {
        const ring = new FakeRing(256, origin);
        const reader = new RingReader(ring, origin, copyBytes);
        const begun: { position: number; state: "busy" | "committed" | "discarded"; text: string }[] = [];
        const got: string[] = [];
        const take = (hold: boolean) => {
          while (
            reader.drain(
              (bytes, _, start, end) => got.push(Buffer.from(bytes.slice(start, end)).toString("latin1")),
              1 << 20,
              hold,
            )
          ) {}
        };
        for (const { act, length, which } of steps) {
          if (act === "drain" || act === "hold") take(act === "hold");
          else if (act === "reserve") {
            const position = ring.reserve(length);
            const text = String.fromCharCode(33 + (begun.length % 90)).repeat(length);
            if (position !== undefined) begun.push({ position, state: "busy", text });
          } else {
            const record = begun.filter(({ state }) => state === "busy")[which];
            if (record === undefined) continue;
            ring.finish(record.position, Buffer.from(record.text, "latin1"), act === "discard");
            record.state = act === "discard" ? "discarded" : "committed";
          }
        }
        take(false);
        const busy = begun.findIndex(({ state }) => state === "busy");
        const done = busy === -1 ? begun : begun.slice(0, busy);
        expect(got).toEqual(done.filter(({ state }) => state === "committed").map(({ text }) => text));
        expect(ring.consumer).toBe(busy === -1 ? ring.producerPosition : (begun[busy]?.position ?? -1));
      },
    ),
    { numRuns: 300 },
  );
});
