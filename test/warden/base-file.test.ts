import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSameBase, readBase, writeBase } from "../../src/warden/base-file.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-basefile-"));
afterAll(() => rmSync(folder, { recursive: true }));

const base = { files: new Map([["/usr/bin/ls", "coreutils, essential"]]) };

describe("the base system in the state directory", () => {
  test("is read as it was written, and only root reads it", () => {
    writeBase(folder, base);
    expect(readBase(folder)).toEqual(base);
    expect(statSync(join(folder, "base.json")).mode & 0o777).toBe(0o600);
  });

  test("is none if there is none, or another thing in its place", () => {
    expect(readBase(join(folder, "nosuch"))).toBeUndefined();
    for (const text of ["", "[]", '{"files":{"/usr/bin/ls":1}}', '{"files":{},"more":1}']) {
      writeFileSync(join(folder, "base.json"), text);
      expect(readBase(folder)).toBeUndefined();
    }
  });
});

test("two base systems are the same if they have the same programs from the same places", () => {
  expect(isSameBase(base, { files: new Map(base.files) })).toBe(true);
  expect(isSameBase(base, { files: new Map() })).toBe(false);
  expect(isSameBase(base, { files: new Map([["/usr/bin/ls", "busybox"]]) })).toBe(false);
});
