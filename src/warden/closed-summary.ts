// The summary of closed processes that `status` shows.

/** A process that is closed. */
export interface ClosedNow {
  /** What it runs. */
  readonly path: string;
  /** ROLE/RULE that kills what it executes. */
  readonly rule: string;
}

/** Processes that run one program and are closed by one rule. */
export interface ClosedProgram extends ClosedNow {
  readonly processes: number;
}

export interface ClosedSummary {
  readonly closed: number;
  /** Those with the most processes first. */
  readonly programs: ClosedProgram[];
}

/** The most programs that are named: a host has a few that are closed, and status is read by people. */
const NAMED = 16;

export function summarizeClosed(processes: Iterable<ClosedNow>): ClosedSummary {
  const programs = new Map<string, ClosedProgram>();
  let closed = 0;
  for (const { path, rule } of processes) {
    closed += 1;
    const key = `${rule} ${path}`;
    programs.set(key, { path, rule, processes: (programs.get(key)?.processes ?? 0) + 1 });
  }
  const most = [...programs.values()].toSorted((a, b) => b.processes - a.processes);
  return { closed, programs: most.slice(0, NAMED) };
}
