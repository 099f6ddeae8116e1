// How long BPF programs run, as the kernel counts it.
import { list, read } from "./usage.ts";

/** kernel.bpf_stats_enabled until disposed of, then as it was. */
export function countingRuns(): Disposable {
  const path = "/proc/sys/kernel/bpf_stats_enabled";
  const before = read(path).trim();
  const set = (value: string): void => void Bun.spawnSync(["sh", "-c", `echo ${value} > ${path}`]);
  set("1");
  return { [Symbol.dispose]: () => set(before === "1" ? "1" : "0") };
}

/** ns that the BPF programs which `pids` have loaded took so far (/proc/PID/fdinfo/N: prog_id, run_time_ns). */
export function programNs(pids: readonly number[]): number {
  const programs = new Map<string, number>();
  for (const pid of pids) {
    for (const fd of list(`/proc/${pid}/fdinfo`)) {
      const info = read(`/proc/${pid}/fdinfo/${fd}`);
      // A link's has a program's number, too, and no time.
      const id = /^prog_id:\s+(\d+)/m.exec(info)?.[1];
      const ns = /^run_time_ns:\s+(\d+)/m.exec(info)?.[1];
      if (id !== undefined && ns !== undefined) programs.set(id, Number(ns));
    }
  }
  return [...programs.values()].reduce((sum, ns) => sum + ns, 0);
}
