import { describe, expect, test } from "bun:test";
import { BtfError, parseBtf } from "../../../src/linux/bpf/btf.ts";

/** Writes BTF by hand: types get their ids in the order they are added, from 1. */
class BtfWriter {
  private readonly words: number[] = [];
  private strings = "\0";

  name(text: string): number {
    if (text === "") return 0;
    const at = this.strings.indexOf(`\0${text}\0`);
    if (at !== -1) return at + 1;
    this.strings += `${text}\0`;
    return this.strings.length - text.length - 1;
  }

  type(
    kind: number,
    name: string,
    sizeOrType: number,
    vlen = 0,
    rest: readonly number[] = [],
    kindFlag = 0,
  ): this {
    this.words.push(this.name(name), (kindFlag << 31) | (kind << 24) | vlen, sizeOrType, ...rest);
    return this;
  }

  struct(
    name: string,
    members: readonly (readonly [name: string, type: number, bits: number])[],
    kind = 4,
    kindFlag = 0,
  ): this {
    const rest = members.flatMap(([member, type, bits]) => [this.name(member), type, bits]);
    return this.type(kind, name, 64, members.length, rest, kindFlag);
  }

  bytes(magic = 0xeb9f): Uint8Array {
    const out = new Uint8Array(24 + this.words.length * 4 + this.strings.length);
    const view = new DataView(out.buffer);
    view.setUint16(0, magic, true);
    view.setUint8(2, 1);
    view.setUint32(4, 24, true);
    view.setUint32(12, this.words.length * 4, true);
    view.setUint32(16, this.words.length * 4, true);
    view.setUint32(20, this.strings.length, true);
    for (const [i, word] of this.words.entries()) view.setUint32(24 + i * 4, word >>> 0, true);
    out.set(Buffer.from(this.strings, "latin1"), 24 + this.words.length * 4);
    return out;
  }
}

const INT = 1;
const PTR = 2;
const UNION = 5;
const TYPEDEF = 8;
const CONST = 10;
const FUNC = 12;
const FUNC_PROTO = 13;

const int = () => new BtfWriter().type(INT, "int", 4, 0, [0x20]);

describe("offsets", () => {
  test("a plain member, in bytes", () => {
    const bytes = int()
      .struct("task", [
        ["pid", 1, 0],
        ["tgid", 1, 32],
      ])
      .bytes();
    expect(parseBtf(bytes, { structs: ["task"] }).offset("task", "tgid")).toBe(4);
  });

  test("a member of a nested struct, through typedef and const", () => {
    const bytes = int()
      .struct("path", [
        ["mnt", 1, 0],
        ["dentry", 1, 64],
      ])
      .type(TYPEDEF, "path_t", 2)
      .type(CONST, "", 3)
      .struct("file", [["f_path", 4, 128]])
      .bytes();
    expect(parseBtf(bytes, { structs: ["file"] }).offset("file", "f_path.dentry")).toBe(24);
  });

  test("a member of anonymous unions and structs, by its own name", () => {
    const bytes = int()
      .struct("", [
        ["a", 1, 0],
        ["b", 1, 32],
      ])
      .struct("", [["", 2, 64]], UNION)
      .struct("outer", [
        ["first", 1, 0],
        ["", 3, 64],
      ])
      .bytes();
    expect(parseBtf(bytes, { structs: ["outer"] }).offset("outer", "b")).toBe(20);
  });

  test("a struct with bitfields keeps its whole members, its bitfields are refused", () => {
    const bytes = int()
      .struct(
        "s",
        [
          ["flags", 1, (3 << 24) | 5],
          ["next", 1, 64],
        ],
        4,
        1,
      )
      .bytes();
    const btf = parseBtf(bytes, { structs: ["s"] });
    expect(btf.offset("s", "next")).toBe(8);
    expect(() => btf.offset("s", "flags")).toThrow("bitfield");
  });

  test("a name that another name ends with is not taken for it", () => {
    const bytes = int()
      .struct("mount", [["mnt_parent", 1, 0]])
      .struct("vfsmount", [["parent", 1, 64]])
      .bytes();
    const btf = parseBtf(bytes, { structs: ["mount"] });
    expect(btf.find("mount", "parent")).toBeUndefined();
    expect(btf.find("vfsmount", "parent")).toBeUndefined();
  });

  test("two structs of one name that disagree are refused, those that agree are one", () => {
    const agree = int()
      .struct("s", [["a", 1, 32]])
      .struct("s", [
        ["x", 1, 0],
        ["a", 1, 32],
      ])
      .bytes();
    expect(parseBtf(agree, { structs: ["s"] }).offset("s", "a")).toBe(4);
    const disagree = int()
      .struct("s", [["a", 1, 32]])
      .struct("s", [["a", 1, 64]])
      .bytes();
    expect(() => parseBtf(disagree, { structs: ["s"] }).offset("s", "a")).toThrow("disagree");
  });

  test("what is not there is undefined to `find`, an error that names it to `offset`", () => {
    const btf = parseBtf(
      int()
        .struct("s", [["a", 1, 0]])
        .bytes(),
      { structs: ["s", "t"] },
    );
    expect(btf.find("s", "b")).toBeUndefined();
    expect(btf.find("s", "a.b")).toBeUndefined();
    expect(() => btf.offset("t", "a")).toThrow("struct t has no member a");
  });
});

test("a function of the kernel has the id of its type", () => {
  const bytes = int().type(FUNC_PROTO, "", 0).type(FUNC, "bpf_preempt_disable", 2).bytes();
  const btf = parseBtf(bytes, { structs: [], functions: ["bpf_preempt_disable", "bpf_preempt_enable"] });
  expect(btf.function("bpf_preempt_disable")).toBe(3);
  expect(btf.function("bpf_preempt_enable")).toBeUndefined();
});

test("a tracepoint has the id of its type, and its arguments without its own data", () => {
  const bytes = int()
    .type(FUNC_PROTO, "", 0, 3, [0, 1, 0, 1, 0, 1])
    .type(PTR, "", 2)
    .type(TYPEDEF, "btf_trace_sched_process_exit", 3)
    .bytes();
  const btf = parseBtf(bytes, { structs: [], tracepoints: ["sched_process_exit", "other"] });
  // Ids are given from 1 on, in the order of the types: int, prototype, pointer, typedef.
  expect(btf.tracepoint("sched_process_exit")).toEqual({ type: 4, arguments: 2 });
  expect(btf.tracepoint("other")).toBeUndefined();
});

describe("what is damaged is refused", () => {
  const good = int().struct("s", [["a", 1, 0]]);
  test("another byte order", () =>
    expect(() => parseBtf(good.bytes(0x9feb), { structs: ["s"] })).toThrow(BtfError));
  test("a file that is cut off", () =>
    expect(() => parseBtf(good.bytes().slice(0, 50), { structs: ["s"] })).toThrow("shorter"));
  test("an unknown kind", () =>
    expect(() => parseBtf(int().type(25, "x", 0).bytes(), { structs: ["x"] })).toThrow("unknown kind 25"));
  test("a last type that is cut off", () => {
    expect(() => parseBtf(int().type(4, "s", 8, 2, [1, 1, 0]).bytes(), { structs: ["s"] })).toThrow(
      "cut off",
    );
  });
  test("a struct that holds itself without a name ends", () => {
    const bytes = new BtfWriter().struct("s", [["", 1, 0]]).bytes();
    expect(parseBtf(bytes, { structs: ["s"] }).find("s", "a")).toBeUndefined();
  });
});

test("types need not be aligned in the file's buffer", () => {
  const bytes = int()
    .struct("s", [["a", 1, 64]])
    .bytes();
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  expect(parseBtf(shifted.subarray(1), { structs: ["s"] }).offset("s", "a")).toBe(8);
});
