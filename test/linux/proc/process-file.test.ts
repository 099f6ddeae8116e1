// The files that a process runs, opened through its folder in /proc.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeDescriptor } from "../../../src/linux/descriptor.ts";
import {
  isSameFileState,
  openExecutable,
  openInRootOf,
  sameContent,
} from "../../../src/linux/proc/process-file.ts";
import { cString } from "../../../src/linux/text.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "process-file-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function stateOf(path: string) {
  const opened = openInRootOf(process.pid, cString(path));
  if (opened !== undefined) closeDescriptor(opened.fd);
  return opened?.state;
}

test("a file is found as the process would find it, in the state that stat(2) shows", () => {
  const path = join(folder, "job");
  writeFileSync(path, "one");
  symlinkSync(path, join(folder, "link"));
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  const expected = {
    device: Number(dev),
    inode: Number(ino),
    size: Number(size),
    modified: Number(mtimeNs),
    changed: Number(ctimeNs),
  };
  expect(stateOf(path)).toEqual(expected);
  // The time of the last access of a link is written at most once a day, and not by a call that must not wait.
  statSync(join(folder, "link"));
  expect(stateOf(join(folder, "link"))).toEqual(expected);
});

test("what is no regular file, or not there, is not opened", () => {
  expect(stateOf(folder)).toBeUndefined();
  expect(stateOf(join(folder, "gone"))).toBeUndefined();
  expect(openInRootOf(0x3f_ffff, cString("/etc/passwd"))).toBeUndefined();
  expect(openExecutable(0x3f_ffff)).toBeUndefined();
});

test("a change of the mode is another state of the same content, and a write is another content", async () => {
  const path = join(folder, "job");
  writeFileSync(path, "one");
  const before = stateOf(path);
  await Bun.sleep(20);
  chmodSync(path, 0o700);
  const after = stateOf(path);
  await Bun.sleep(20);
  writeFileSync(path, "two");
  const written = stateOf(path);
  if (before === undefined || after === undefined || written === undefined) throw new Error("not opened");
  expect([isSameFileState(before, after), sameContent(before, after)]).toEqual([false, true]);
  expect([isSameFileState(after, written), sameContent(after, written)]).toEqual([false, false]);
});

test("the executable of this process is the one that it runs", () => {
  const opened = openExecutable(process.pid);
  expect(opened?.state.inode).toBe(statSync("/proc/self/exe").ino);
  if (opened !== undefined) closeDescriptor(opened.fd);
});
