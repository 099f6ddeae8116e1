// Filters of system calls, run by an interpreter of the few instructions that they consist of.
import { describe, expect, test } from "bun:test";
import type { FilterInstruction } from "../../src/linux/classic-bpf.ts";
import { type CallRule, OWN_PID, systemCallFilter } from "../../src/linux/seccomp.ts";
import { isSystemCall, type SystemCall, systemCallNumber } from "../../src/linux/system-calls.ts";

const [ALLOW, EPERM, ENOSYS] = ["allow", "EPERM", "ENOSYS"] as const;
/** linux/seccomp.h: SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with the numbers of asm-generic/errno-base.h and errno.h. */
const answers = new Map([
  [0x7fff_0000, ALLOW],
  [0x0005_0001, EPERM],
  [0x0005_0026, ENOSYS],
]);
const here = process.arch === "arm64" ? 0xc000_00b7 : 0xc000_003e;

/** What the kernel would answer to a call, and the number of instructions it took. */
function judge(
  filter: readonly FilterInstruction[],
  number: number,
  args: readonly number[] = [],
  architecture = here,
): { readonly answer: string | undefined; readonly steps: number } {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, architecture, true);
  for (const [i, value] of args.entries())
    data.setBigUint64(16 + i * 8, BigInt.asUintN(64, BigInt(value)), true);
  let loaded = 0;
  let steps = 1;
  for (let i = 0; ; i += 1, steps += 1) {
    const instruction = filter[i];
    if (instruction === undefined) throw new Error("the filter ends without an answer");
    const [code, yes, no, operand] = instruction;
    if (code === 0x20) loaded = data.getUint32(operand, true);
    else if (code === 0x54) loaded = (loaded & operand) >>> 0;
    else if (code === 0x15) i += loaded === operand ? yes : no;
    else if (code === 0x35) i += loaded >= operand ? yes : no;
    else return { answer: answers.get(operand), steps };
  }
}

function filterOf(rules: Readonly<Partial<Record<SystemCall, CallRule>>>): readonly FilterInstruction[] {
  const map = new Map<SystemCall, CallRule>();
  for (const [call, rule] of Object.entries(rules)) if (isSystemCall(call)) map.set(call, rule);
  return systemCallFilter(map);
}

function numberOf(call: SystemCall): number {
  const number = systemCallNumber(call);
  if (number === null) throw new Error(`no ${call} on this architecture`);
  return number;
}

describe("a filter of system calls", () => {
  const filter = filterOf({ read: true, write: true, futex: true, statx: true, pidfd_open: true });
  const allowed = new Set((["read", "write", "futex", "statx", "pidfd_open"] as const).map(numberOf));

  test("allows what it names and refuses every other number", () => {
    for (let number = 0; number < 600; number += 1) {
      const expected = allowed.has(number) ? ALLOW : number < 424 ? EPERM : ENOSYS;
      expect([number, judge(filter, number).answer]).toEqual([number, expected]);
    }
  });

  test("answers clone3 and io_uring as a kernel that does not have them: the C library does without", () => {
    for (const number of [425, 426, 427, 435]) expect(judge(filter, number).answer).toBe(ENOSYS);
  });

  test("refuses the calls of another architecture and of the x32 numbers", () => {
    expect(judge(filter, numberOf("read"), [], 0x4000_0003).answer).toBe(ENOSYS);
    expect(judge(filter, 0x4000_0000 + numberOf("read")).answer).toBe(ENOSYS);
    expect(judge(filter, 0xffff_ffff).answer).toBe(ENOSYS);
  });

  test("that allows nothing is a filter, too", () => {
    expect(judge(filterOf({}), 0).answer).toBe(EPERM);
    expect(judge(filterOf({}), 424).answer).toBe(ENOSYS);
  });
});

describe("a call that is allowed with some arguments only", () => {
  test("by bits: memory that is not executable", () => {
    const filter = filterOf({ mmap: [[{ argument: 2, mask: 4, equals: 0 }]] });
    expect(judge(filter, numberOf("mmap"), [0, 4096, 3]).answer).toBe(ALLOW);
    expect(judge(filter, numberOf("mmap"), [0, 4096, 7]).answer).toBe(EPERM);
  });

  test("by two arguments: a family with one protocol, another family with any", () => {
    const filter = filterOf({
      socket: [
        [
          { argument: 0, equals: 16 },
          { argument: 2, equals: 11 },
        ],
        [{ argument: 0, equals: 2 }],
      ],
    });
    const socket = numberOf("socket");
    expect(judge(filter, socket, [16, 3, 11]).answer).toBe(ALLOW);
    expect(judge(filter, socket, [16, 3, 0]).answer).toBe(EPERM);
    expect(judge(filter, socket, [2, 1, 0]).answer).toBe(ALLOW);
    expect(judge(filter, socket, [1, 1, 0]).answer).toBe(EPERM);
  });

  test("by the pid of the process itself", () => {
    const filter = filterOf({ tgkill: [[{ argument: 0, equals: OWN_PID }]] });
    expect(judge(filter, numberOf("tgkill"), [process.pid, 1, 9]).answer).toBe(ALLOW);
    expect(judge(filter, numberOf("tgkill"), [1, 1, 9]).answer).toBe(EPERM);
  });
});
