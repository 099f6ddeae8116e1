// Finds children that were stopped by a signal (SIGSTOP). A watchdog timer does not: it may be disarmed at that moment.
import { isStopped } from "../linux/proc/cpu-use.ts";

/** The time between two looks, ns. */
const LOOK_EVERY_NS = 2.5e9;
/** A process that was stopped at this many looks in a row, for 7.5 s to 10 s, is about as late as one that hangs. */
const LOOKS = 4;

export class StoppedProcesses {
  /** When to look next; ns, CLOCK_MONOTONIC. */
  dueAt: number;
  /** Of those that were stopped at the last look: at how many looks in a row. */
  private looks: ReadonlyMap<number, number> = new Map();

  /** `now`: ns, CLOCK_MONOTONIC. */
  constructor(now: number) {
    this.dueAt = now + LOOK_EVERY_NS;
  }

  /** Looks at `pids`; returns those that were stopped for too long. */
  look(pids: readonly number[], now: number): readonly number[] {
    this.dueAt = now + LOOK_EVERY_NS;
    const stopped = pids.filter(isStopped);
    this.looks = new Map(stopped.map((pid) => [pid, (this.looks.get(pid) ?? 0) + 1]));
    return stopped.filter((pid) => (this.looks.get(pid) ?? 0) >= LOOKS);
  }
}
