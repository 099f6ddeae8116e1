// Processes whose fork was read in this turn of the loop, and which have executed no program since. What is to be done for them
// can wait until the verdicts of the turn are carried out, and is not needed for most: they execute a program, or end, first.
import type { Process } from "../forest/process.ts";

/** As many are forked in a burst: these do not wait for the end of the turn. */
const MOST = 256;

export class ForkedProcesses {
  private readonly processes = new Set<Process>();
  private readonly work: (process: Process) => void;

  /** `work`: what is to be done for each. */
  constructor(work: (process: Process) => void) {
    this.work = work;
  }

  add(process: Process): void {
    this.processes.add(process);
    if (this.processes.size >= MOST) this.finish();
  }

  delete(process: Process): void {
    this.processes.delete(process);
  }

  /** To be called at the end of the turn. */
  finish(): void {
    if (this.processes.size === 0) return;
    const processes = [...this.processes];
    this.processes.clear();
    for (const process of processes) this.work(process);
  }
}
