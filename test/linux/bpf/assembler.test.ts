// Encodings worked out by hand from the kernel's instruction-set.rst; test/system/ebpf-verifier.test.ts has the kernel
// itself read them back.
import { describe, expect, test } from "bun:test";
import {
  AssemblerError,
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
  r9,
  store,
  storeImm,
  swap16,
} from "../../../src/linux/bpf/assembler.ts";

const hex = (code: Code) => Buffer.from(assemble(code)).toString("hex");

describe("one instruction", () => {
  const cases: readonly (readonly [string, Code, string])[] = [
    ["r0 = 0", movImm(r0, 0), "b700000000000000"],
    ["r6 = r1", mov(r6, r1), "bf16000000000000"],
    ["r2 += -8", aluImm("add", r2, -8), "07020000f8ffffff"],
    ["r0 >>= 32", aluImm("rsh", r0, 32), "7700000020000000"],
    ["r6 *= r7", alu("mul", r6, r7), "2f76000000000000"],
    ["r1 /= 10000000", aluImm("div", r1, 10_000_000), "3701000080969800"],
    ["r1 = be16 r1", swap16(r1), "dc01000010000000"],
    ["r6 ^= r0", alu("xor", r6, r0), "af06000000000000"],
    ["r7 = *(u64 *)(r6 + 8)", load(8, r7, r6, 8), "7967080000000000"],
    ["r1 = *(u32 *)(r6 + 0)", load(4, r1, r6, 0), "6161000000000000"],
    ["r1 = *(u16 *)(r6 - 2)", load(2, r1, r6, -2), "6961feff00000000"],
    ["r1 = *(u8 *)(r6 + 1)", load(1, r1, r6, 1), "7161010000000000"],
    ["*(u64 *)(r10 - 8) = r1", store(8, fp, -8, r1), "7b1af8ff00000000"],
    ["*(u32 *)(r7 + 4) = 1", storeImm(4, r7, 4, 1), "6207040001000000"],
    ["lock *(u64 *)(r1 + 0) += r2", atomicAdd(8, r1, 0, r2), "db21000000000000"],
    ["call 5", callHelper(5), "8500000005000000"],
    ["exit", exitInstruction, "9500000000000000"],
    ["r1 = 0x123456789abcdef0 ll", loadImm64(r1, 0x1234_5678_9abc_def0n), "18010000f0debc9a0000000078563412"],
    ["r1 = map 7", loadMap(r1, { fd: 7 }), "18110000070000000000000000000000"],
    ["r1 = value of map 7, + 16", loadMapValue(r1, { fd: 7 }, 16), "18210000070000000000000010000000"],
  ];
  for (const [text, code, expected] of cases) test(text, () => expect(hex(code)).toBe(expected));
});

describe("jumps", () => {
  test("a jump forward counts the instructions it leaves out", () => {
    expect(hex([jumpIfImm(r0, "==", 0, "end"), movImm(r0, 1), labelHere("end"), exitInstruction])).toBe(
      "1500010000000000b7000000010000009500000000000000",
    );
  });

  test("a jump back counts itself", () => {
    expect(hex([labelHere("again"), movImm(r0, 1), jump("again")])).toBe("b7000000010000000500feff00000000");
  });

  test("a 64-bit immediate counts as two instructions", () => {
    expect(
      hex([jumpIf(r1, ">", r2, "end"), loadImm64(r0, 1n), labelHere("end"), exitInstruction]).slice(0, 16),
    ).toBe("2d21020000000000");
  });

  test("signed, 32-bit and bit-test comparisons have their own codes", () => {
    const to = (code: Code) => hex([code, labelHere("end")]);
    expect(to(jumpIfImm(r0, "s<=", 0, "end"))).toBe("d500000000000000");
    expect(to(jump32IfImm(r0, "!=", 0, "end"))).toBe("5600000000000000");
    expect(to(jump32IfImm(r0, "set", 4, "end"))).toBe("4600000004000000");
  });
});

test("nested lists read from top to bottom", () => {
  expect(hex([[movImm(r0, 1)], [[movImm(r1, 2)], exitInstruction]])).toBe(
    hex([movImm(r0, 1), movImm(r1, 2), exitInstruction]),
  );
});

test("adding nothing needs no addition", () => {
  expect(hex(addTo(r9, r7, 0))).toBe(hex(mov(r9, r7)));
  expect(hex(addTo(r9, r7, -8))).toBe(hex([mov(r9, r7), aluImm("add", r9, -8)]));
});

describe("what cannot be encoded is refused", () => {
  test("a label that is missing", () => expect(() => assemble(jump("nowhere"))).toThrow(AssemblerError));
  test("a label that is there twice", () =>
    expect(() => assemble([labelHere("a"), labelHere("a")])).toThrow("there twice"));
  test("an offset beyond 16 bits", () => expect(() => load(8, r1, r2, 40_000)).toThrow(AssemblerError));
  test("an immediate beyond 32 bits", () => expect(() => movImm(r1, 2 ** 33)).toThrow(AssemblerError));
  test("a jump beyond 16 bits", () => {
    const far = new Array<Code>(33_000).fill(movImm(r0, 0));
    expect(() => assemble([jump("end"), far, labelHere("end")])).toThrow("too far");
  });
});
