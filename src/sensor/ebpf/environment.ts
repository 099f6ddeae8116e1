// The environment of an exec, at the end of its record: of its variables, those that may be wanted. Only read when a rule
// asks for it, as the shared page says.
//
// The kernel has just written the environment and, below it on the new stack, argc, the pointers of argv, a null pointer
// and the pointers of the environment (create_elf_tables of fs/binfmt_elf.c). Both are copied into the scratch value, and
// the pointers tell where each variable begins. Copying costs little; what costs is the memory of the ring, which no
// cache holds, and in the reader all that is in a record. So the ring gets a variable only if its first two bytes are
// those of a wanted name. Where the pointers are not as expected (32-bit programs have others, as do formats other than ELF),
// the record has the environment whole. The reader looks for the names in either (../environment-reader.ts).
import {
  addTo,
  alu,
  aluImm,
  type Code,
  callHelper,
  fp,
  jump,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMapValue,
  type MapReference,
  mov,
  movImm,
  r0,
  r1,
  r2,
  r3,
  r4,
  r6,
  r7,
  r9,
  store,
} from "../../linux/bpf/assembler.ts";
import { helpers } from "../../linux/bpf/helpers.ts";
import { pinned } from "../../linux/bpf/syscall.ts";
import { appendUserMemory, execArguments, type ProgramMaps, setFlag } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import {
  ENVIRONMENT_BYTES,
  environmentLayout,
  execLayout,
  MOST_VARIABLES,
  recordFlags,
  recordLimit,
  sharedLayout,
  walkState,
} from "./layout.ts";
import { readShared } from "./wakeup.ts";

/** The scratch word of code.ts. */
const BYTES = -8;
/** Size of the words on the stack that `readEnvironment` uses. */
const STACK_BYTES = 16;

// The state of the walk, which has ended, has the record's end and the number of variables. The verifier knows nothing of
// what is loaded from there, so that the rounds of the loop, of which each variable may be picked or not, do not differ.
const END = walkState.end - walkState.size;
const COUNT = walkState.dentry - walkState.size;

/** Size of a pointer on the stack of a 64-bit program. */
const POINTER_BYTES = 8;
/** A bit for each value of two bytes. */
export const BEGINNINGS_BYTES = 0x1_0000 / 8;

/** The place on the stack where the program has stored its context, and where `STACK_BYTES` below `free` are free. */
export interface EnvironmentStack {
  readonly context: number;
  readonly free: number;
}

/**
 * Appends wanted variables of the environment to the record at r7, which ends at offset r9, and moves r9. If the
 * environment cannot be read whole, none is appended: from a part nobody can tell that a variable is not set. The
 * environment's pages are present, because the kernel has just written them. Jumps to `lost` if the record cannot be
 * completed, which does not happen. Keeps r7 and r8 only.
 */
export function readEnvironment(
  kernel: KernelLayout,
  maps: ProgramMaps,
  { context, free }: EnvironmentStack,
  lost: string,
): Code {
  const { task, mm, bprm } = kernel;
  const words = { start: free - 8, bytes: free - STACK_BYTES };
  const base = environmentLayout(recordLimit(maps.argsBytes));
  return [
    readShared(maps, r0, sharedLayout.environment),
    jumpIfImm(r0, "==", 0, "environment done"),
    store(8, r7, END, r9),
    load(8, r6, fp, context),
    load(8, r1, r6, execArguments.task),
    load(8, r1, r1, task.mm),
    load(8, r3, r1, mm.envStart),
    load(8, r2, r1, mm.envEnd),
    load(8, r9, r1, mm.startStack),
    store(8, fp, words.start, r3),
    alu("sub", r2, r3),
    jumpIfImm(r2, ">", ENVIRONMENT_BYTES, "environment unread"),
    store(8, fp, words.bytes, r2),
    // What lies there as pointers of 64 bits is text of the caller's choice in a program of 32 bits.
    [mov(r1, r9), aluImm("rsh", r1, 32)],
    jumpIfImm(r1, "==", 0, "environment whole"),
    addTo(r1, r7, base.strings),
    callHelper(helpers.probeReadUser),
    jumpIfImm(r0, "!=", 0, "environment unread"),

    load(8, r6, r6, execArguments.bprm),
    load(4, r2, r6, bprm.envc),
    store(8, r7, COUNT, r2),
    jumpIfImm(r2, "==", 0, "environment picked"),
    jumpIfImm(r2, ">", MOST_VARIABLES, "environment whole"),
    aluImm("mul", r2, POINTER_BYTES),
    load(4, r3, r6, bprm.argc),
    aluImm("mul", r3, POINTER_BYTES),
    alu("add", r3, r9),
    // argc itself, and the null pointer after those of argv.
    aluImm("add", r3, 2 * POINTER_BYTES),
    addTo(r1, r7, base.pointers),
    callHelper(helpers.probeReadUser),
    jumpIfImm(r0, "!=", 0, "environment whole"),
    load(8, r9, fp, words.start),
    [addTo(r1, r7, base.pointers), load(8, r1, r1, 0)],
    jumpIf(r1, "!=", r9, "environment whole"),
    pickVariables(maps, base, words),

    labelHere("environment picked"),
    load(8, r9, r7, END),
    jumpIfImm(r9, ">", base.end, lost),
    jump("environment read"),

    // What was picked until then is overwritten.
    labelHere("environment whole"),
    load(4, r9, r7, execLayout.cwdEnd),
    jumpIfImm(r9, ">", recordLimit(maps.argsBytes), lost),
    load(8, r2, fp, words.bytes),
    jumpIfImm(r2, ">", ENVIRONMENT_BYTES, lost),
    load(8, r3, fp, words.start),
    appendUserMemory(BYTES, ENVIRONMENT_BYTES, "environment unreadable"),
    labelHere("environment read"),
    store(4, r7, execLayout.environmentEnd, r9),
    jump("environment done"),

    labelHere("environment unread"),
    load(8, r9, r7, END),
    labelHere("environment unreadable"),
    jumpIfImm(r9, ">", recordLimit(maps.argsBytes), lost),
    setFlag(execLayout.flags, recordFlags.environmentUnread),
    labelHere("environment done"),
  ];
}

/** Places on the stack: where the environment lies, and its size. */
interface Words {
  readonly start: number;
  readonly bytes: number;
}

/** Appends those variables whose pointers and texts are in the scratch value that a name may match. r9 is `words.start`. */
function pickVariables(
  { environmentNames }: ProgramMaps,
  { strings, pointers, end }: ReturnType<typeof environmentLayout>,
  words: Words,
): Code {
  // r6: index of the next variable.
  return [
    movImm(r6, 0),
    labelHere("next variable"),
    jumpIfImm(r6, ">=", MOST_VARIABLES, "environment picked"),
    load(8, r1, r7, COUNT),
    jumpIf(r6, ">=", r1, "environment picked"),
    readOffset(r3, pointers),
    aluImm("add", r6, 1),
    mov(r4, r7),
    alu("add", r4, r3),
    [aluImm("add", r4, strings), load(2, r0, r4, 0)],
    beginsAsName(environmentNames, "wanted variable"),
    jump("next variable"),

    labelHere("wanted variable"),
    store(8, fp, BYTES, r3),
    load(8, r2, fp, words.bytes),
    load(8, r1, r7, COUNT),
    jumpIf(r6, ">=", r1, "last variable"),
    readOffset(r2, pointers),
    labelHere("last variable"),
    load(8, r3, fp, BYTES),
    alu("sub", r2, r3),
    jumpIfImm(r2, ">", ENVIRONMENT_BYTES, "environment whole"),
    load(8, r4, r7, END),
    jumpIfImm(r4, ">", end, "environment whole"),
    mov(r1, r4),
    alu("add", r4, r2),
    store(8, r7, END, r4),
    alu("add", r1, r7),
    jumpIfImm(r3, ">", ENVIRONMENT_BYTES, "environment whole"),
    alu("add", r3, r7),
    aluImm("add", r3, strings),
    callHelper(helpers.probeReadKernel),
    jump("next variable"),
  ];
}

/** Code for `dst` = where the variable r6 begins, from the beginning of the environment. r9 is `words.start`. Loses r1. */
function readOffset(dst: typeof r2 | typeof r3, pointers: number): Code {
  return [
    mov(r1, r6),
    aluImm("mul", r1, POINTER_BYTES),
    alu("add", r1, r7),
    [aluImm("add", r1, pointers), load(8, dst, r1, 0)],
    alu("sub", dst, r9),
    jumpIfImm(dst, ">", ENVIRONMENT_BYTES, "environment whole"),
  ];
}

/**
 * Jumps to `target` if a wanted name begins with the variable's first two bytes, which are in r0. One test for all names:
 * the verifier follows each branch of each round of the loop. Loses r0 to r2.
 */
function beginsAsName(beginnings: MapReference, target: string): Code {
  return [
    mov(r2, r0),
    aluImm("rsh", r2, 3),
    loadMapValue(r1, beginnings),
    alu("add", r1, r2),
    load(1, r1, r1, 0),
    aluImm("and", r0, 7),
    alu("rsh", r1, r0),
    jumpIfImm(r1, "set", 1, target),
  ];
}

/**
 * The value of the map `ProgramMaps.environmentNames`: one bit for each pair of first bytes, set for those of `names`. A
 * name of one letter has its `=` in the second.
 */
export function environmentBeginnings(names: readonly string[]): Uint8Array<ArrayBuffer> {
  const bits = pinned(BEGINNINGS_BYTES);
  for (const name of names) {
    const [first = 0, second = 0] = Buffer.from(`${name}=`);
    const beginning = first | (second << 8);
    bits[beginning >> 3] = (bits[beginning >> 3] ?? 0) | (1 << (beginning & 7));
  }
  return bits;
}
