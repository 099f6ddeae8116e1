import { expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWatch } from "../../src/linux/inotify.ts";

test("a watched folder has the names of files that were made, written, replaced or removed in it", () => {
  const folder = mkdtempSync(join(tmpdir(), "tw-inotify-"));
  const file = join(folder, "ld.so.preload");
  writeFileSync(join(folder, "hosts"), "");
  using watch = createWatch();
  watch.addFolder(folder);
  const changes: readonly (() => void)[] = [
    () => writeFileSync(file, ""),
    () => appendFileSync(file, "/usr/lib/x.so\n"),
    () => {
      writeFileSync(`${file}.new`, "");
      renameSync(`${file}.new`, file);
    },
    () => rmSync(file),
  ];
  try {
    for (const change of changes) {
      change();
      expect(watch.takeNames().has("ld.so.preload")).toBe(true);
      expect(watch.takeNames().size).toBe(0);
    }
    appendFileSync(join(folder, "hosts"), "127.0.0.1 x\n");
    expect([...watch.takeNames()]).toEqual(["hosts"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
