// Adds machine code to the compiled executable that runs before the runtime: it renames each environment variable that
// begins with BUN_, JSC_ or NODE. Such a variable could load a file into the process (BUN_OPTIONS=--preload) or turn
// the executable into a general interpreter (BUN_BE_BUN), and no flag of the build turns them off (Bun 1.4.5).
//
// The code is appended to the file. The program header of a note (PT_NOTE), which nothing needs, becomes the segment
// that loads it, and the entry point of the file becomes its first instruction; it ends with a jump to the old one.

/** One instruction. A branch ends in an offset to the label `to`, which `place` computes. */
interface Instruction {
  /** Marks this instruction as the target of branches. */
  readonly label?: string;
  readonly bytes: readonly number[];
  readonly to?: string;
  /** The instruction as an assembler writes it, with its reason. */
  readonly text: string;
}

interface Architecture {
  readonly name: string;
  /** The code must leave alone the stack pointer and the register in which the loader passes its exit function. */
  readonly code: readonly Instruction[];
  /** Writes the offset from `from` to `target` into the branch whose bytes are `code[from, end)`. */
  readonly place: (code: DataView, from: number, end: number, target: number) => void;
}

/** What a renamed variable begins with instead: no prefix that the runtime looks for begins with it. */
const RENAMED = "_".charCodeAt(0);

/** The first four bytes of a variable's name as the processor loads them: little-endian. */
function prefix(text: string): readonly number[] {
  return [...new TextEncoder().encode(text)];
}

// At the first instruction the stack holds argc, the pointers of argv, a null pointer, the pointers of the environment
// and another null pointer (System V ABI, AMD64 supplement, figure 3.9). The strings lie above them, followed by the
// path of the executable, so loading four bytes of the shortest string still stays on the stack.

// rdx is the loader's exit function. rax, rcx, rsi, rdi, r8 and r9 are unspecified here, so they are free.
const x64: Architecture = {
  name: "x86-64",
  code: [
    { bytes: [0x48, 0x8b, 0x04, 0x24], text: "mov rax, [rsp]                ; argc" },
    { bytes: [0x48, 0x8d, 0x7c, 0xc4, 0x10], text: "lea rdi, [rsp + rax*8 + 16]   ; the environment" },
    { label: "next", bytes: [0x48, 0x8b, 0x37], text: "mov rsi, [rdi]                ; one variable" },
    { bytes: [0x48, 0x83, 0xc7, 0x08], text: "add rdi, 8" },
    { bytes: [0x48, 0x85, 0xf6], text: "test rsi, rsi                 ; the null pointer after the last" },
    { bytes: [0x74], to: "done", text: "je done" },
    { bytes: [0x8b, 0x06], text: "mov eax, [rsi]                ; the first four bytes of its name" },
    { bytes: [0x3d, ...prefix("NODE")], text: "cmp eax, 'NODE'" },
    { bytes: [0x74], to: "rename", text: "je rename" },
    { bytes: [0x3d, ...prefix("JSC_")], text: "cmp eax, 'JSC_'" },
    { bytes: [0x74], to: "rename", text: "je rename" },
    { bytes: [0x3d, ...prefix("BUN_")], text: "cmp eax, 'BUN_'" },
    { bytes: [0x75], to: "next", text: "jne next" },
    {
      bytes: [0x4c, 0x8d, 0x05, 0, 0, 0],
      to: "kept",
      text: "lea r8, [rip + kept]          ; treewarden's own",
    },
    {
      label: "option",
      bytes: [0x41, 0x80, 0x38, 0x00],
      text: "cmp byte [r8], 0              ; the end of them",
    },
    { bytes: [0x74], to: "rename", text: "je rename" },
    { bytes: [0x49, 0x89, 0xf1], text: "mov r9, rsi" },
    {
      label: "compare",
      bytes: [0x41, 0x8a, 0x00],
      text: "mov al, [r8]                  ; name and value are",
    },
    { bytes: [0x41, 0x8a, 0x09], text: "mov cl, [r9]                  ; compared to the end" },
    { bytes: [0x49, 0xff, 0xc0], text: "inc r8" },
    { bytes: [0x49, 0xff, 0xc1], text: "inc r9" },
    { bytes: [0x38, 0xc8], text: "cmp al, cl" },
    { bytes: [0x75], to: "skip", text: "jne skip" },
    { bytes: [0x84, 0xc0], text: "test al, al" },
    { bytes: [0x75], to: "compare", text: "jne compare" },
    { bytes: [0xeb], to: "next", text: "jmp next                      ; equal: it stays" },
    { label: "skip", bytes: [0x84, 0xc0], text: "test al, al                   ; to the end of this option" },
    { bytes: [0x74], to: "option", text: "je option" },
    { bytes: [0x41, 0x8a, 0x00], text: "mov al, [r8]" },
    { bytes: [0x49, 0xff, 0xc0], text: "inc r8" },
    { bytes: [0xeb], to: "skip", text: "jmp skip" },
    { label: "rename", bytes: [0xc6, 0x06, RENAMED], text: "mov byte [rsi], '_'" },
    { bytes: [0xeb], to: "next", text: "jmp next" },
    {
      label: "done",
      bytes: [0xe9, 0, 0, 0],
      to: "entry",
      text: "jmp entry                     ; the runtime",
    },
  ],
  // A relative offset counts from the end of its instruction. It has 8 bits, or 32 after the bytes that make room.
  place(code, from, end, target) {
    const offset = target - end;
    if (end - from === 2) code.setInt8(end - 1, inRange(offset, 7));
    else code.setInt32(end - 4, inRange(offset, 31), true);
  },
};

/** The bytes of an instruction of 32 bits. */
function word(value: number): readonly number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
}

/** movz or movk (`word(base)`) of the 16 bits that are the characters `pair`. */
function half(base: number, pair: string): readonly number[] {
  const [low = 0, high = 0] = prefix(pair);
  return word(base | ((low | (high << 8)) << 5));
}

// x0 is the loader's exit function. x8 to x17 are unspecified here, so they are free.
const arm64: Architecture = {
  name: "arm64",
  code: [
    { bytes: word(0xf94003e9), text: "ldr x9, [sp]                  ; argc" },
    { bytes: word(0x910003ea), text: "mov x10, sp" },
    { bytes: word(0x8b090d4a), text: "add x10, x10, x9, lsl #3" },
    { bytes: word(0x9100414a), text: "add x10, x10, #16             ; the environment" },
    { bytes: half(0x5280000c, "BU"), text: "movz w12, 'BU'" },
    { bytes: half(0x72a0000c, "N_"), text: "movk w12, 'N_', lsl #16" },
    { bytes: half(0x5280000d, "JS"), text: "movz w13, 'JS'" },
    { bytes: half(0x72a0000d, "C_"), text: "movk w13, 'C_', lsl #16" },
    { bytes: half(0x5280000e, "NO"), text: "movz w14, 'NO'" },
    { bytes: half(0x72a0000e, "DE"), text: "movk w14, 'DE', lsl #16" },
    { bytes: word(0x5280000f | (RENAMED << 5)), text: "mov w15, '_'" },
    { label: "next", bytes: word(0xf8408549), text: "ldr x9, [x10], #8             ; one variable" },
    { bytes: word(0xb4000009), to: "done", text: "cbz x9, done                  ; null after the last" },
    { bytes: word(0xb940012b), text: "ldr w11, [x9]                 ; the first four bytes of its name" },
    { bytes: word(0x6b0e017f), text: "cmp w11, w14                  ; NODE" },
    { bytes: word(0x54000000), to: "rename", text: "b.eq rename" },
    { bytes: word(0x6b0d017f), text: "cmp w11, w13                  ; JSC_" },
    { bytes: word(0x54000000), to: "rename", text: "b.eq rename" },
    { bytes: word(0x6b0c017f), text: "cmp w11, w12                  ; BUN_" },
    { bytes: word(0x54000001), to: "next", text: "b.ne next" },
    { bytes: word(0x10000010), to: "kept", text: "adr x16, kept                 ; treewarden's own" },
    { label: "option", bytes: word(0x3940020b), text: "ldrb w11, [x16]" },
    { bytes: word(0x3400000b), to: "rename", text: "cbz w11, rename               ; the end of them" },
    { bytes: word(0xaa0903f1), text: "mov x17, x9" },
    { label: "compare", bytes: word(0x3840160b), text: "ldrb w11, [x16], #1           ; name and value are" },
    { bytes: word(0x38401628), text: "ldrb w8, [x17], #1            ; compared to the end" },
    { bytes: word(0x6b08017f), text: "cmp w11, w8" },
    { bytes: word(0x54000001), to: "skip", text: "b.ne skip" },
    { bytes: word(0x3500000b), to: "compare", text: "cbnz w11, compare" },
    { bytes: word(0x14000000), to: "next", text: "b next                        ; equal: it stays" },
    { label: "skip", bytes: word(0x3400000b), to: "option", text: "cbz w11, option               ; its end" },
    { bytes: word(0x3840160b), text: "ldrb w11, [x16], #1" },
    { bytes: word(0x14000000), to: "skip", text: "b skip" },
    { label: "rename", bytes: word(0x3900012f), text: "strb w15, [x9]" },
    { bytes: word(0x14000000), to: "next", text: "b next" },
    // The runtime may be further away than the 128 MiB that one branch reaches: 4 KiB pages first, then bytes.
    { label: "done", bytes: word(0x90000010), to: "entry", text: "adrp x16, entry" },
    { bytes: word(0x91000210), to: "entry", text: "add x16, x16, :lo12:entry" },
    { bytes: word(0xd61f0200), text: "br x16                        ; the runtime" },
  ],
  place(code, from, _end, target) {
    const at = code.getUint32(from, true);
    code.setUint32(from, at | branchBits(at, target, from), true);
  },
};

/** The bits of an offset in an instruction of arm64 (Arm ARM, C6.2), by the instruction that they are for. */
function branchBits(instruction: number, target: number, from: number): number {
  const offset = target - from;
  // b
  if (instruction >>> 26 === 0b000101) return (inRange(offset, 27) >> 2) & 0x3ff_ffff;
  // add
  if (instruction >>> 24 === 0x91) return (target & 0xfff) << 10;
  // adr
  if (instruction >>> 24 === 0x10) {
    const bytes = inRange(offset, 20);
    return ((bytes & 3) << 29) | (((bytes >> 2) & 0x7_ffff) << 5);
  }
  // adrp
  if (instruction >>> 24 === 0x90) {
    const pages = inRange(Math.floor(target / 4096) - Math.floor(from / 4096), 20);
    return ((pages & 3) << 29) | (((pages >> 2) & 0x7_ffff) << 5);
  }
  // b.cond, cbz, cbnz
  return ((inRange(offset, 20) >> 2) & 0x7_ffff) << 5;
}

function inRange(offset: number, bits: number): number {
  if (offset < -(2 ** bits) || offset >= 2 ** bits) throw new RangeError(`a branch of ${offset} bytes`);
  return offset;
}

/** elf.h: EM_X86_64 and EM_AARCH64. */
const architectures: ReadonlyMap<number, Architecture> = new Map([
  [62, x64],
  [183, arm64],
]);

/**
 * The code at the address `address`, followed by `kept`: the variables, as NAME=VALUE, that are not renamed. A variable
 * must equal one of them to its last byte, so that nobody can pass another value under one of the names.
 */
function assemble(arch: Architecture, address: number, entry: number, kept: readonly string[]): Uint8Array {
  const bytes: number[] = [];
  const targets = new Map([["entry", entry - address]]);
  const branches: { readonly from: number; readonly end: number; readonly to: string }[] = [];
  for (const { label, bytes: instruction, to } of arch.code) {
    const from = bytes.length;
    if (label !== undefined) targets.set(label, from);
    bytes.push(...instruction);
    // On x86-64 the offset of a branch follows its bytes: one more byte here, the last of four for the longer ones.
    if (to !== undefined && arch === x64) bytes.push(0);
    if (to !== undefined) branches.push({ from, end: bytes.length, to });
  }
  targets.set("kept", bytes.length);
  bytes.push(...new TextEncoder().encode([...kept, ""].map((option) => `${option}\0`).join("")));
  const code = Uint8Array.from(bytes);
  const view = new DataView(code.buffer);
  for (const { from, end, to } of branches) {
    const target = targets.get(to);
    if (target === undefined) throw new RangeError(`no label ${to}`);
    arch.place(view, from, end, target);
  }
  return code;
}

// elf.h: offsets in Elf64_Ehdr and Elf64_Phdr, and types of segments.
const E_MACHINE = 18;
const E_ENTRY = 24;
const E_PHOFF = 32;
const E_PHENTSIZE = 54;
const E_PHNUM = 56;
const PT_LOAD = 1;
const PT_NOTE = 4;
const P_VADDR = 16;
const P_MEMSZ = 40;
/** PF_R | PF_X */
const READ_EXECUTE = 5;

/** The largest page of a supported kernel (arm64): file and memory must agree on their offset in a page. */
export const ENTRY_STUB_ALIGNMENT = 0x1_0000;

/**
 * A copy of the ELF executable `file` that renames variables before it starts (see above), except `kept` (NAME=VALUE).
 * Depends on its arguments alone. Throws if `file` is not an executable for x86-64 or arm64, or has no note to replace.
 */
export function addEntryStub(file: Uint8Array, kept: readonly string[]): Uint8Array {
  const from = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (from.getUint32(0) !== 0x7f454c46) throw new RangeError("not an ELF file");
  const arch = architectures.get(from.getUint16(E_MACHINE, true));
  if (arch === undefined) throw new RangeError("an ELF file for another processor");
  const [first, size, count] = [
    Number(from.getBigUint64(E_PHOFF, true)),
    from.getUint16(E_PHENTSIZE, true),
    from.getUint16(E_PHNUM, true),
  ];
  const headers = Array.from({ length: count }, (_, i) => first + i * size);
  const typeOf = (header: number): number => from.getUint32(header, true);
  const note = headers.findLast((header) => typeOf(header) === PT_NOTE);
  if (note === undefined) throw new RangeError("no program header of a note");
  const loaded = headers.filter((header) => typeOf(header) === PT_LOAD);
  const ends = loaded.map((header) =>
    Number(from.getBigUint64(header + P_VADDR, true) + from.getBigUint64(header + P_MEMSZ, true)),
  );
  const offset = roundUp(file.length, ENTRY_STUB_ALIGNMENT);
  const address = roundUp(Math.max(...ends), ENTRY_STUB_ALIGNMENT);
  const code = assemble(arch, address, Number(from.getBigUint64(E_ENTRY, true)), kept);

  const result = new Uint8Array(offset + code.length);
  result.set(file);
  result.set(code, offset);
  const to = new DataView(result.buffer);
  // Loaded segments must be in the order of their addresses, so those between the note and the last one move up.
  const last = Math.max(note, ...loaded);
  result.copyWithin(note, note + size, last + size);
  to.setUint32(last, PT_LOAD, true);
  to.setUint32(last + 4, READ_EXECUTE, true);
  // p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
  for (const [i, value] of [
    offset,
    address,
    address,
    code.length,
    code.length,
    ENTRY_STUB_ALIGNMENT,
  ].entries())
    to.setBigUint64(last + 8 + i * 8, BigInt(value), true);
  to.setBigUint64(E_ENTRY, BigInt(address), true);
  return result;
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
