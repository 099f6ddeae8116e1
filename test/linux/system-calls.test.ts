// The numbers of system calls, against the kernel's headers where these are installed.
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { callsOf, isSystemCall, systemCallNumber } from "../../src/linux/system-calls.ts";

const header =
  process.arch === "arm64"
    ? "/usr/include/asm-generic/unistd.h"
    : `/usr/include/${process.arch === "x64" ? "x86_64" : process.arch}-linux-gnu/asm/unistd_64.h`;

test("a name that no header has is no call", () => {
  expect(isSystemCall("read")).toBe(true);
  expect(isSystemCall("reed")).toBe(false);
});

test("calls have numbers of their own", () => {
  const calls = [...callsOf("files"), ...callsOf("memory"), ...callsOf("threads"), ...callsOf("network")];
  const numbers = calls.map(systemCallNumber).filter((number) => number !== null);
  expect(new Set(numbers).size).toBe(numbers.length);
});

// Not every machine that runs the tests has the headers.
if (existsSync(header))
  describe(`the numbers of ${header}`, () => {
    const defined = readFileSync(header, "latin1").matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm);
    const names: Readonly<Record<string, string>> = { fstatat: "newfstatat", fadvise64: "fadvise64" };
    const rows = [...defined].map(([, name = "", number]) => [names[name] ?? name, Number(number)] as const);

    test("are those of the table", () => {
      const different = rows.filter(
        ([name, number]) => isSystemCall(name) && systemCallNumber(name) !== number,
      );
      expect(different).toEqual([]);
      expect(rows.filter(([name]) => isSystemCall(name)).length).toBeGreaterThan(100);
    });
  });
