// What a test may know of a run from outside: its processes, their memory, and what /proc says is alive.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Metrics, type Running, until } from "./treewarden.ts";

export type Role = "supervisor" | "standby" | "warden" | "reporter";
export const roles: readonly Role[] = ["supervisor", "standby", "warden", "reporter"];

/** Names as /proc/PID/comm has them, which holds 15 bytes. */
const names: Readonly<Record<string, Role>> = {
  treewarden: "supervisor",
  "treewarden-stby": "standby",
  "tw-warden": "warden",
  "tw-reporter": "reporter",
};

function read(pid: number | string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

/** Pids of the host. */
export function pids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Fields of /proc/PID/stat from the state on: field N of proc(5) is element N - 3. */
export function stat(pid: number): readonly string[] {
  const text = read(pid, "stat");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** Processes that have not ended, pid 1 left out: what the RUNNING gauges add up to. */
export function alive(): number {
  let count = 0;
  for (const pid of pids()) {
    const [state = "", threads = "0"] = [stat(pid)[0], stat(pid)[17]];
    // A leader that has ended is a zombie as long as its threads live; the process is not.
    if (pid !== 1 && state !== "" && (!"ZX".includes(state) || Number(threads) > 1)) count += 1;
  }
  return count;
}

/** The processes of a run, one of each role if it is whole. */
export function processesOf(running: Running): { readonly role: Role; readonly pid: number }[] {
  const found: { role: Role; pid: number }[] = [];
  for (const pid of pids()) {
    const [program, , runId] = read(pid, "cmdline").split("\0");
    if (program !== "treewarden" || runId !== running.runId) continue;
    const role = names[read(pid, "comm").trim()];
    if (role !== undefined) found.push({ role, pid });
  }
  return found;
}

/** The pid of each role once there is one of each; undefined otherwise. */
export function whole(running: Running): ReadonlyMap<Role, number> | undefined {
  const found = processesOf(running);
  const byRole = new Map(found.map(({ role, pid }) => [role, pid]));
  return found.length === roles.length && byRole.size === roles.length ? byRole : undefined;
}

export function pidOf(running: Running, role: Role): number {
  const found = processesOf(running).find((one) => one.role === role);
  if (found === undefined) throw new Error(`there is no ${role}`);
  return found.pid;
}

/** Ends a run whose supervisor is no longer the one that was started, when it goes out of scope. */
export function endOf(running: Running): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      for (const { role, pid } of processesOf(running))
        if (role === "supervisor") process.kill(pid, "SIGTERM");
      await until("all of the run have ended", () => processesOf(running).length === 0, 5_000);
    },
  };
}

/** Anonymous memory of all processes of a run, in MB. */
export function memoryOf(running: Running): number {
  let kib = 0;
  for (const { pid } of processesOf(running))
    kib += Number(/^RssAnon:\s+(\d+)/m.exec(read(pid, "status"))?.[1] ?? 0);
  return kib / 1024;
}

/**
 * Until the gauges of all trees add up to the processes that are alive. Others come and go on a busy machine, so it
 * is asked again until nothing came or went while it was asked.
 */
export async function forestEqualsProc(running: Running, ms = 30_000): Promise<void> {
  let last = "";
  await until(
    "RUNNING equals /proc",
    async () => {
      const before = alive();
      const counted = (await running.metrics()).sum("process", { state: "RUNNING" });
      last = `${counted} of ${before}`;
      return counted === before && alive() === before;
    },
    ms,
  ).catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : error}: ${last}`);
  });
}

/** Half a second in which a counter grows by less is the ordinary life of a host, not what is left of a load. */
const ORDINARY = 200;

/** The metrics once a counter has all but stopped growing: what was queued has been handled and told. */
export async function settled(running: Running, read: (metrics: Metrics) => number): Promise<Metrics> {
  let before = Number.NEGATIVE_INFINITY;
  let metrics = await running.metrics();
  await until(
    "counters stand still",
    async () => {
      const now = read(metrics);
      if (now - before < ORDINARY) return true;
      before = now;
      await Bun.sleep(500);
      metrics = await running.metrics();
      return false;
    },
    30_000,
  );
  return metrics;
}

/** A policy that has nothing to say, so that a load makes no alerts. */
export function quietPolicy(folder: string): string {
  const path = join(folder, "quiet.json");
  writeFileSync(
    path,
    JSON.stringify({ role: "quiet", description: "says nothing", rules: [], default: "allow" }),
  );
  return path;
}

/** Compiles a program of `programs/` into `folder`; gives its path. */
export function compile(folder: string, name: string, ...flags: readonly string[]): string {
  const out = join(folder, name);
  const source = join(import.meta.dir, "programs", `${name}.c`);
  const run = Bun.spawnSync(["gcc", "-O1", "-static", ...flags, "-o", out, source], { stderr: "pipe" });
  if (!run.success) throw new Error(run.stderr.toString());
  return out;
}
