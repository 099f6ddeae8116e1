import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { openDpkg } from "../../src/examiner/dpkg.ts";
import { examine, examineContent } from "../../src/examiner/examine.ts";
import { openPackages } from "../../src/examiner/open.ts";
import { tryLock } from "../../src/linux/flock.ts";
import { debian, md5, Root } from "./root.ts";

/** The files of these tests are young; a minute on they are not. */
const later = (): number => Date.now() + 60_000;

function ask(root: Root, path: string) {
  return examine(root.question(path), openPackages(root.path), { root: root.path, now: later });
}

describe("a file", () => {
  test("that is unmodified", () => {
    using root = debian();
    expect(ask(root, "/usr/bin/ls")).toMatchObject({
      package: "coreutils",
      unpackaged: false,
      modified: false,
      final: true,
    });
  });

  test("that differs from its package is modified", () => {
    using root = debian();
    expect(ask(root, "/usr/sbin/chroot")).toMatchObject({ package: "coreutils", modified: true });
    root.file("/usr/bin/ls", "ls with more in it");
    expect(ask(root, "/usr/bin/ls")).toMatchObject({ package: "coreutils", modified: true });
  });

  test("without a package is unpackaged, and `modified` is not known", () => {
    using root = debian();
    const answer = ask(root, "/usr/bin/stranger");
    expect(answer).toMatchObject({ package: null, unpackaged: true, final: true });
    expect(answer.modified).toBeUndefined();
  });
});

test("the digest is that of the content, and is computed only on request", () => {
  using root = debian();
  const question = root.question("/usr/bin/stranger");
  const content = readFileSync(`${root.path}/usr/bin/stranger`);
  const hex = new Bun.CryptoHasher("sha256").update(content).digest("hex");
  for (const packages of [undefined, openPackages(root.path)]) {
    const options = { root: root.path, now: later };
    expect(examine(question, packages, { ...options, digest: true }).digest).toBe(`sha256:${hex}`);
    expect(examine(question, packages, options).digest).toBeUndefined();
  }
});

describe("the content of a runnable", () => {
  const O_PATH = 0o10000000;
  const digestOf = (text: string): string =>
    `sha256:${new Bun.CryptoHasher("sha256").update(text).digest("hex")}`;

  test("is that of the file that a process had open, whatever is at its path by now", () => {
    using root = debian();
    const path = `${root.path}/opt/job`;
    root.file("/opt/job", "edited");
    const fd = openSync(path, O_PATH);
    const { ino, size } = statSync(path);
    root.file("/opt/restored", "as it was");
    renameSync(`${root.path}/opt/restored`, path);
    const packages = openPackages(root.path);
    expect(examineContent("/opt/job", fd, packages, root.path)).toMatchObject({
      packaged: false,
      digest: digestOf("edited"),
      state: { inode: ino, size },
    });
    closeSync(fd);
    expect(examineContent("/opt/job", undefined, packages, root.path).digest).toBe(digestOf("as it was"));
    expect(examineContent("/opt/job", undefined, undefined, root.path).digest).toBe(digestOf("as it was"));
  });

  test("of a package is told by the package's digest, also below a link, and of a conffile", () => {
    using root = debian();
    root.file("/etc/cron.daily/tidy", "tidy");
    root.link("/usr/bin/list", "ls");
    const shipped = `Conffiles:\n /etc/cron.daily/tidy ${md5("tidy")}\n /etc/gone ${md5("gone")} obsolete`;
    const status = readFileSync(`${root.path}/var/lib/dpkg/status`, "utf8");
    root.file("/var/lib/dpkg/status", status.replace("Version: 9", `Version: 9\n${shipped}`));
    root.file(
      "/var/lib/dpkg/info/coreutils.list",
      "/bin/ls\n/usr/bin/list\n/etc/cron.daily/tidy\n/usr/bin/plain\n",
    );
    const content = (path: string) => examineContent(path, undefined, openPackages(root.path), root.path);
    for (const [path, name] of [
      ["/usr/bin/ls", "ls"],
      ["/usr/bin/list", "ls"],
      ["/etc/cron.daily/tidy", "tidy"],
    ] as const) {
      const { packaged, digest } = content(path);
      expect([path, packaged, digest]).toEqual([path, true, undefined]);
      writeFileSync(`${root.path}${path}`, "edited");
      expect(content(path)).toMatchObject({ packaged: false, digest: digestOf("edited") });
      writeFileSync(`${root.path}${path}`, name);
    }
    // The package records no digest of it.
    root.file("/usr/bin/plain", "whatever");
    expect(content("/usr/bin/plain")).toMatchObject({ packaged: true });
  });

  test("of a package counts as the package's while packages are installed", () => {
    using root = debian();
    root.file("/usr/bin/ls", "a new version");
    const packages = openPackages(root.path);
    expect(examineContent("/usr/bin/ls", undefined, packages, root.path).packaged).toBe(false);
    root.file("/var/lib/dpkg/info/coreutils.new", "");
    expect(examineContent("/usr/bin/ls", undefined, packages, root.path)).toEqual({ packaged: true });
  });

  test("of what is not there, or no file, is not known", () => {
    using root = debian();
    for (const path of ["/opt/gone", "/usr"])
      expect(examineContent(path, undefined, openPackages(root.path), root.path)).toEqual({
        packaged: false,
      });
  });
});

describe("no answer is given", () => {
  test("for another file than the one that was run", () => {
    using root = debian();
    const question = root.question("/usr/bin/ls");
    const packages = openDpkg(root.path);
    for (const other of [
      { ...question, inode: question.inode + 1 },
      { ...question, device: question.device + 1 },
      { ...question, path: "/usr/bin/nosuch" },
    ]) {
      const answer = examine(other, packages, { root: root.path, now: later });
      expect(answer).toEqual({
        type: "answer",
        path: other.path,
        device: other.device,
        inode: other.inode,
        final: true,
      });
    }
  });

  test("for a pipe, without blocking, and for a link, which is not followed", () => {
    using root = debian();
    Bun.spawnSync(["mkfifo", `${root.path}/usr/bin/pipe`]);
    expect(ask(root, "/usr/bin/pipe").unpackaged).toBeUndefined();
    root.link("/usr/bin/dir", "ls");
    expect(ask(root, "/usr/bin/dir").unpackaged).toBeUndefined();
  });

  test("for a pipe in place of a program; the pipe is not opened, so its writer keeps waiting", async () => {
    using root = debian();
    const path = `${root.path}/usr/bin/pipe`;
    Bun.spawnSync(["mkfifo", path]);
    const writer = Bun.spawn(["sh", "-c", 'echo x > "$0"', path]);
    try {
      // It opens the pipe as soon as it runs, and then waits.
      await Bun.sleep(100);
      expect(ask(root, "/usr/bin/pipe").unpackaged).toBeUndefined();
      expect(await Promise.race([writer.exited, Bun.sleep(100)])).toBeUndefined();
    } finally {
      writer.kill("SIGKILL");
    }
  });

  test("without a package database", () => {
    using root = new Root();
    root.file("/usr/bin/ls", "ls");
    const answer = ask(root, "/usr/bin/ls");
    expect(answer.unpackaged).toBeUndefined();
    expect(answer.package).toBeUndefined();
    expect(answer.final).toBe(true);
  });

  test("while a package manager is at work; the answer is not final", () => {
    using root = debian();
    const lock = openSync(`${root.path}/var/lib/dpkg/lock`, "r+");
    expect(tryLock(lock)).toBe(true);
    const answer = ask(root, "/usr/bin/stranger");
    closeSync(lock);
    expect(answer).toMatchObject({ final: false });
    expect(answer.unpackaged).toBeUndefined();
    expect(ask(root, "/usr/bin/stranger")).toMatchObject({ unpackaged: true });
  });

  test("from a database that has changed since it was read", () => {
    using root = debian();
    const packages = openDpkg(root.path);
    root.file("/var/lib/dpkg/status", "Package: other\nStatus: install ok installed\n");
    const answer = examine(root.question("/usr/bin/ls"), packages, { root: root.path, now: later });
    expect(answer).toMatchObject({ final: false });
    expect(answer.package).toBeUndefined();
  });
});

test("the answer for a file that was just written is not final", () => {
  using root = debian();
  const answer = examine(root.question("/usr/bin/ls"), openDpkg(root.path), { root: root.path });
  expect(answer).toMatchObject({ modified: false, final: false });
});
