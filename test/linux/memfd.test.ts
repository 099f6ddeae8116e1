import { afterAll, expect, test } from "bun:test";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { createSealedFile } from "../../src/linux/memfd.ts";

const text = "what a process is told when it starts\n";
const fd = createSealedFile("told", text);
afterAll(() => closeSync(fd));

test("a sealed file holds its text, and has no name but for people", () => {
  expect(readFileSync(`/proc/self/fd/${fd}`, "utf8")).toBe(text);
});

test("neither its maker nor who opens it again can change a sealed file", () => {
  expect(() => writeSync(fd, "x", 0)).toThrow(/EPERM/);
  expect(() => ftruncateSync(fd, 0)).toThrow(/EPERM/);
  const again = openSync(`/proc/self/fd/${fd}`, "r+");
  expect(() => writeSync(again, "x", 0)).toThrow(/EPERM/);
  closeSync(again);
});
