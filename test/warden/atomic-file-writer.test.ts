import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AtomicFileWriter } from "../../src/warden/atomic-file-writer.ts";

test("what was asked for last is what is in the file, for nobody else to read, and nothing else lies beside it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "filing-"));
  try {
    const filing = new AtomicFileWriter();
    const path = join(folder, "new", "state");
    const failures: unknown[] = [];
    for (let i = 0; i < 100; i += 1) filing.write(path, `text ${i}`, (error) => failures.push(error));
    expect(filing.busy).toBe(true);
    for (let turns = 0; filing.busy && turns < 100_000; turns += 1) await filing.runEventLoop();
    expect(readFileSync(path, "utf8")).toBe("text 99");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, "new"))).toEqual(["state"]);
    expect(failures).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a file that cannot be written is told, and keeps no other from being written", async () => {
  const folder = mkdtempSync(join(tmpdir(), "filing-"));
  try {
    // No file can take the place of a folder.
    mkdirSync(join(folder, "one"));
    const filing = new AtomicFileWriter();
    const failures: string[] = [];
    for (const name of ["one", "two"]) filing.write(join(folder, name), name, () => failures.push(name));
    await filing.settle(5_000);
    expect(filing.busy).toBe(false);
    expect(failures).toEqual(["one"]);
    expect(readFileSync(join(folder, "two"), "utf8")).toBe("two");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
