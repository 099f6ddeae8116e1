// What the sensor says of a kernel that keeps nothing for a socket.
import { expect, test } from "bun:test";
import { constants, fstatSync } from "node:fs";
import { constants as system } from "node:os";
import type { BpfMap } from "../../../src/linux/bpf/map.ts";
import { SystemCallError } from "../../../src/linux/libc.ts";
import { storageProblem } from "../../../src/sensor/ebpf/network/storage-problem.ts";

const spec = { type: "socketStorage", name: "sockets", keyBytes: 4, valueBytes: 24, entries: 0 } as const;

/** A map that does this with what it is to keep for the descriptor. */
function storage(keep: (descriptor: number, bytes: number) => void): Pick<BpfMap, "set" | "spec"> {
  return {
    spec,
    set: (key, value) => keep(new DataView(key.buffer).getInt32(0, true), value.length),
  };
}

test("a kernel that keeps a value for a socket has no problem, and the socket is closed again", () => {
  let socket = -1;
  const problem = storageProblem(
    storage((descriptor, bytes) => {
      socket = descriptor;
      expect(bytes).toBe(spec.valueBytes);
      expect(fstatSync(descriptor).mode & constants.S_IFMT).toBe(constants.S_IFSOCK);
    }),
  );
  expect(problem).toBeUndefined();
  expect(() => fstatSync(socket)).toThrow("EBADF");
});

test("a kernel without memory for it refuses more than rules deny, which the sensor says with the cause", () => {
  const problem = storageProblem(
    storage(() => {
      throw new SystemCallError("bpf MAP_UPDATE_ELEM", system.errno.ENOMEM, "sockets");
    }),
  );
  expect(problem).toContain("are refused all connections and datagrams");
  expect(problem).toContain("bpf MAP_UPDATE_ELEM sockets: ENOMEM");
  expect(problem).toContain("cx16 in /proc/cpuinfo");
});

test("a failure that passes is none", () => {
  let calls = 0;
  const keep = () => {
    calls += 1;
    if (calls < 3) throw new SystemCallError("bpf MAP_UPDATE_ELEM", system.errno.ENOMEM, "sockets");
  };
  expect(storageProblem(storage(keep))).toBeUndefined();
  expect(calls).toBe(3);
});

test("another error than the kernel's is not taken for it", () => {
  const keep = () => {
    throw new TypeError("a fault of ours");
  };
  expect(() => storageProblem(storage(keep))).toThrow("a fault of ours");
});
