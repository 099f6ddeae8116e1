// Processes of one user that hold a lock of the kernel for ever, and a program of another user whose verdict must not wait for
// that. Each test has users of its own, which nothing else on the host has.
import { expect } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, pids, stat } from "./live.ts";
import { type JsonRecord, newFolder, type Running } from "./treewarden.ts";

export interface HolderUsers {
  readonly mallory: number;
  readonly alice: number;
}

const as = (user: number) => ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];

export class LockHolders implements Disposable {
  readonly folder = newFolder();
  readonly visitor: string;
  readonly processes: Bun.Subprocess<"ignore", "pipe", "inherit">[] = [];
  private readonly users: HolderUsers;
  private readonly program: string;

  /** `program`: in test/system/programs, prints "held" when it holds the lock; `flags`: for its compiler. */
  constructor(users: HolderUsers, program: string, ...flags: readonly string[]) {
    this.users = users;
    this.program = compile(this.folder, program, ...flags);
    this.visitor = join(this.folder, "tw-visitor");
    copyFileSync("/bin/sleep", this.visitor);
    // Many hosts let everybody open /dev/fuse; this one may not.
    const device = join(this.folder, "fuse");
    expect(Bun.spawnSync(["mknod", "-m", "666", device, "c", "10", "229"]).success).toBe(true);
  }

  /** Writes a policy with a rule on the visitor's arguments and these. */
  policy(name: string, rules: readonly object[]): string {
    const visited = { "==": [{ var: "process.executable.name" }, "tw-visitor"] };
    const asked = { and: [visited, { contains: [{ var: "process.command_line" }, "0.0"] }] };
    const visits = { id: "visitor", when: asked, action: "alert" };
    const file = join(this.folder, name);
    writeFileSync(file, JSON.stringify({ role: "visitors", rules: [visits, ...rules], default: "allow" }));
    return file;
  }

  /** Starts another process that holds the lock; its pid. */
  async hold(): Promise<number> {
    const mount = join(this.folder, `mount-${this.processes.length}`);
    mkdirSync(mount, { recursive: true });
    chmodSync(mount, 0o777);
    const words = [...as(this.users.mallory), this.program, join(this.folder, "fuse"), mount];
    const child = Bun.spawn(words, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
    this.processes.push(child);
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("held\n");
    return child.pid;
  }

  async release(): Promise<void> {
    for (const each of this.processes) each.kill("SIGKILL");
    await Promise.all(this.processes.splice(0).map((each) => each.exited));
  }

  /** A program of the other user; it sleeps for so many seconds. */
  startVisitor(seconds: string): Bun.Subprocess {
    const words = [...as(this.users.alice), this.visitor, seconds];
    return Bun.spawn(words, { stdio: ["ignore", "ignore", "inherit"] });
  }

  /** A program of the other user, and how long after its start its verdict came, which needs its arguments; ms. */
  async visit(running: Running): Promise<number> {
    const start = performance.now();
    const child = this.startVisitor("0.05");
    const verdict = await running.seen(isVerdictOn(child.pid));
    expect(verdict["process.command_args"]).toEqual([this.visitor, "0.05"]);
    await child.exited;
    return performance.now() - start;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const isVerdictOn =
  (pid: number) =>
  (record: JsonRecord): boolean =>
    record["event.name"] === "policy.verdict" && record["process.pid"] === pid;

export function wardenOf(running: Running): number {
  const isWarden = (pid: number): boolean =>
    Number(stat(pid)[1]) === running.pid && readFileSync(`/proc/${pid}/comm`, "latin1") === "tw-warden\n";
  return pids().find(isWarden) ?? 0;
}
