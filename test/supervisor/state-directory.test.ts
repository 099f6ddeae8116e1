import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, closeSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Refusal, signLock, takeStateDirectory } from "../../src/supervisor/state-directory.ts";

let folder = "";
let directory = "";
const locks: number[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "state-"));
  directory = join(folder, "treewarden");
});

afterEach(() => {
  for (const lock of locks.splice(0)) closeSync(lock);
  rmSync(folder, { recursive: true, force: true });
});

function take(): number | Refusal {
  const taken = takeStateDirectory(directory, null);
  if (typeof taken === "number") locks.push(taken);
  return taken;
}

function mode(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

test("other users cannot open the lock, even if an earlier version created it readable for all", () => {
  expect(take()).toBeNumber();
  expect(mode(join(directory, "lock"))).toBe("600");
  closeSync(locks.pop() ?? -1);
  chmodSync(join(directory, "lock"), 0o644);
  expect(take()).toBeNumber();
  expect(mode(join(directory, "lock"))).toBe("600");
});

test("missing folders are created whatever the umask: mode 755, and 750 for the reporter's", () => {
  const umask = process.umask(0o077);
  try {
    expect(take()).toBeNumber();
  } finally {
    process.umask(umask);
  }
  expect(mode(directory)).toBe("755");
  expect(mode(join(directory, "report"))).toBe("750");
});

test("the lock can be taken once, and a second try names its holder", () => {
  const lock = take();
  if (typeof lock === "number") signLock(lock);
  const reason = `another treewarden (pid ${process.pid}) runs on ${directory}`;
  expect(take()).toEqual({ kind: "usage", reason });
});

test("the lock is free again when its last descriptor is closed", () => {
  take();
  for (const lock of locks.splice(0)) closeSync(lock);
  expect(take()).toBeNumber();
});

describe("a directory from which root must not take decisions is refused:", () => {
  test("one that other users can write", () => {
    mkdirSync(directory);
    chmodSync(directory, 0o777);
    const reason = `${directory} can be written by others: chmod go-w ${directory}`;
    expect(take()).toEqual({ kind: "usage", reason });
  });

  test("a symbolic link", () => {
    symlinkSync(folder, directory);
    expect(take()).toEqual({ kind: "usage", reason: `${directory} is not a directory` });
  });

  test.skipIf(process.geteuid?.() !== 0)("one below a folder of another user, who can replace it", () => {
    const home = join(folder, "home");
    mkdirSync(join(home, "state"), { recursive: true });
    Bun.spawnSync(["chown", "65534", home]);
    directory = join(home, "state");
    const reason = `${directory} lies below ${home}, which belongs to user 65534, not to root: chown root ${home}`;
    expect(take()).toEqual({ kind: "usage", reason });
  });

  test.skipIf(process.geteuid?.() !== 0)("another user's", () => {
    mkdirSync(directory);
    Bun.spawnSync(["chown", "65534", directory]);
    expect(take()).toMatchObject({ kind: "usage" });
  });
});

test("a lock that is a symbolic link is not followed", () => {
  mkdirSync(directory, { mode: 0o755 });
  const elsewhere = join(folder, "elsewhere");
  symlinkSync(elsewhere, join(directory, "lock"));
  expect(take()).toMatchObject({ kind: "notAllowed" });
  expect(statSync(elsewhere, { throwIfNoEntry: false })).toBeUndefined();
});
