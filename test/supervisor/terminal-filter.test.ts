import { expect, test } from "bun:test";
import fc from "fast-check";
import { prettyLine } from "../../src/report/pretty.ts";
import { TerminalFilter } from "../../src/supervisor/terminal-filter.ts";

function shown(...parts: readonly (string | Uint8Array)[]): string {
  const filter = new TerminalFilter();
  const bytes = parts.map((part) => (typeof part === "string" ? new TextEncoder().encode(part) : part));
  return new TextDecoder().decode(Buffer.concat(bytes.map((part) => filter.next(part))));
}

const verdict = prettyLine(
  {
    timestamp: "2026-01-01T00:00:00.000000Z",
    "event.name": "policy.verdict",
    "policy.action": "kill",
    "policy.outcome": "killed",
    "tree.path": "/nginx/größe/猫",
    "process.command_args": ["sh", "-c", "id"],
  },
  true,
);

test("lines of the live view pass unchanged, also in single bytes", () => {
  expect(verdict).toContain("\x1b[1;31m");
  expect(shown(verdict)).toBe(verdict);
  const single = [...new TextEncoder().encode(verdict)].map((byte) => Uint8Array.of(byte));
  expect(shown(...single)).toBe(verdict);
});

test("what would control the terminal is shown as text", () => {
  // Clears the screen, sets the title, asks for the cursor's position (the answer arrives as if it were typed).
  expect(shown("\x1b[2J\x1b]0;title\x07\x1b[6n")).toBe("\\x1b[2J\\x1b]0;title\\x07\\x1b[6n");
  expect(shown("a\rb\x08\x9b2J")).toBe("a\\x0db\\x08\\xc2\\x9b2J");
  // A colour that treewarden does not use.
  expect(shown("\x1b[5mblink")).toBe("\\x1b[5mblink");
});

test("a sequence cannot be put together from two writes", () => {
  expect(shown("\x1b", "[2J")).toBe("\\x1b[2J");
  expect(shown("\x1b[1", ";5H")).toBe("\\x1b[1;5H");
  expect(shown("\x1b[1", ";31mred")).toBe("\x1b[1;31mred");
  expect(shown("\x1b\x1b[2", "m")).toBe("\\x1b\x1b[2m");
});

test("whatever is written, and however it is cut, the terminal gets no other control character", () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc
      .constantFrom("\x1b", "\x1b[", "\x1b[3", "\x1b[33m", "\x1b[1;31m", "1m", "m", "\x9b", "\n")
      .map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = shown(...pieces).replaceAll(/\x1b\[(?:0|2|33|36|1;31)m/g, "");
      expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    }),
    { numRuns: 2000 },
  );
});
