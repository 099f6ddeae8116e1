// Processes whose whole tree ends or stands still, as far as the kernel sees to that: a sensor that can do it has the
// kernel signal what they fork and execute, before user space has read the event.
import type { ProcessKey } from "../vocabulary/process-key.ts";

/** What happens to a condemned process, and to everything that it forks. */
export type CondemnedSignal = "SIGKILL" | "SIGSTOP";

/** What the kernel may have to carry on: nothing, SIGKILL alone, or SIGSTOP too. */
export type CarriedSignals = "none" | "SIGKILL" | "both";

export interface CondemnedProcesses {
  /**
   * From now on the kernel sends `signal` to each child that the process forks, before the child runs (Linux 6.13), and to
   * the process and its children before a program that they execute runs. Children are condemned like their parent. The
   * process itself is not signalled. Does nothing if the start is not exactly known or the kernel has no room.
   */
  condemn(process: ProcessKey, signal: CondemnedSignal): void;
  /** Takes it back for the process; its children stay condemned. */
  pardon(process: ProcessKey): void;
  /**
   * How often somebody has tried to continue a process that is to stand still. The kernel has refused it (5.7 on x86-64,
   * 6.0 on arm64), or has stopped the process again (6.13). 0 where it can do neither.
   */
  continued(process: ProcessKey): number;
}
