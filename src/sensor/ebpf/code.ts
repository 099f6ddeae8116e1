// Pieces that the programs share. r7 is the record being written wherever one is, fp - 8 a scratch word.
//
// Kernel memory is read in two ways. By a plain load along pointers whose struct the verifier knows, from the
// tracepoint's arguments on: it makes the load one that gives zeros for a bad address, unless it has shown that the
// pointer is good. Else through bpf_probe_read_kernel, which gives zeros likewise and costs ten times as much.
import {
  addTo,
  alu,
  aluImm,
  atomicAdd,
  type Code,
  callHelper,
  exitInstruction,
  fp,
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
  r7,
  r8,
  r9,
  store,
  storeImm,
  type Width,
} from "../../linux/bpf/assembler.ts";
import { BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, helpers } from "../../linux/bpf/helpers.ts";
import { ELEMENT_MAX, FIELD_BYTES, walkState } from "./layout.ts";

/** What the programs work with. */
export interface ProgramMaps {
  readonly ring: MapReference;
  /** Bytes waiting in the ring from which on every record wakes the reader. */
  readonly fillLevel: number;
  /** The shared page: an array of one value. */
  readonly shared: MapReference;
  /** An array with one scratch value for each CPU. */
  readonly scratch: MapReference;
  /** Bytes of arguments to read. */
  readonly argsBytes: number;
  /** Holds the walk program at index 0. */
  readonly programs: MapReference;
  /** Least recently used hash, u64 pid to u64: what its lineage hashes to. Only kept under the wake-up policy `unsettled`. */
  readonly lineages: MapReference;
  /** Least recently used hash, u64 settle key to u32. */
  readonly settled: MapReference;
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

/** `dst = *(src + offset)`, in the kernel's memory. */
export type Read = (dst: Register, src: Register, offset: number, width?: Width) => Code;

/** A `Read` where the verifier knows the struct at `src`. Loses nothing. */
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

/** Begins a record: its kind and time. Loses r0 to r5. */
export function begin(kind: number): Code {
  return [storeImm(4, r7, 0, kind), callHelper(helpers.ktimeGetNs), store(8, r7, 8, r0)];
}

/** `r7` = the record in this CPU's scratch, kernel fields and the walk's state in front of it; goes to `missing` if there is none. Loses r0 to r5. */
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
 * Appends the NUL-terminated kernel string at r3 to the record at offset `end`, which moves behind its NUL. `end` must
 * be known to leave `room` bytes. An unreadable string appends nothing. Loses r0 to r5.
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
 * Begins a step of a loop that appends names: r9 comes from memory, where the verifier knows nothing of it, so that all
 * ways through a step end in the same state and it need not follow each of them 2^steps times. `end`: the offset from
 * r7 where r9 is kept. Goes to `full` unless the record, `limit` bytes at most, has room for one name more.
 */
export function beginStep(end: number, limit: number, full: string): Code {
  return [load(8, r9, r7, end), jumpIfImm(r9, ">", limit - ELEMENT_MAX, full)];
}

/** Appends the name at r3 in such a loop. Loses r0 to r5. */
export function appendName(end: number, skip: string): Code {
  return [appendString(r9, ELEMENT_MAX, skip), store(8, r7, end, r9)];
}

/**
 * Hands the record at r7 to the ring and ends the program. `size`: code that sets r3 to the record's bytes. The reader
 * is woken if it had read everything before this record (the kernel's own rule), and at once if r8, set by `wakeup`,
 * is BPF_RB_FORCE_WAKEUP, or if the ring fills up. What the ring cannot take is counted in the shared page at `lost`.
 */
export function emit(maps: ProgramMaps, size: Code, lost: number, wakeup: Code = movImm(r8, 0)): Code {
  return [
    wakeup,
    loadMap(r1, maps.ring),
    movImm(r2, BPF_RB_AVAIL_DATA),
    callHelper(helpers.ringbufQuery),
    jumpIfImm(r0, "<", maps.fillLevel, "output"),
    movImm(r8, BPF_RB_FORCE_WAKEUP),
    labelHere("output"),
    loadMap(r1, maps.ring),
    mov(r2, r7),
    size,
    mov(r4, r8),
    callHelper(helpers.ringbufOutput),
    jumpIfImm(r0, "==", 0, "end"),
    countLost(maps, lost),
    labelHere("end"),
    movImm(r0, 0),
    exitInstruction,
  ];
}

/** Counts one event that no record could be made of, or that the ring could not take. Loses r1 and r2. */
export function countLost(maps: ProgramMaps, lost: number): Code {
  return [loadMapValue(r1, maps.shared, lost), movImm(r2, 1), atomicAdd(8, r1, 0, r2)];
}
