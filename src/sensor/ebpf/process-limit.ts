// How many processes a map whose elements are allocated when they are needed has room for.
import { readFileSync } from "node:fs";

/** More processes than that share one bucket with others: 16 bytes each. */
const MOST_PROCESSES = 1 << 20;

/** As many processes as the kernel allows, so that nobody can fill the map. */
export function mostProcesses(): number {
  const threads = Number(readFileSync("/proc/sys/kernel/threads-max", "latin1"));
  return Math.min(threads, MOST_PROCESSES);
}
