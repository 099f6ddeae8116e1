// Code that the programs share. r7 points to the record that is being written, fp - 8 is a scratch word.
//
// Kernel memory is read in two ways. A plain load follows pointers whose struct the verifier knows, starting at the
// tracepoint's arguments; unless the verifier has proved the pointer valid, a bad address reads as zeros. All other
// memory is read by bpf_probe_read_kernel, which also reads zeros for a bad address and costs ten times as much.
import {
  addTo,
  alu,
  aluImm,
  atomicAdd,
  type Code,
  callHelper,
  callKernel,
  exitInstruction,
  fp,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMap,
  loadMapValue,
  type MapReference,
  mov,
  movImm,
  type Register,
  r0,
  r1,
  r2,
  r3,
  r4,
  r6,
  r7,
  r8,
  r9,
  store,
  storeImm,
  type Width,
} from "../../linux/bpf/assembler.ts";
import { BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, helpers } from "../../linux/bpf/helpers.ts";
import { NS_PER_TICK } from "../../linux/ticks.ts";
import type { KernelLayout } from "./kernel.ts";
import { ELEMENT_MAX, FIELD_BYTES, markLayout, walkState } from "./layout.ts";
import type { PreventionMaps } from "./prevention/entries.ts";
import type { HashKey } from "./wakeup.ts";

/** Offsets of the arguments of tracepoint sched_process_exec(task, old pid, linux_binprm) in the program's context. */
export const execArguments = { task: 0, bprm: 16 } as const;

/** One of the copies of a program, see copies.ts. It acts only where none before it has marked that it did. */
export interface ProgramCopy {
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** LRU hash from `markLayout` to u64: what the copies have acted on. */
  readonly marks: MapReference;
}

/** What the programs use: maps, limits, functions of the kernel. */
export interface ProgramMaps {
  readonly preemption: KernelLayout["preemption"];
  /** Undefined where one copy of each program suffices. */
  readonly copy: ProgramCopy | undefined;
  readonly ring: MapReference;
  /** If this number of bytes waits in the ring, every record wakes the reader. */
  readonly fillLevel: number;
  /** With this number of bytes waiting, only signals are written: the rest of the ring is theirs. */
  readonly eventsRoom: number;
  /** The shared page: an array of one value. */
  readonly shared: MapReference;
  /** An array with one scratch value for each CPU. */
  readonly scratch: MapReference;
  /** Maximum bytes of arguments to read. */
  readonly argsBytes: number;
  /** An array of one value, which says what the names of wanted environment variables begin with; see environment.ts. */
  readonly environmentNames: MapReference;
  /** Holds the walk program at index 0. */
  readonly programs: MapReference;
  /** Hash from u64 thread group to `lineageLayout`. Only maintained under the wake-up policy `unsettled`. */
  readonly lineages: MapReference;
  /** The secret of the hashes of lineages and execs. */
  readonly hashKey: HashKey;
  /** LRU hash from u64 settle key to u32. */
  readonly settled: MapReference;
  /** Undefined: nothing is prevented. */
  readonly prevention: PreventionMaps | undefined;
}

/**
 * Begins a program: keeps other processes from running on this CPU until `leave`. From Linux 7.0 on, programs on
 * tracepoints can be preempted, and the kernel skips a run of the same program meanwhile, so its event would be lost. r1
 * is the program's context. Loses the other registers.
 */
export function enter({ preemption }: Pick<ProgramMaps, "preemption">): Code {
  return preemption === undefined ? [] : [mov(r6, r1), callKernel(preemption.disable), mov(r1, r6)];
}

/** Ends a program that `enter` began. */
export function leave({ preemption }: Pick<ProgramMaps, "preemption">): Code {
  return [preemption === undefined ? [] : callKernel(preemption.enable), movImm(r0, 0), exitInstruction];
}

/**
 * Ends the program and begins that of walk.ts in its place, with the context that is saved on the stack at `context`. Goes
 * on only if the kernel's limit of such calls is reached. The kernel permits no such call without preemption.
 */
export function callWalk({ preemption, programs }: ProgramMaps, context: number): Code {
  return [
    preemption === undefined ? [] : callKernel(preemption.enable),
    load(8, r1, fp, context),
    loadMap(r2, programs),
    movImm(r3, 0),
    callHelper(helpers.tailCall),
    preemption === undefined ? [] : callKernel(preemption.disable),
  ];
}

// Words on the stack while `claim` runs, before the programs have anything else there.
const MARK_KEY = -32;
const MARK_VALUE = -40;

/** Sets r0 to the value of the key on the stack; 0: none. Loses r1 to r5. */
export function lookUp(map: MapReference, key: number): Code {
  return [loadMap(r1, map), addTo(r2, fp, key), callHelper(helpers.mapLookup)];
}

/**
 * Jumps to `taken` if a copy of this program has acted on the event: that of `kind`, of the process whose id is in r1, which
 * the number in r2 distinguishes from earlier ones. Loses r0 to r5.
 */
export function claim({ copy }: Pick<ProgramMaps, "copy">, kind: number, taken: string): Code {
  if (copy === undefined) return [];
  const place = [loadMap(r1, copy.marks), addTo(r2, fp, MARK_KEY)];
  const look = [
    [place, callHelper(helpers.mapLookup), jumpIfImm(r0, "==", 0, "not taken")],
    [load(8, r1, r0, 0), load(8, r2, fp, MARK_VALUE), jumpIf(r1, "==", r2, taken)],
    labelHere("not taken"),
  ];
  const mark = [place, addTo(r3, fp, MARK_VALUE), movImm(r4, 0), callHelper(helpers.mapUpdate)];
  return [
    store(8, fp, MARK_VALUE, r2),
    store(4, fp, MARK_KEY + markLayout.pid, r1),
    storeImm(4, fp, MARK_KEY + markLayout.kind, kind),
    copy.isFirst ? [] : look,
    copy.isLast ? [] : mark,
  ];
}

/** Reads `width` bytes at `src + offset` into the record at `field`. Loses r0 to r5. */
export function readInto(field: number, width: number, src: Register, offset: number): Code {
  return [
    addTo(r1, r7, field),
    movImm(r2, width),
    addTo(r3, src, offset),
    callHelper(helpers.probeReadKernel),
  ];
}

/** `dst` nanoseconds become clock ticks, as /proc/PID/stat has them. */
export function toTicks(dst: Register): Code {
  return aluImm("div", dst, NS_PER_TICK);
}

/** Code for `dst = *(src + offset)` in kernel memory. */
export type Read = (dst: Register, src: Register, offset: number, width?: Width) => Code;

/** A `Read` where the verifier knows the struct at `src`. Changes no other register. */
export function member(dst: Register, src: Register, offset: number, width: Width = 8): Code {
  return load(width, dst, src, offset);
}

/** A `Read` of any address. Loses r0 to r5. */
export function follow(dst: Register, src: Register, offset: number, width: Width = 8): Code {
  return [
    addTo(r1, fp, -8),
    movImm(r2, width),
    addTo(r3, src, offset),
    callHelper(helpers.probeReadKernel),
    load(width, dst, fp, -8),
  ];
}

/** Begins a record: writes its kind and time. Loses r0 to r5. */
export function begin(kind: number): Code {
  return [storeImm(4, r7, 0, kind), callHelper(helpers.ktimeGetNs), store(8, r7, 8, r0)];
}

/**
 * Sets r7 to the record in this CPU's scratch value, behind the kernel fields and the state of the walk. Jumps to
 * `missing` if there is no scratch value. Loses r0 to r5.
 */
export function findScratch(maps: ProgramMaps, missing: string): Code {
  return [
    callHelper(helpers.smpProcessorId),
    store(4, fp, -8, r0),
    loadMap(r1, maps.scratch),
    addTo(r2, fp, -8),
    callHelper(helpers.mapLookup),
    jumpIfImm(r0, "==", 0, missing),
    addTo(r7, r0, FIELD_BYTES + walkState.size),
  ];
}

/** ORs `bit` into the record's word at `field`. Loses r1. */
export function setFlag(field: number, bit: number): Code {
  return [load(4, r1, r7, field), aluImm("or", r1, bit), store(4, r7, field, r1)];
}

/**
 * Appends the NUL-terminated kernel string at r3 to the record at offset `end`, and moves `end` behind the NUL. The
 * verifier must know that `end` leaves `room` bytes. An unreadable string appends nothing. Loses r0 to r5.
 */
export function appendString(end: Register, room: number, skip: string): Code {
  return [
    mov(r1, r7),
    alu("add", r1, end),
    movImm(r2, room),
    callHelper(helpers.probeReadKernelStr),
    jumpIfImm(r0, "s<=", 0, skip),
    jumpIfImm(r0, ">", room, skip),
    alu("add", end, r0),
    labelHere(skip),
  ];
}

/**
 * Appends r2 bytes of the process's own memory at r3 to the record at offset r9, and moves r9. `bytes` is a word on the
 * stack, `limit` the most that r2 can be. Jumps to `unreadable` if they cannot be read. Loses r0 to r5.
 */
export function appendUserMemory(bytes: number, limit: number, unreadable: string): Code {
  return [
    store(8, fp, bytes, r2),
    mov(r1, r7),
    alu("add", r1, r9),
    callHelper(helpers.probeReadUser),
    jumpIfImm(r0, "!=", 0, unreadable),
    load(8, r4, fp, bytes),
    // Checked before, but older verifiers forget the bounds of values saved on the stack.
    jumpIfImm(r4, ">", limit, unreadable),
    alu("add", r9, r4),
  ];
}

/**
 * Begins a step of a loop that appends names. r9 is loaded from memory, so that the verifier knows no bounds of it: all
 * paths through a step then end in the same state, and it need not check 2^steps of them. `end` is the offset from r7
 * where r9 is saved. Jumps to `full` unless the record, of at most `limit` bytes, has room for another name.
 */
export function beginStep(end: number, limit: number, full: string): Code {
  return [load(8, r9, r7, end), jumpIfImm(r9, ">", limit - ELEMENT_MAX, full)];
}

/** Appends the name at r3 in such a loop. Loses r0 to r5. */
export function appendName(end: number, skip: string): Code {
  return [appendString(r9, ELEMENT_MAX, skip), store(8, r7, end, r9)];
}

/**
 * Writes the record at r7 to the ring and ends the program. `size` is code that sets r3 to the record's size. The
 * reader is woken if it had read everything before this record (the kernel's rule), if `wakeup` sets r8 to
 * BPF_RB_FORCE_WAKEUP, or if the ring fills up. A record that does not fit, or finds `room` bytes waiting, is counted in
 * the shared page at `lost`.
 */
export function emit(
  maps: ProgramMaps,
  size: Code,
  lost: number,
  { wakeup = movImm(r8, 0), room = maps.eventsRoom }: { readonly wakeup?: Code; readonly room?: number } = {},
): Code {
  return [
    wakeup,
    loadMap(r1, maps.ring),
    movImm(r2, BPF_RB_AVAIL_DATA),
    callHelper(helpers.ringbufQuery),
    jumpIfImm(r0, "<", maps.fillLevel, "output"),
    jumpIfImm(r0, ">=", room, "no room"),
    movImm(r8, BPF_RB_FORCE_WAKEUP),
    labelHere("output"),
    loadMap(r1, maps.ring),
    mov(r2, r7),
    size,
    mov(r4, r8),
    callHelper(helpers.ringbufOutput),
    jumpIfImm(r0, "==", 0, "end"),
    labelHere("no room"),
    countLost(maps, lost),
    labelHere("end"),
    leave(maps),
  ];
}

/** Counts an event whose record could not be built or did not fit into the ring. Loses r1 and r2. */
export function countLost(maps: ProgramMaps, lost: number): Code {
  return [loadMapValue(r1, maps.shared, lost), movImm(r2, 1), atomicAdd(8, r1, 0, r2)];
}
