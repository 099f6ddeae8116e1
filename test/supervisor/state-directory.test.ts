import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signLock } from "../../src/supervisor/sign-lock.ts";
import { type Refusal, takeStateDirectory } from "../../src/supervisor/state-directory.ts";

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
  const taken = takeStateDirectory(directory, undefined);
  if ("reason" in taken) return taken;
  locks.push(taken.lock);
  return taken.lock;
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

/** Runs once as `nobody`, as earlier versions did. */
function makeReportOf(uid: number): string {
  mkdirSync(directory, { mode: 0o755 });
  const report = join(directory, "report");
  mkdirSync(report, { mode: 0o750 });
  for (const name of ["journal.sqlite", "journal.sqlite-wal"]) {
    writeFileSync(join(report, name), "rows");
    chownSync(join(report, name), uid, uid);
  }
  chownSync(report, uid, uid);
  return report;
}

describe.skipIf(process.geteuid?.() !== 0)(
  "the reporter's user, on a host without a user treewarden,",
  () => {
    const NOBODY = 65_534;

    test("is a number that nobody has, stays the same, and only root can read which", () => {
      take();
      const { uid, gid } = statSync(join(directory, "report"));
      expect(uid).toBeWithin(61_184, 65_520);
      expect(gid).toBe(uid);
      expect(mode(join(directory, "reporter-user"))).toBe("600");
      for (const lock of locks.splice(0)) closeSync(lock);
      take();
      expect(statSync(join(directory, "report")).uid).toBe(uid);
    });

    test("is another number once a process has got that one", async () => {
      take();
      const { uid } = statSync(join(directory, "report"));
      for (const lock of locks.splice(0)) closeSync(lock);
      await using other = Bun.spawn(["setpriv", `--reuid=${uid}`, "--clear-groups", "sleep", "10"]);
      for (let i = 0; i < 200 && statSync(`/proc/${other.pid}`).uid !== uid; i += 1) await Bun.sleep(5);
      take();
      expect(statSync(join(directory, "report")).uid).not.toBe(uid);
      other.kill();
    });

    test("gets the journal that an earlier version wrote as nobody", () => {
      const report = makeReportOf(NOBODY);
      expect(take()).toBeNumber();
      const { uid } = statSync(report);
      expect(uid).not.toBe(NOBODY);
      expect(statSync(join(report, "journal.sqlite")).uid).toBe(uid);
      expect(readFileSync(join(report, "journal.sqlite"), "utf8")).toBe("rows");
    });

    test("gets no file that has another name as well: it may be anybody's", () => {
      const report = makeReportOf(NOBODY);
      const elsewhere = join(folder, "of-nobody");
      writeFileSync(elsewhere, "");
      chownSync(elsewhere, NOBODY, NOBODY);
      linkSync(elsewhere, join(report, "linked"));
      expect(take()).toMatchObject({
        kind: "usage",
        reason: expect.stringContaining("linked belongs to user"),
      });
      expect(statSync(elsewhere).uid).toBe(NOBODY);
      expect(statSync(report).uid).toBe(NOBODY);
    });

    test("gets a link as a link, and not the file that it leads to", () => {
      const report = makeReportOf(NOBODY);
      symlinkSync("/etc/passwd", join(report, "passwd"));
      chownLink(join(report, "passwd"), NOBODY);
      expect(take()).toBeNumber();
      expect(lstatSync("/etc/passwd").uid).toBe(0);
      expect(lstatSync(join(report, "passwd")).uid).toBe(statSync(report).uid);
    });

    test("a file of a third user in the reporter's folder is refused by its name", () => {
      const report = makeReportOf(NOBODY);
      writeFileSync(join(report, "foreign"), "");
      const reason = `${join(report, "foreign")} belongs to user 0, not to the reporter: remove it`;
      expect(take()).toEqual({ kind: "usage", reason });
    });
  },
);

function chownLink(path: string, uid: number): void {
  Bun.spawnSync(["chown", "-h", `${uid}:${uid}`, path]);
}

test.skipIf(process.geteuid?.() !== 0)("nobody is refused as the reporter's user, and root", () => {
  for (const name of ["nobody", "root"])
    expect(takeStateDirectory(directory, name)).toMatchObject({
      kind: "usage",
      reason: expect.stringContaining(`must not run as ${name}`),
    });
});
