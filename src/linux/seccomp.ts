// seccomp(2): a filter of system calls for this process and its children. It is a program of classic BPF
// (linux/filter.h, linux/bpf_common.h) over struct seccomp_data (linux/seccomp.h).

import { constants } from "node:os";
import { encodeFilter, type FilterInstruction } from "./classic-bpf.ts";
import { bindLibc, checked, EINVAL, EPERM, errno } from "./libc.ts";
import { getpid } from "./process.ts";
import { type SystemCall, systemCall, systemCallNumber } from "./system-calls.ts";

const libc = bindLibc({ syscall: { args: ["i64", "u32", "u32", "ptr"], returns: "i64" } });

// linux/seccomp.h
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_GET_ACTION_AVAIL = 2;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
const SECCOMP_RET_ERRNO = 0x0005_0000;
/** Offsets in struct seccomp_data: the number, the architecture, the low halves of the arguments. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const ARGUMENTS = 16;
/** The C library has no wrapper. */
const SYS_seccomp = systemCall("seccomp");
/** linux/audit.h: AUDIT_ARCH_AARCH64 and AUDIT_ARCH_X86_64. */
const auditArchitecture = process.arch === "arm64" ? 0xc000_00b7 : 0xc000_003e;

/** Compares the low 32 bits of an argument, which are all that the kernel looks at in flags, families and pids. */
export interface ArgumentTest {
  /** Counted from 0. */
  readonly argument: number;
  /** Bits to compare; all by default. */
  readonly mask?: number;
  /** `OWN_PID` stands for the pid of the process that the filter is made for. */
  readonly equals: number | typeof OWN_PID;
}

/** A table of rules is made before the process is known that they are for. */
export const OWN_PID = "own pid";

/** Allowed whatever the arguments are, or only if all tests of one of these lists hold. */
export type CallRule = true | readonly (readonly ArgumentTest[])[];

const load = (offset: number): FilterInstruction => [0x20, 0, 0, offset];
const and = (mask: number): FilterInstruction => [0x54, 0, 0, mask];
const answer = (action: number): FilterInstruction => [0x06, 0, 0, action];
/** Skips `count` instructions if the loaded number equals `value`, respectively is at least `value`. */
const skipIfEqual = (value: number, count: number): FilterInstruction => [0x15, skip(count), 0, value];
const skipIfNotEqual = (value: number, count: number): FilterInstruction => [0x15, 0, skip(count), value];
const skipIfAtLeast = (value: number, count: number): FilterInstruction => [0x35, skip(count), 0, value];

function skip(count: number): number {
  if (count > 255) throw new RangeError("the filter is too long for its jumps");
  return count;
}

const refuse = SECCOMP_RET_ERRNO | EPERM;
const unknown = SECCOMP_RET_ERRNO | constants.errno.ENOSYS;
/**
 * Calls from this number on came with Linux 5.1 and later and have one number on all architectures. The C library and
 * the runtime try them first, and fall back on older ones only if the kernel answers that it does not have them.
 */
const RECENT = 424;

/** Numbers from `from` up to the next segment's get the same `code`. */
interface Segment {
  readonly from: number;
  readonly code: readonly FilterInstruction[];
}

/**
 * A filter that allows the calls in `rules` and refuses all others: with ENOSYS what a program may do without, else
 * with EPERM. A refused call does not end the process.
 */
export function systemCallFilter(rules: ReadonlyMap<SystemCall, CallRule>): readonly FilterInstruction[] {
  const allowed = [...rules]
    .flatMap(([call, rule]) => {
      const number = systemCallNumber(call);
      return number === null ? [] : [{ number, code: codeOf(rule) }];
    })
    .sort((a, b) => a.number - b.number);
  const segments: Segment[] = [{ from: 0, code: [answer(refuse)] }];
  const begin = (from: number, code: readonly FilterInstruction[]): void => {
    const last = segments.at(-1);
    if (last?.from === from) segments.pop();
    const before = segments.at(-1);
    if (before === undefined || !sameCode(before.code, code)) segments.push({ from, code });
  };
  let next = 0;
  for (const { number, code } of allowed) {
    if (number >= RECENT && next < RECENT) begin(RECENT, [answer(unknown)]);
    begin(number, code);
    next = number + 1;
    begin(next, [answer(next >= RECENT ? unknown : refuse)]);
  }
  if (next < RECENT) begin(RECENT, [answer(unknown)]);
  return [
    load(ARCHITECTURE),
    skipIfEqual(auditArchitecture, 1),
    answer(unknown),
    load(NUMBER),
    ...search(segments),
  ];
}

/** A binary search: every call costs the same few comparisons, where the kernel does not remember the answer anyway. */
function search(segments: readonly Segment[]): readonly FilterInstruction[] {
  const half = segments.length >> 1;
  const middle = segments[half];
  if (half === 0 || middle === undefined) return segments[0]?.code ?? [];
  const below = search(segments.slice(0, half));
  return [skipIfAtLeast(middle.from, below.length), ...below, ...search(segments.slice(half))];
}

function codeOf(rule: CallRule): readonly FilterInstruction[] {
  if (rule === true) return [answer(SECCOMP_RET_ALLOW)];
  const alternatives = rule.flatMap((tests) => {
    const code: FilterInstruction[] = [answer(SECCOMP_RET_ALLOW)];
    for (const { argument, mask, equals } of tests.toReversed()) {
      code.unshift(skipIfNotEqual((equals === OWN_PID ? getpid() : equals) >>> 0, code.length));
      if (mask !== undefined) code.unshift(and(mask >>> 0));
      code.unshift(load(ARGUMENTS + argument * 8));
    }
    return code;
  });
  return [...alternatives, answer(refuse)];
}

function sameCode(a: readonly FilterInstruction[], b: readonly FilterInstruction[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** True if the kernel has filters whose answer is an error number (Linux 4.14 with CONFIG_SECCOMP_FILTER). */
export function hasSystemCallFilters(): boolean {
  const action = new Uint32Array([SECCOMP_RET_ERRNO]);
  return Number(libc.syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, action)) === 0;
}

/**
 * Applies a filter to all threads of this process, for good, and sets no_new_privs in all of them. Needs no_new_privs
 * in the calling thread.
 */
export function applyFilter(filter: readonly FilterInstruction[]): void {
  const { header, instructions } = encodeFilter(filter);
  const set = (flags: number): number =>
    Number(libc.syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, header));
  // Before Linux 5.16 a filter would also turn on a slow mitigation in the processor, for code that runs foreign
  // scripts. Kernels before 4.17 do not know the flag.
  let result = set(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  if (result < 0 && errno() === EINVAL) result = set(SECCOMP_FILTER_FLAG_TSYNC);
  // Using the instructions after the call keeps the garbage collector from freeing them before.
  checked("seccomp", result, `${instructions.length / 8} instructions`);
  if (result > 0) throw new RangeError(`seccomp: thread ${result} has another filter`);
}
