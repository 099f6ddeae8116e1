import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RingMapping } from "../../../src/linux/bpf/ring-mapping.ts";

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
