import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic, writeFileAtomicLater } from "../../src/linux/files.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "files-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const ways = {
  "at once": async (path: string, text: string) => writeFileAtomic(path, text),
  later: (path: string, text: string) => writeFileAtomicLater(path, text, "power loss"),
};

describe.each(Object.entries(ways))("a file that is written %s", (_, write) => {
  test("is complete, in created folders, without leftover files", async () => {
    const path = join(folder, "of", "mine", "state");
    for (const text of ["one", "two \u{1f333}", ""]) {
      await write(path, text);
      expect(readFileSync(path, "utf8")).toBe(text);
    }
    expect(readdirSync(join(folder, "of", "mine"))).toEqual(["state"]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "of")).mode & 0o777).toBe(0o700);
  });

  test("keeps its content if it cannot be written", async () => {
    const path = join(folder, "taken");
    mkdirSync(path);
    writeFileSync(join(path, "kept"), "");
    await expect(write(path, "text")).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect(readdirSync(path)).toEqual(["kept"]);
  });
});

test("a file gets exactly the requested mode", () => {
  const path = join(folder, "public");
  writeFileAtomic(path, "", 0o644);
  expect(statSync(path).mode & 0o777).toBe(0o644);
});

test("the content is synced before the rename, and the folder before the call returns", () => {
  const library = join(folder, "recorded-sync.so");
  const made = Bun.spawnSync([
    "gcc",
    "-shared",
    "-fPIC",
    "-o",
    library,
    join(import.meta.dir, "recorded-sync.c"),
  ]);
  expect(made.stderr.toString()).toBe("");
  const script = `
    const files = await import(${JSON.stringify(join(import.meta.dir, "../../src/linux/files.ts"))});
    files.writeFileAtomic("${folder}/now/file", "text");
    await files.writeFileAtomicLater("${folder}/later/file", "text", "power loss");
    await files.writeFileAtomicLater("${folder}/crash/file", "text", "crash");
  `;
  const run = Bun.spawnSync([process.execPath, "-e", script], { env: { LD_PRELOAD: library } });
  expect(run.exitCode).toBe(0);
  const synced = run.stderr.toString().trimEnd().split("\n");
  expect(synced).toEqual([
    expect.stringMatching(/now\/file\.\d+\.new$/),
    join(folder, "now"),
    join(folder, "later/file.new"),
    join(folder, "later"),
  ]);
});
