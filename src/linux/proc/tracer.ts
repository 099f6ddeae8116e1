// Who traces a process (ptrace(2)), from /proc/PID/status.
import { readFileSync } from "node:fs";

/** The pid of the process that traces `pid`; 0 if none does, or if `pid` has ended. */
export function tracerOf(pid: number): number {
  try {
    return parseTracer(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return 0;
  }
}

/** `TracerPid` of proc_pid_status(5); 0 if there is no such line. The first line, a name, is escaped by the kernel. */
export function parseTracer(status: string): number {
  return Number(/^TracerPid:\t(\d+)$/m.exec(status)?.[1] ?? 0);
}
