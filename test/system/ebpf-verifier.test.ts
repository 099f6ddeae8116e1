// The kernel reads our encodings back: the log of a refused program lists every instruction as the verifier
// understands it.
import { describe, expect, test } from "bun:test";
import { release } from "node:os";
import { carrierNames } from "../../src/fingerprint/carriers.ts";
import {
  addTo,
  alu,
  aluImm,
  assemble,
  atomicAdd,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jump,
  jump32IfImm,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadImm64,
  loadMap,
  loadMapValue,
  mov,
  movImm,
  r0,
  r1,
  r2,
  r6,
  r7,
  store,
  storeImm,
  swap16,
} from "../../src/linux/bpf/assembler.ts";
import { readKernelBtf } from "../../src/linux/bpf/btf.ts";
import { BpfMap } from "../../src/linux/bpf/map.ts";
import { BpfProgram, programInfo, VerifierError } from "../../src/linux/bpf/program.ts";
import { RingReader } from "../../src/linux/bpf/ring.ts";
import { pinned } from "../../src/linux/bpf/syscall.ts";
import { Decoder } from "../../src/sensor/ebpf/decode.ts";
import { readKernelLayout } from "../../src/sensor/ebpf/kernel.ts";
import { LoadedPrograms } from "../../src/sensor/ebpf/load.ts";
import { openEbpfSensor } from "../../src/sensor/ebpf/sensor.ts";
import { defaultEnvironmentNames } from "../../src/vocabulary/environment.ts";
import { whyNot } from "./ebpf-watch.ts";
import { noFilters } from "./network-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const tracepoint =
  reason === undefined
    ? (readKernelBtf({ structs: [], tracepoints: ["sched_process_exit"] }).tracepoint("sched_process_exit")
        ?.type ?? 0)
    : 0;

/** What the verifier made of the instructions before one that it refuses. */
function readBack(code: Code): string[] {
  // r9 was never written.
  const refused = [code, load(8, r0, 9, 0), exitInstruction];
  try {
    new BpfProgram("refused", assemble(refused), { tracepoint })[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    return [...error.log.matchAll(/^\d+: \([0-9a-f]{2}\) (.*?)\s*(?:;.*)?$/gm)]
      .map(([, text]) => text ?? "")
      .slice(0, -1);
  }
  throw new Error("the program was not refused");
}

describe.skipIf(reason !== undefined)("the verifier", () => {
  test("reads arithmetic, loads and stores as they are written", () => {
    const code = [
      movImm(r6, 5),
      mov(r7, r6),
      alu("xor", r7, r6),
      alu("mul", r7, r6),
      aluImm("rsh", r7, 3),
      aluImm("and", r7, 255),
      addTo(r1, fp, -16),
      storeImm(8, fp, -16, 7),
      storeImm(4, fp, -8, -1),
      store(8, fp, -16, r7),
      load(8, r2, fp, -16),
      load(4, r2, fp, -16),
      load(2, r2, fp, -16),
      load(1, r2, fp, -16),
      atomicAdd(8, r1, 0, r6),
      swap16(r7),
      aluImm("div", r7, 10),
      callHelper(5),
    ];
    expect(readBack(code)).toEqual([
      "r6 = 5",
      "r7 = r6",
      "r7 ^= r6",
      "r7 *= r6",
      "r7 >>= 3",
      "r7 &= 255",
      "r1 = r10",
      "r1 += -16",
      "*(u64 *)(r10 -16) = 7",
      "*(u32 *)(r10 -8) = -1",
      "*(u64 *)(r10 -16) = r7",
      "r2 = *(u64 *)(r10 -16)",
      "r2 = *(u32 *)(r10 -16)",
      "r2 = *(u16 *)(r10 -16)",
      "r2 = *(u8 *)(r10 -16)",
      "lock *(u64 *)(r1 +0) += r6",
      "r7 = be16 r7",
      "r7 /= 10",
      "call bpf_ktime_get_ns#5",
    ]);
  });

  test("reads jumps to where their labels are", () => {
    const code = [
      callHelper(5),
      jumpIfImm(r0, "==", 1, "a"),
      labelHere("a"),
      jumpIfImm(r0, "s<=", 2, "b"),
      labelHere("b"),
      jump32IfImm(r0, "set", 4, "c"),
      labelHere("c"),
      mov(r1, r0),
      jumpIf(r1, ">", r0, "d"),
      jump("d"),
      labelHere("d"),
    ];
    expect(readBack(code).slice(0, 7)).toEqual([
      "call bpf_ktime_get_ns#5",
      "if r0 == 0x1 goto pc+0",
      "if r0 s<= 0x2 goto pc+0",
      "if w0 & 0x4 goto pc+0",
      "r1 = r0",
      "if r1 > r0 goto pc+1",
      "goto pc+0",
    ]);
  });

  test("reads 64-bit immediates and maps", () => {
    using map = new BpfMap({ type: "array", name: "tw_test", keyBytes: 4, valueBytes: 16, entries: 1 });
    const [number, whole, value] = readBack([
      loadImm64(r1, 0x1234_5678_9abc_def0n),
      loadMap(r1, map),
      loadMapValue(r1, map, 8),
    ]);
    expect(number).toBe("r1 = 0x123456789abcdef0");
    expect(whole).toMatch(/^r1 = 0x/);
    expect(value).toMatch(/^r1 = 0x/);
  });

  test("has its word in the error, with the program's name", () => {
    expect(
      () => new BpfProgram("endless", assemble([labelHere("a"), jump("a"), exitInstruction]), { tracepoint }),
    ).toThrow(/the program endless.*E/);
  });

  test("lets nobody change a map that is frozen", () => {
    using map = new BpfMap({ type: "array", name: "tw_test", keyBytes: 4, valueBytes: 4, entries: 1 });
    expect(map.update(pinned(4), pinned(4))).toBe(true);
    map.freeze();
    expect(map.update(pinned(4), pinned(4))).toBe(false);
  });

  test("looks at less than a tenth of what it may, for each of the sensor's programs", () => {
    using sensor = openEbpfSensor({ environmentNames: defaultEnvironmentNames });
    sensor.watchNetwork({ kinds: ["connect", "send", "listen"], filters: noFilters });
    for (const [name, { verifiedInstructions, machineBytes }] of sensor.programs()) {
      expect([name, verifiedInstructions < 100_000, machineBytes < 4096]).toEqual([name, true, true]);
    }
  });

  test("looks at as little where they prevent", () => {
    using sensor = openEbpfSensor({ prevention: { carriers: carrierNames() } });
    expect(sensor.preventionProblem).toBeUndefined();
    for (const [name, { verifiedInstructions, machineBytes }] of sensor.programs()) {
      expect([name, verifiedInstructions < 100_000, machineBytes < 8192]).toEqual([name, true, true]);
    }
  });

  test("takes the programs of a host with one hierarchy of cgroups, and with systemd's beside it", () => {
    for (const systemd of [undefined, { number: 1, young: false }, { number: 1, young: true }]) {
      const kernel = readKernelLayout(() => systemd);
      new LoadedPrograms(kernel, { ringBytes: 65_536, argsBytes: 4096, environmentNames: [] })[
        Symbol.dispose
      ]();
    }
  });

  test("takes copies of the programs, of which the first reports each event and the others nothing again", () => {
    const kernel = { ...readKernelLayout(), hasPreemptiblePrograms: true };
    using loaded = new LoadedPrograms(kernel, {
      ringBytes: 1 << 20,
      argsBytes: 4096,
      environmentNames: [],
    });
    const seen: string[] = [];
    const decoder = new Decoder({ audit: true, cgroups: true });
    const reader = new RingReader(loaded.ring);
    const pids = [1, 2, 3].map(() => Bun.spawnSync(["true"]).pid);
    reader.drain(
      (bytes, words, start, end) =>
        decoder.decode(bytes, words, start, end, (event) => {
          if ("pid" in event && event.pid !== undefined && pids.includes(event.pid))
            seen.push(`${event.kind} ${event.pid}`);
        }),
      1 << 20,
      false,
    );
    expect(seen.filter((text) => !text.startsWith("user"))).toEqual(
      pids.flatMap((pid) => [`fork ${pid}`, `exec ${pid}`, `exit ${pid}`]),
    );
  });

  test("loads the programs with arguments of 64 KiB, too", () => {
    using sensor = openEbpfSensor({ argumentBytes: 65_536 });
    const long = "a".repeat(60_000);
    Bun.spawnSync(["true", long]);
    const args: (readonly string[] | undefined)[] = [];
    sensor.drain((event) => {
      if (event.kind === "exec") args.push(event.facts.args);
    });
    expect(args.some((list) => list?.[1] === long)).toBe(true);
  });
});

describe.skipIf(reason !== undefined)("a map", () => {
  const key = (value: number) => {
    const bytes = pinned(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return bytes;
  };

  test("keeps, gives and forgets values", () => {
    using map = new BpfMap({ type: "hash", name: "tw_test", keyBytes: 4, valueBytes: 4, entries: 2 });
    const value = pinned(4);
    expect(map.lookup(key(1), value)).toBe(false);
    map.update(key(1), key(77));
    expect(map.lookup(key(1), value)).toBe(true);
    expect(new DataView(value.buffer).getUint32(0, true)).toBe(77);
    expect(map.delete(key(1))).toBe(true);
    expect(map.delete(key(1))).toBe(false);
  });

  test("that is full says so", () => {
    using map = new BpfMap({ type: "hash", name: "tw_test", keyBytes: 4, valueBytes: 4, entries: 1 });
    map.update(key(1), key(1));
    expect(map.update(key(2), key(2))).toBe(false);
    expect(() => map.set(key(2), key(2))).toThrow("bpf MAP_UPDATE_ELEM tw_test: E2BIG");
  });

  test("of an impossible shape is refused, by name", () => {
    expect(
      () => new BpfMap({ type: "ringBuffer", name: "tw_test", keyBytes: 0, valueBytes: 0, entries: 1000 }),
    ).toThrow("bpf MAP_CREATE tw_test: EINVAL");
  });
});

test.skipIf(reason !== undefined)("a program's machine code and verified instructions are known", () => {
  using program = new BpfProgram("tw_test", assemble([movImm(r0, 0), exitInstruction]), { tracepoint });
  const { verifiedInstructions, machineBytes, missed } = programInfo(program);
  expect(missed).toBe(0);
  expect(machineBytes).toBeGreaterThan(0);
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const tells = major > 5 || (major === 5 && minor >= 16);
  expect(verifiedInstructions).toBe(tells ? 2 : 0);
});
