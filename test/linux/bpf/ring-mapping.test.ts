// The mapping of a ring that a file stands in for: its pages have the same order and the same protection.
// The runtime's atomic loads fault on read-only pages on arm64, so this file is also worth running there.
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BpfMap } from "../../../src/linux/bpf/map.ts";
import { pageSize } from "../../../src/linux/bpf/memory.ts";
import { RingMapping } from "../../../src/linux/bpf/ring-mapping.ts";

const page = pageSize();
const size = 4 * page;

let folder = "";
let fd = -1;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ring-mapping-test-"));
  const path = join(folder, "ring");
  // The consumer's page, the producer's page, then the data twice.
  writeFileSync(path, new Uint8Array(2 * page + 2 * size));
  fd = openSync(path, "r+");
});

afterAll(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

/** The mapping of the file, as if it were a ring buffer map. */
function mapping(): RingMapping {
  const map: BpfMap = Object.create(BpfMap.prototype, {
    fd: { value: fd },
    spec: { value: { type: "ringBuffer", name: "test", keyBytes: 0, valueBytes: 0, entries: size } },
  });
  return new RingMapping(map);
}

function write(offset: number, bytes: Uint8Array): void {
  writeSync(fd, bytes, 0, bytes.length, offset);
}

function words64(...values: bigint[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new BigUint64Array(values).buffer);
}

test("the producer's position is read from its read-only page, again and again", () => {
  using ring = mapping();
  // Often enough for the optimising compiler to take over.
  for (let position = 0; position < 20_000; position += 8) {
    write(page, words64(BigInt(position)));
    expect(ring.producer()).toBe(position);
  }
});

test("a position beyond 4 GiB is read whole", () => {
  using ring = mapping();
  write(page, words64(0x12_3456_7898n));
  expect(ring.producer()).toBe(0x12_3456_7898);
});

test("a record's header and bytes are read where its position lies in the ring", () => {
  using ring = mapping();
  write(2 * page + 16, words64(0x0807_0605_0403_0201n));
  expect(ring.header(size + 16)).toBe(0x0403_0201);
  const target = new Uint8Array(8);
  ring.acquire();
  ring.copy(target, size + 16, 8);
  expect([...target]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test("what is released is the consumer's position", () => {
  using ring = mapping();
  ring.release(size + 24);
  const bytes = new Uint8Array(8);
  readSync(fd, bytes, 0, 8, 0);
  expect(bytes).toEqual(words64(BigInt(size + 24)));
});

test("a ring whose data cannot be mapped leaves nothing mapped", () => {
  const path = join(tmpdir(), `treewarden-ring-mapping-${process.pid}`);
  writeFileSync(path, new Uint8Array(4_096));
  const fd = openSync(path, "r+");
  try {
    // More than a process has addresses for (128 TiB on x86-64): mmap(2) of the first page works, that of the data not.
    const spec = { type: "ringBuffer", name: "ring", keyBytes: 0, valueBytes: 0, entries: 2 ** 48 } as const;
    expect(() => new RingMapping({ fd, spec })).toThrow(/mmap.*ENOMEM/);
    expect(readFileSync("/proc/self/maps", "latin1")).not.toContain(path);
  } finally {
    closeSync(fd);
    rmSync(path);
  }
});
