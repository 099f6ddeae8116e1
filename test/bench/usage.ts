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

/** Seconds of CPU that all threads of `pids` have used (/proc/PID/task/TID/schedstat, first field, ns). */
export function cpuSeconds(pids: readonly number[]): number {
  let ns = 0;
  for (const pid of pids) {
    for (const task of list(`/proc/${pid}/task`)) {
      ns += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(" ")[0] ?? 0);
    }
  }
  return ns / 1e9;
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
