// eBPF instructions as plain data: a program is a list that reads from top to bottom, with labels to jump to.
// Encodings are those of the kernel's Documentation/bpf/standardization/instruction-set.rst and
// include/uapi/linux/bpf.h.

/** r0: result. r1 to r5: arguments, lost over a call. r6 to r9: kept over a call. r10: frame, read only. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;
export const r0 = 0;
export const r1 = 1;
export const r2 = 2;
export const r3 = 3;
export const r4 = 4;
export const r5 = 5;
export const r6 = 6;
export const r7 = 7;
export const r8 = 8;
export const r9 = 9;
export const fp = 10;

/** Width of a load or store in bytes. */
export type Width = 1 | 2 | 4 | 8;

/** A map, by the descriptor it has in this process. */
export interface MapReference {
  readonly fd: number;
}

interface Instruction {
  readonly opcode: number;
  readonly dst: number;
  readonly src: number;
  readonly offset: number;
  readonly immediate: number;
  /** Upper half of a 64-bit immediate: the instruction takes two slots. */
  readonly upper?: number;
  /** Jumps here instead of to `offset`. */
  readonly target?: string;
}

interface Label {
  readonly label: string;
}

/** An instruction, a label, or a nested list of them, so that functions may return several. */
export type Code = Instruction | Label | readonly Code[];

/** A program cannot be encoded, which is a bug in treewarden. */
export class AssemblerError extends Error {
  override readonly name = "AssemblerError";
}

// Classes, sizes, modes, sources.
const LD = 0x00;
const LDX = 0x01;
const ST = 0x02;
const STX = 0x03;
const ALU = 0x04;
const JMP = 0x05;
const JMP32 = 0x06;
const ALU64 = 0x07;
const IMM = 0x00;
const MEM = 0x60;
const ATOMIC = 0xc0;
const END = 0xd0;
const K = 0x00;
const X = 0x08;
const sizes: Readonly<Record<Width, number>> = { 4: 0x00, 2: 0x08, 1: 0x10, 8: 0x18 };

const arithmetic = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  xor: 0xa0,
  mov: 0xb0,
} as const;
export type Arithmetic = keyof typeof arithmetic;

/** Comparisons: unsigned, those with an s signed; `set` is true if any bit of the second is set in the first. */
const comparisons = {
  "==": 0x10,
  ">": 0x20,
  ">=": 0x30,
  set: 0x40,
  "!=": 0x50,
  "s>": 0x60,
  "s>=": 0x70,
  "<": 0xa0,
  "<=": 0xb0,
  "s<": 0xc0,
  "s<=": 0xd0,
} as const;
export type Comparison = keyof typeof comparisons;

// src values of a 64-bit immediate load (BPF_PSEUDO_*).
const PSEUDO_MAP_FD = 1;
const PSEUDO_MAP_VALUE = 2;

function instruction(
  opcode: number,
  dst: number,
  src: number,
  offset: number,
  immediate: number,
): Instruction {
  if (!Number.isInteger(offset) || offset < -0x8000 || offset > 0x7fff)
    throw new AssemblerError(`offset ${offset} has no 16 bits`);
  if (!Number.isInteger(immediate) || immediate < -0x8000_0000 || immediate > 0xffff_ffff) {
    throw new AssemblerError(`immediate ${immediate} has no 32 bits`);
  }
  return { opcode, dst, src, offset, immediate };
}

/** 64-bit arithmetic on `dst` with a register. */
export function alu(operation: Arithmetic, dst: Register, src: Register): Code {
  return instruction(ALU64 | arithmetic[operation] | X, dst, src, 0, 0);
}

/** 64-bit arithmetic on `dst` with a number, sign-extended from 32 bits. */
export function aluImm(operation: Arithmetic, dst: Register, value: number): Code {
  return instruction(ALU64 | arithmetic[operation] | K, dst, 0, 0, value);
}

export function mov(dst: Register, src: Register): Code {
  return alu("mov", dst, src);
}

export function movImm(dst: Register, value: number): Code {
  return aluImm("mov", dst, value);
}

/** `dst = src + value`. */
export function addTo(dst: Register, src: Register, value: number): Code {
  return value === 0 ? mov(dst, src) : [mov(dst, src), aluImm("add", dst, value)];
}

/** Swaps the lower two bytes of `dst` between network and host order, and clears the others. */
export function swap16(dst: Register): Code {
  return instruction(ALU | END | X, dst, 0, 0, 16);
}

/** Swaps the lower four bytes of `dst` between network and host order, and clears the others. */
export function swap32(dst: Register): Code {
  return instruction(ALU | END | X, dst, 0, 0, 32);
}

/** `dst = *(base + offset)`, zero-extended. */
export function load(width: Width, dst: Register, base: Register, offset: number): Code {
  return instruction(LDX | MEM | sizes[width], dst, base, offset, 0);
}

/** `*(base + offset) = src`. */
export function store(width: Width, base: Register, offset: number, src: Register): Code {
  return instruction(STX | MEM | sizes[width], base, src, offset, 0);
}

/** `*(base + offset) = value`. */
export function storeImm(width: Width, base: Register, offset: number, value: number): Code {
  return instruction(ST | MEM | sizes[width], base, 0, offset, value);
}

/** `*(base + offset) += src`, atomically; nothing is fetched (also understood by kernels before 5.12, as XADD). */
export function atomicAdd(width: 4 | 8, base: Register, offset: number, src: Register): Code {
  return instruction(STX | ATOMIC | sizes[width], base, src, offset, 0);
}

/** Jumps to `target` if `dst` compares so with a register. */
export function jumpIf(dst: Register, comparison: Comparison, src: Register, target: string): Code {
  return { ...instruction(JMP | comparisons[comparison] | X, dst, src, 0, 0), target };
}

/** Jumps to `target` if `dst` compares so with a number, sign-extended from 32 bits. */
export function jumpIfImm(dst: Register, comparison: Comparison, value: number, target: string): Code {
  return { ...instruction(JMP | comparisons[comparison] | K, dst, 0, 0, value), target };
}

/** As `jumpIfImm`, on the lower 32 bits of `dst`. */
export function jump32IfImm(dst: Register, comparison: Comparison, value: number, target: string): Code {
  return { ...instruction(JMP32 | comparisons[comparison] | K, dst, 0, 0, value), target };
}

export function jump(target: string): Code {
  return { ...instruction(JMP, 0, 0, 0, 0), target };
}

export function labelHere(name: string): Code {
  return { label: name };
}

/** Calls a helper by its number (enum bpf_func_id). */
export function callHelper(helper: number): Code {
  return instruction(JMP | 0x80, 0, 0, 0, helper);
}

// linux/bpf.h: the immediate is the BTF type id of a function of the kernel itself.
const PSEUDO_KFUNC_CALL = 2;

/** Calls a function of the kernel that it permits to programs (a kfunc), by its BTF type id. */
export function callKernel(type: number): Code {
  return instruction(JMP | 0x80, 0, PSEUDO_KFUNC_CALL, 0, type);
}

export const exitInstruction: Code = instruction(JMP | 0x90, 0, 0, 0, 0);

/** `dst = value`, all 64 bits. */
export function loadImm64(dst: Register, value: bigint): Code {
  const lower = Number(BigInt.asUintN(32, value));
  const upper = Number(BigInt.asUintN(32, value >> 32n));
  return { ...instruction(LD | IMM | sizes[8], dst, 0, 0, lower), upper };
}

/** `dst` = the map itself, for helpers that take one. */
export function loadMap(dst: Register, map: MapReference): Code {
  return { ...instruction(LD | IMM | sizes[8], dst, PSEUDO_MAP_FD, 0, map.fd), upper: 0 };
}

/** `dst` = address of the only element's value in an array map, plus `offset` (kernel 5.2). */
export function loadMapValue(dst: Register, map: MapReference, offset = 0): Code {
  return { ...instruction(LD | IMM | sizes[8], dst, PSEUDO_MAP_VALUE, 0, map.fd), upper: offset };
}

const SLOT = 8;

/** Encodes a program for this machine (little-endian). Throws an AssemblerError for a missing or duplicate label. */
export function assemble(code: Code): Uint8Array {
  const instructions: Instruction[] = [];
  const labels = new Map<string, number>();
  const slots: number[] = [];
  let slot = 0;
  const place = (item: Code): void => {
    if (isList(item)) {
      for (const inner of item) place(inner);
    } else if ("label" in item) {
      if (labels.has(item.label)) throw new AssemblerError(`label ${item.label} is there twice`);
      labels.set(item.label, slot);
    } else {
      instructions.push(item);
      slots.push(slot);
      slot += item.upper === undefined ? 1 : 2;
    }
  };
  place(code);

  const bytes = new Uint8Array(new ArrayBuffer(slot * SLOT));
  const view = new DataView(bytes.buffer);
  instructions.forEach((item, index) => {
    const at = (slots[index] ?? 0) * SLOT;
    view.setUint8(at, item.opcode);
    view.setUint8(at + 1, (item.src << 4) | item.dst);
    view.setInt16(
      at + 2,
      item.target === undefined ? item.offset : distance(item.target, labels, at / SLOT),
      true,
    );
    view.setUint32(at + 4, item.immediate >>> 0, true);
    if (item.upper !== undefined) view.setUint32(at + SLOT + 4, item.upper >>> 0, true);
  });
  return bytes;
}

function isList(code: Code): code is readonly Code[] {
  return Array.isArray(code);
}

/** Number of slots from the end of the jump at `slot` to the label. */
function distance(target: string, labels: ReadonlyMap<string, number>, slot: number): number {
  const place = labels.get(target);
  if (place === undefined) throw new AssemblerError(`no label ${target}`);
  const slots = place - slot - 1;
  if (slots < -0x8000 || slots > 0x7fff) throw new AssemblerError(`label ${target} is too far away`);
  return slots;
}
