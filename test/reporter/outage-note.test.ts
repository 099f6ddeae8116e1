// The note that a killed reporter leaves to the next one.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OutageNote } from "../../src/reporter/outage-note.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-note-"));
  path = join(folder, "outage.json");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const outage = { run: "tw-1", generation: 7, missing: 2_048, ofWarden: 2_000 };

test("it is overwritten in place, so that it needs no room on a full disk", () => {
  using note = new OutageNote(path);
  const { size, ino } = statSync(path);
  expect(size).toBe(512);
  expect(note.read()).toBeUndefined();
  note.write(outage);
  note.write({ ...outage, missing: 3 });
  expect([statSync(path).size, statSync(path).ino]).toEqual([size, ino]);
  using next = new OutageNote(path);
  expect(next.read()).toEqual({ ...outage, missing: 3 });
  next.write(undefined);
  expect(new OutageNote(path).read()).toBeUndefined();
});

test("one that is not of this format counts nothing", () => {
  writeFileSync(path, "x".repeat(10_000));
  using note = new OutageNote(path);
  expect(note.read()).toBeUndefined();
  writeFileSync(path, JSON.stringify({ ...outage, missing: -1 }));
  expect(note.read()).toBeUndefined();
});

test("where there is no place for it, nothing is noted and nothing fails", () => {
  using note = new OutageNote(join(folder, "missing", "outage.json"));
  note.write(outage);
  expect(note.read()).toBeUndefined();
});
