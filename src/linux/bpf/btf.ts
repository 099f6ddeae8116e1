// Field offsets from the kernel's own type description (BTF), so that one build runs on every kernel that has it.
// The format is in the kernel's Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
import { readFileSync } from "node:fs";

/** The types cannot be read, or do not fit the programs. */
export class BtfError extends Error {
  override readonly name = "BtfError";
}

const MAGIC = 0xeb9f;
const HEADER_LENGTH = 24;

const PTR = 2;
const STRUCT = 4;
const UNION = 5;
const TYPEDEF = 8;
const VOLATILE = 9;
const CONST = 10;
const RESTRICT = 11;
const FUNC = 12;
const FUNC_PROTO = 13;
const TYPE_TAG = 18;

/** Number of words after the three common ones, indexed by kind: fixed, and for each of `vlen` entries. */
const trailing: readonly (readonly [fixed: number, each: number])[] = [
  [0, 0], // void, never stored
  [1, 0], // INT
  [0, 0], // PTR
  [3, 0], // ARRAY
  [0, 3], // STRUCT
  [0, 3], // UNION
  [0, 2], // ENUM
  [0, 0], // FWD
  [0, 0], // TYPEDEF
  [0, 0], // VOLATILE
  [0, 0], // CONST
  [0, 0], // RESTRICT
  [0, 0], // FUNC
  [0, 2], // FUNC_PROTO
  [1, 0], // VAR
  [0, 3], // DATASEC
  [0, 0], // FLOAT
  [1, 0], // DECL_TAG
  [0, 0], // TYPE_TAG
  [0, 3], // ENUM64
];

/** Limit on nested anonymous members and type modifiers, for damaged files; no kernel nests them as deep. */
const NESTING_LIMIT = 32;

export interface Btf {
  /**
   * Offset in bytes of a member in `struct NAME`, for example `offset("file", "f_path.dentry")`. Members of anonymous
   * structs and unions are found by their own name. Throws a BtfError if there is no such member, if it is a
   * bitfield, or if two structs of that name disagree.
   */
  offset(struct: string, member: string): number;
  /** As `offset`; undefined if the struct has no such member. */
  find(struct: string, member: string): number | undefined;
  /** Undefined if there is no such tracepoint. */
  tracepoint(name: string): Tracepoint | undefined;
  /** The type id of a function; undefined if there is none of that name. */
  function(name: string): number | undefined;
}

/** The names that can be asked for. */
export interface BtfNames {
  readonly structs: readonly string[];
  readonly tracepoints?: readonly string[];
  readonly functions?: readonly string[];
}

export interface Tracepoint {
  /** The id of its type, by which a program names it (5.5). */
  readonly type: number;
  /** How many arguments its programs get. */
  readonly arguments: number;
}

/** Reads the running kernel's types; only those of `names` can be asked for. About 20 ms for 5.5 MB. */
export function readKernelBtf(names: BtfNames): Btf {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync("/sys/kernel/btf/vmlinux");
  } catch {
    throw new BtfError("the kernel has no BTF: /sys/kernel/btf/vmlinux cannot be read");
  }
  return parseBtf(bytes, names);
}

/** Reads BTF of this machine's byte order in one pass; only `names` can be asked for. */
export function parseBtf(bytes: Uint8Array, names: BtfNames): Btf {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < HEADER_LENGTH || header.getUint16(0, true) !== MAGIC)
    throw new BtfError("BTF: no header of this byte order");
  const headerLength = header.getUint32(4, true);
  const typesStart = headerLength + header.getUint32(8, true);
  const typesLength = header.getUint32(12, true);
  const stringsStart = headerLength + header.getUint32(16, true);
  const stringsLength = header.getUint32(20, true);
  if (typesStart + typesLength > bytes.byteLength || stringsStart + stringsLength > bytes.byteLength) {
    throw new BtfError("BTF: shorter than its header says");
  }
  const words = alignedWords(bytes, typesStart, typesLength);
  const strings = new StringTable(bytes.subarray(stringsStart, stringsStart + stringsLength));
  return new ParsedBtf(words, strings, names);
}

function alignedWords(bytes: Uint8Array, start: number, length: number): Uint32Array {
  const offset = bytes.byteOffset + start;
  if (offset % 4 === 0) return new Uint32Array(bytes.buffer, offset, length >>> 2);
  return new Uint32Array(bytes.slice(start, start + length).buffer, 0, length >>> 2);
}

class StringTable {
  private readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Offset of the whole string `text`, -1 if it is not there. The table holds every string once. */
  find(text: string): number {
    const at = this.bytes.indexOf(`\0${text}\0`, 0, "latin1");
    return at === -1 ? -1 : at + 1;
  }

  /** The string at `offset` is exactly `text`. */
  is(offset: number, text: string): boolean {
    const end = offset + text.length;
    return this.bytes[end] === 0 && this.bytes.toString("latin1", offset, end) === text;
  }
}

interface Member {
  readonly bits: number;
  readonly type: number;
  readonly bitfield: boolean;
}

class ParsedBtf implements Btf {
  private readonly words: Uint32Array;
  private readonly strings: StringTable;
  /** Where the type of each id starts in `words`; id 0 is void. */
  private readonly starts: Uint32Array;
  private readonly structs = new Map<string, number[]>();
  /** Ids of the tracepoints' types. */
  private readonly typedefs = new Map<string, number>();
  /** Ids of the functions. */
  private readonly functions = new Map<string, number>();

  constructor(
    words: Uint32Array,
    strings: StringTable,
    { structs, tracepoints = [], functions = [] }: BtfNames,
  ) {
    this.words = words;
    this.strings = strings;
    const structNames = new Map(structs.map((name) => [strings.find(name), name]));
    const typedefNames = new Map(tracepoints.map((name) => [strings.find(`btf_trace_${name}`), name]));
    const functionNames = new Map(functions.map((name) => [strings.find(name), name]));
    for (const name of structs) this.structs.set(name, []);
    this.starts = indexTypes(words, (kind, name, start, id) => {
      if (kind === STRUCT) {
        const wanted = structNames.get(name);
        if (wanted !== undefined) this.structs.get(wanted)?.push(start);
      } else if (kind === FUNC) {
        const wanted = functionNames.get(name);
        if (wanted !== undefined) this.functions.set(wanted, id);
      } else {
        const wanted = typedefNames.get(name);
        if (wanted !== undefined) this.typedefs.set(wanted, id);
      }
    });
  }

  offset(struct: string, member: string): number {
    const found = this.find(struct, member);
    if (found === undefined) throw new BtfError(`BTF: struct ${struct} has no member ${member}`);
    return found;
  }

  find(struct: string, member: string): number | undefined {
    let found: number | undefined;
    for (const start of this.structs.get(struct) ?? []) {
      const here = this.memberOffset(start, member, struct);
      if (here === undefined) continue;
      if (found !== undefined && found !== here)
        throw new BtfError(`BTF: two structs ${struct} disagree on ${member}`);
      found = here;
    }
    return found;
  }

  tracepoint(name: string): Tracepoint | undefined {
    const type = this.typedefs.get(name);
    const typedef = type === undefined ? undefined : this.start(type);
    if (type === undefined || typedef === undefined) return undefined;
    const pointer = this.start(this.word(typedef + 2));
    if (pointer === undefined || this.kind(pointer) !== PTR) return undefined;
    const prototype = this.start(this.word(pointer + 2));
    if (prototype === undefined || this.kind(prototype) !== FUNC_PROTO) return undefined;
    // The first parameter is the tracepoint's own data, which programs do not see.
    return { type, arguments: (this.word(prototype + 1) & 0xffff) - 1 };
  }

  function(name: string): number | undefined {
    return this.functions.get(name);
  }

  private memberOffset(struct: number, path: string, name: string): number | undefined {
    let bits = 0;
    let current: number | undefined = struct;
    for (const element of path.split(".")) {
      const member: Member | undefined = current === undefined ? undefined : this.member(current, element, 0);
      if (member === undefined) return undefined;
      if (member.bitfield || member.bits % 8 !== 0)
        throw new BtfError(`BTF: ${path} of struct ${name} is a bitfield`);
      bits += member.bits;
      current = this.aggregate(member.type);
    }
    return bits / 8;
  }

  /** The member `name` of the struct or union at `start`, searched through anonymous members. */
  private member(start: number, name: string, depth: number): Member | undefined {
    if (depth > NESTING_LIMIT) return undefined;
    const info = this.word(start + 1);
    const withBitfields = info >>> 31 === 1;
    const count = info & 0xffff;
    for (let i = 0; i < count; i += 1) {
      const at = start + 3 + i * 3;
      const nameOffset = this.word(at);
      const type = this.word(at + 1);
      const offset = this.word(at + 2);
      const bits = withBitfields ? offset & 0xffffff : offset;
      if (nameOffset === 0) {
        const inner = this.aggregate(type);
        const found = inner === undefined ? undefined : this.member(inner, name, depth + 1);
        if (found !== undefined) return { ...found, bits: found.bits + bits };
      } else if (this.strings.is(nameOffset, name)) {
        return { bits, type, bitfield: withBitfields && offset >>> 24 !== 0 };
      }
    }
    return undefined;
  }

  /** Where the struct or union behind typedefs and qualifiers starts; undefined if `type` is something else. */
  private aggregate(type: number): number | undefined {
    let start = this.start(type);
    for (let depth = 0; start !== undefined && depth < NESTING_LIMIT; depth += 1) {
      const kind = this.kind(start);
      if (kind === STRUCT || kind === UNION) return start;
      if (kind !== TYPEDEF && kind !== CONST && kind !== VOLATILE && kind !== RESTRICT && kind !== TYPE_TAG)
        return undefined;
      start = this.start(this.word(start + 2));
    }
    return undefined;
  }

  private start(type: number): number | undefined {
    return type === 0 ? undefined : this.starts[type];
  }

  private kind(start: number): number {
    return (this.word(start + 1) >>> 24) & 0x1f;
  }

  private word(index: number): number {
    const value = this.words[index];
    if (value === undefined) throw new BtfError("BTF: a type points outside of the file");
    return value;
  }
}

/** Finds where every type starts, and calls `named` for each struct, typedef and function. */
function indexTypes(
  words: Uint32Array,
  named: (kind: number, name: number, start: number, id: number) => void,
): Uint32Array {
  // Every type takes at least three words.
  const starts = new Uint32Array(Math.ceil(words.length / 3) + 1);
  let id = 1;
  let at = 0;
  while (at + 2 < words.length) {
    starts[id] = at;
    const info = words[at + 1] ?? 0;
    const kind = (info >>> 24) & 0x1f;
    const shape = trailing[kind];
    if (shape === undefined || kind === 0)
      throw new BtfError(`BTF: unknown kind ${kind}; this kernel is newer than the reader`);
    if (kind === STRUCT || kind === TYPEDEF || kind === FUNC) named(kind, words[at] ?? 0, at, id);
    id += 1;
    at += 3 + shape[0] + shape[1] * (info & 0xffff);
  }
  if (at !== words.length) throw new BtfError("BTF: the last type is cut off");
  return starts.subarray(0, id);
}
