// Whether a file, or an entry of a folder, was replaced.
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileVersion } from "../../src/linux/file-version.ts";

test("a folder has another version once an entry was replaced, and once it is another folder; none where it is missing", () => {
  const place = mkdtempSync(join(tmpdir(), "treewarden-version-"));
  try {
    const folder = join(place, "folder");
    const version = new FileVersion(folder);
    const seen = new Set([version.current]);
    expect(seen).toEqual(new Set([""]));
    const isOther = (): boolean => {
      const before = seen.size;
      seen.add(version.current);
      return seen.size > before;
    };
    mkdirSync(folder);
    expect(isOther()).toBe(true);
    expect(isOther()).toBe(false);
    Bun.sleepSync(20);
    writeFileSync(join(folder, "new"), "");
    expect(isOther()).toBe(true);
    expect(isOther()).toBe(false);
    Bun.sleepSync(20);
    renameSync(join(folder, "new"), join(folder, "file"));
    expect(isOther()).toBe(true);
    renameSync(folder, join(place, "other"));
    expect(version.current).toBe("");
    Bun.sleepSync(20);
    mkdirSync(folder);
    expect(isOther()).toBe(true);
  } finally {
    rmSync(place, { recursive: true });
  }
});

test("where it cannot be known, that is an error", () => {
  expect(() => new FileVersion("/proc/self/status/entry").current).toThrow(
    "statx /proc/self/status/entry: ENOTDIR",
  );
});
