// Copies of programs, where programs on tracepoints can be preempted (Linux 7.0). While a program is preempted, mostly by
// the reader that it has just woken, the kernel skips it for whatever else runs on that CPU, but not its other copies, which
// the tracepoint runs right after it.
import { type BpfProgram, programInfo } from "../../linux/bpf/program.ts";
import type { KernelLayout } from "./kernel.ts";

/** In a storm of processes that all wake the reader, on one CPU, two copies still lost 0.7 % of the execs. */
const COPIES = 4;
/** Between a program's name and the number of its copy. */
const SEPARATOR = ".";

/** The names of the copies of a program, in the order in which they are attached: `exec`, `exec.2` ... */
export function copyNames(
  name: string,
  { hasPreemptiblePrograms }: Pick<KernelLayout, "hasPreemptiblePrograms">,
): readonly string[] {
  const count = hasPreemptiblePrograms ? COPIES : 1;
  return Array.from({ length: count }, (_, index) =>
    index === 0 ? name : `${name}${SEPARATOR}${index + 1}`,
  );
}

/**
 * How many events no copy of a program has seen since it was loaded, of all these programs: at most as many as the copy was
 * skipped for that was skipped least. `missed`: how often the kernel has skipped each (5.12, else 0), by name.
 */
export function missedByAll(missed: Iterable<readonly [name: string, runs: number]>): number {
  const least = new Map<string, number>();
  for (const [name, runs] of missed) {
    const [program = name] = name.split(SEPARATOR);
    least.set(program, Math.min(runs, least.get(program) ?? runs));
  }
  let sum = 0;
  for (const runs of least.values()) sum += runs;
  return sum;
}

/** `missedByAll` of programs by their names. */
export function missedEvents(programs: ReadonlyMap<string, BpfProgram>): number {
  return missedByAll([...programs].map(([name, program]) => [name, programInfo(program).missed]));
}
