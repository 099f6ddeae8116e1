// A small system of its own: files, and the database of a package manager that knows some of them.
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ExaminerQuestion } from "../../src/examiner/protocol.ts";

export class Root implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "treewarden-root-"));

  file(path: string, content: string): void {
    mkdirSync(dirname(this.path + path), { recursive: true });
    writeFileSync(this.path + path, content, { mode: 0o755 });
  }

  link(path: string, target: string): void {
    mkdirSync(dirname(this.path + path), { recursive: true });
    symlinkSync(target, this.path + path);
  }

  /** The question that the warden would ask about the file at `path`. */
  question(path: string): ExaminerQuestion {
    const { dev, ino } = statSync(this.path + path);
    return { path, device: dev, inode: ino };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

export function md5(content: string): string {
  return createHash("md5").update(content).digest("hex");
}

/** A Debian with /usr merged: coreutils (essential), site-tool (optional, diverts /usr/bin/cat) and a removed package. */
export function debian(): Root {
  const root = new Root();
  root.link("/bin", "usr/bin");
  root.link("/sbin", "usr/sbin");
  root.file("/usr/bin/ls", "ls");
  root.file("/usr/bin/cat", "cat of site-tool");
  root.file("/usr/bin/cat.distrib", "cat");
  root.file("/usr/sbin/chroot", "chroot");
  root.file("/usr/bin/stranger", "nobody's");
  root.file(
    "/var/lib/dpkg/status",
    [
      "Package: coreutils\nEssential: yes\nStatus: install ok installed\nPriority: required\nVersion: 9",
      "Package: site-tool\nStatus: install ok half-configured\nPriority: optional\nArchitecture: amd64",
      "Package: gone\nStatus: deinstall ok config-files\nPriority: standard",
      "",
    ].join("\n\n"),
  );
  root.file("/var/lib/dpkg/diversions", "/usr/bin/cat\n/usr/bin/cat.distrib\nsite-tool\n");
  root.file(
    "/var/lib/dpkg/info/coreutils.list",
    "/.\n/bin\n/bin/ls\n/usr/bin/cat\n/usr/sbin\n/usr/sbin/chroot\n",
  );
  root.file(
    "/var/lib/dpkg/info/coreutils.md5sums",
    `${md5("ls")}  bin/ls\n${md5("cat")}  usr/bin/cat\n${md5("another")}  usr/sbin/chroot\n`,
  );
  root.file("/var/lib/dpkg/info/site-tool:amd64.list", "/.\n/usr/bin/cat\n");
  root.file("/var/lib/dpkg/info/site-tool:amd64.md5sums", `${md5("cat of site-tool")}  usr/bin/cat\n`);
  root.file("/var/lib/dpkg/info/gone.list", "/usr/bin/stranger\n");
  root.file("/var/lib/dpkg/lock", "");
  return root;
}
