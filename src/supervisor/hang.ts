// Decides whether a process that has not come back in time hangs, or was not given a CPU because other programs take
// it. A process that hangs is killed; killing one that is starved would only add to the load.
import type { CpuUse, ThreadUse } from "../linux/proc/cpu-use.ts";

/** A process that has used this share of its time limit as CPU time, without coming back, is in an endless loop. */
const SPINNING_SHARE = 0.65;
/** A thread that was on a CPU or waiting for one for this share of the time since the last look was not asleep. */
const RUNNABLE_SHARE = 0.5;

export type Stall =
  | { readonly kind: "hangs"; readonly how: string }
  | { readonly kind: "starved"; readonly cpuMs: number };

export interface StallInputs {
  /** What the process had done when its stall was first noticed. */
  readonly first: CpuUse;
  /** At the last look before now. */
  readonly previous: CpuUse;
  readonly now: CpuUse;
  /** The time between `previous` and `now`, ns. */
  readonly sincePreviousNs: number;
  readonly limitNs: number;
}

/** Judges a process that has not come back for its whole time limit. */
export function judgeStall({ first, previous, now, sincePreviousNs, limitNs }: StallInputs): Stall {
  const main = now.threads[0];
  if (main?.state === "T" || main?.state === "t") return { kind: "hangs", how: "it is stopped" };
  const cpuNs = now.cpuNs - first.cpuNs;
  const cpuMs = Math.round(cpuNs / 1e6);
  if (cpuNs >= limitNs * SPINNING_SHARE)
    return { kind: "hangs", how: `it has used ${cpuMs} ms of CPU meanwhile` };
  // Any thread counts: the main one may sleep until a helper thread of the garbage collector gets a CPU.
  const before = new Map(previous.threads.map((thread) => [thread.tid, thread]));
  const isRunnable = (thread: ThreadUse): boolean => {
    const { ranNs = 0, waitedNs = 0 } = before.get(thread.tid) ?? {};
    const busyNs = thread.ranNs - ranNs + thread.waitedNs - waitedNs;
    return thread.state === "R" || busyNs >= sincePreviousNs * RUNNABLE_SHARE;
  };
  if (now.threads.some(isRunnable)) return { kind: "starved", cpuMs };
  return { kind: "hangs", how: "it sleeps" };
}
