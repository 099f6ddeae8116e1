// What processes have used, from /proc: CPU to the nanosecond, memory that is really theirs.
import { readdirSync, readFileSync } from "node:fs";

/** `pid` and every live process below it. */
export function family(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const all = [pid];
  for (const one of all) all.push(...(children.get(one) ?? []));
  return all;
}

/**
 * Seconds of CPU that `pids` have used: of the threads they have, to the nanosecond (/proc/PID/task/TID/schedstat, first
 * field); or of all they ever had, in ticks (/proc/PID/stat, fields 14 and 15), if that is more: the runtime's compiler
 * threads end when they have nothing to do. And of their children that have ended (fields 16 and 17), as the examiner
 * does.
 */
export function cpuSeconds(pids: readonly number[]): number {
  let seconds = 0;
  for (const pid of pids) {
    let ns = 0;
    for (const task of list(`/proc/${pid}/task`)) {
      ns += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(" ")[0] ?? 0);
    }
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    const ended = Number(fields[13] ?? 0) + Number(fields[14] ?? 0);
    seconds += Math.max(ns / 1e9, ticks / 100) + ended / 100;
  }
  return seconds;
}

/** Seconds of CPU that the main thread of `pid` has used, to the nanosecond. */
export function mainThreadSeconds(pid: number): number {
  return Number(read(`/proc/${pid}/task/${pid}/schedstat`).split(" ")[0] ?? 0) / 1e9;
}

/** Seconds of CPU that the kernel's own threads have used: what a tool wakes there is its cost, too. */
export function kernelThreadSeconds(): number {
  return cpuSeconds(family(2));
}

export interface Memory {
  /** VmRSS, KiB. */
  readonly resident: number;
  /** RssAnon, KiB: not shared with the file or with anyone. */
  readonly anonymous: number;
}

export function memory(pids: readonly number[]): Memory {
  let resident = 0;
  let anonymous = 0;
  for (const pid of pids) {
    const status = read(`/proc/${pid}/status`);
    resident += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    anonymous += Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return { resident, anonymous };
}

/** A process's name as it has set it. */
export function nameOf(pid: number): string {
  return /^Name:\s+(\S+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? "";
}

export function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

export function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
