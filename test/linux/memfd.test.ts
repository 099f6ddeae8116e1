import { afterAll, expect, test } from "bun:test";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { createSealedFile } from "../../src/linux/memfd.ts";

const text = "what a process is told when it starts\n";
const fd = createSealedFile("told", text);
afterAll(() => closeSync(fd));

test("a sealed file contains its text, and its name is only for display", () => {
  expect(readFileSync(`/proc/self/fd/${fd}`, "utf8")).toBe(text);
});

test("a sealed file cannot be changed, neither by its creator nor after it is reopened", () => {
  expect(() => writeSync(fd, "x", 0)).toThrow(/EPERM/);
  expect(() => ftruncateSync(fd, 0)).toThrow(/EPERM/);
  const again = openSync(`/proc/self/fd/${fd}`, "r+");
  expect(() => writeSync(again, "x", 0)).toThrow(/EPERM/);
  closeSync(again);
});
