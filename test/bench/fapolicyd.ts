// fapolicyd in a mount namespace of its own: whatever it does, it can hold up nothing but what is started in there.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { family, list, read } from "./usage.ts";

const PACKAGE = "fapolicyd";
const READY_MS = 8_000;
/** After these seconds it is killed, even if the benchmark is not there any more. */
const LIFE_S = 20;

/** Allows everything, after it has asked whether the file is trusted, as its own policy does. */
const rules = "allow perm=any all : trust=1\nallow perm=any all : all\n";
const configuration = `permissive = 1
nice_val = 14
q_size = 800
uid = 0
gid = 0
do_stat_report = 0
detailed_report = 0
db_max_size = 10
subj_cache_size = 1549
obj_cache_size = 8191
watch_fs = tmpfs
trust = file
integrity = none
syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype
rpm_sha256_only = 0
allow_filesystem_mark = 0
`;

/** In the namespace: its files are those of the benchmark, and what it writes is gone with the namespace. */
const script = `
set -e
mount --bind "$1/etc" /etc/fapolicyd
mount --bind "$1/state" /var/lib/fapolicyd
mount -t tmpfs tmpfs /run
mkdir /run/fapolicyd
exec fapolicyd --debug-deny
`;

export class Fapolicyd implements AsyncDisposable {
  private readonly run: Bun.Subprocess;
  private readonly folder: string;
  private pid = 0;

  private constructor(folder: string, program: string) {
    this.folder = join(folder, PACKAGE);
    for (const part of ["etc", "state"]) mkdirSync(join(this.folder, part), { recursive: true });
    const bytes = readFileSync(program);
    const digest = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    const files = {
      "fapolicyd.conf": configuration,
      "compiled.rules": rules,
      "fapolicyd.trust": `${program} ${bytes.length} ${digest}\n`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.folder, "etc", name), text);
    // unshare, the shell and fapolicyd are one process after the other: it is what timeout(1) kills.
    const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", this.folder];
    this.run = Bun.spawn(["timeout", "--signal=KILL", String(LIFE_S), ...inside], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: Bun.file(join(this.folder, "log")),
    });
  }

  /** Why it cannot be measured; undefined if it can. */
  static missing(): string | undefined {
    return Bun.which(PACKAGE) === null ? "it is not installed (Debian package fapolicyd)" : undefined;
  }

  static title(): string {
    const { stdout } = Bun.spawnSync(["dpkg-query", "-W", "-f", "$" + "{Version}", PACKAGE], {
      stderr: "ignore",
    });
    return `${PACKAGE} ${stdout.toString()}, permissive`;
  }

  /** Ready, and its marks checked. `folder`: for its files. `program`: a file that it trusts. */
  static async start(folder: string, program: string): Promise<Fapolicyd> {
    const started = new Fapolicyd(folder, program);
    try {
      await started.ready();
      return started;
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The command that starts another one in its namespace. */
  get inside(): readonly string[] {
    return ["nsenter", `--mount=/proc/${this.pid}/ns/mnt`];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.pid !== 0 && this.run.exitCode === null) process.kill(this.pid, "SIGTERM");
    await Promise.race([this.run.exited, Bun.sleep(2_000)]);
    // timeout(1) kills its child by the signal that it was given.
    if (this.run.exitCode === null) this.run.kill("SIGTERM");
    await this.run.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async ready(): Promise<void> {
    const end = performance.now() + READY_MS;
    while (performance.now() < end && this.run.exitCode === null) {
      this.pid = family(this.run.pid).find((pid) => read(`/proc/${pid}/comm`).trim() === PACKAGE) ?? 0;
      if (this.pid !== 0 && this.marks().length > 0) {
        this.checkMarks();
        // It adds them one after the other, and answers when all are there.
        await Bun.sleep(500);
        this.checkMarks();
        return;
      }
      await Bun.sleep(20);
    }
    throw new Error(`fapolicyd is not ready: ${read(join(this.folder, "log"))}`);
  }

  /** The lines on its marks in /proc/PID/fdinfo (proc_pid_fdinfo(5)). */
  private marks(): readonly string[] {
    const folder = `/proc/${this.pid}/fdinfo`;
    const lines = list(folder).flatMap((fd) => read(`${folder}/${fd}`).split("\n"));
    return lines.filter((line) => line.startsWith("fanotify ") && !line.startsWith("fanotify flags:"));
  }

  /** Throws unless every mark is one on a mount that the host does not have. */
  private checkMarks(): void {
    const mounts = (pid: number): ReadonlySet<string> =>
      new Set(
        read(`/proc/${pid}/mountinfo`)
          .split("\n")
          .map((line) => line.split(" ")[0] ?? ""),
      );
    const [own, hosts] = [mounts(this.pid), mounts(1)];
    for (const mark of this.marks()) {
      const hex = /^fanotify mnt_id:([0-9a-f]+) /.exec(mark)?.[1];
      const id = hex === undefined ? "" : String(Number.parseInt(hex, 16));
      if (!own.has(id) || hosts.has(id))
        throw new Error(`fapolicyd watches more than its namespace: ${mark}`);
    }
  }
}
