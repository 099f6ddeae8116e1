import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeText, encodeText, printable, unambiguous, undoUnambiguous } from "../../src/linux/text.ts";
import { expectLinear } from "../cost.ts";

test("arbitrary bytes survive decoding and encoding", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect([...encodeText(decodeText(bytes))]).toEqual([...bytes]);
    }),
  );
});

test("text that is UTF-8 is read as it is, also beside bytes that are not", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const bytes = new TextEncoder().encode(text);
      expect(decodeText(bytes)).toBe(text);
      expect(decodeText(Uint8Array.of(0xff, ...bytes, 0xff))).toBe(`\udcff${text}\udcff`);
    }),
  );
});

describe("what only resembles UTF-8 is taken byte by byte", () => {
  test.each([
    ["an overlong sequence", [0xc0, 0xaf]],
    ["an overlong one of three", [0xe0, 0x9f, 0xbf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["beyond U+10FFFF", [0xf4, 0x90, 0x80, 0x80]],
    ["a sequence that is cut off", [0xf0, 0x9f, 0x92]],
    ["a lead without its rest", [0xc3, 0x41]],
  ])("%s", (_what, bytes) => {
    const expected = bytes.map((byte) => String.fromCharCode(byte < 0x80 ? byte : 0xdc00 + byte)).join("");
    expect(decodeText(Uint8Array.from(bytes))).toBe(expected);
  });
});

test("no bytes take more than linear time", () => {
  for (const pattern of [
    [0xff],
    [0xc3, 0x41],
    [0xe0, 0x80, 0x80],
    [0xf0],
    [0xf4, 0x90, 0x80, 0x80],
    [0x01],
  ]) {
    const repeated = Uint8Array.from({ length: 64 << 10 }, (_, i) => pattern[i % pattern.length] ?? 0);
    expectLinear((size) => decodeText(repeated.subarray(0, size)), repeated.length);
  }
});

describe("unambiguous text", () => {
  test("can be undone, whatever a process gave", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = decodeText(bytes);
        const escaped = unambiguous(text);
        expect(printable(escaped)).toBe(escaped);
        expect(undoUnambiguous(escaped)).toBe(text);
      }),
    );
  });

  test("tells a newline from the four characters that stand for one", () => {
    expect(unambiguous("\n")).toBe("\\x0a");
    expect(unambiguous("\\x0a")).toBe("\\\\x0a");
  });

  test("cannot be undone if it is not what anybody wrote", () => {
    for (const wrong of ["\\", "a\\", "\\x", "\\x0", "\\x0G", "\\n", "\n", "\u202e"])
      expect([wrong, undoUnambiguous(wrong)]).toEqual([wrong, undefined]);
  });
});
