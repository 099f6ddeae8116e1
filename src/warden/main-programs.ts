// The main program of each service: that of the oldest process in its control group.
import type { Runnable } from "../fingerprint/runnable.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { ProcessFacts } from "../sensor/event.ts";

interface Main {
  readonly startTicks: number;
  readonly program: Runnable;
}

/** A service's control group and what is below it. */
const service = /^.*\.service(?=\/|$)/;
/** The units below a user's manager are the user's. */
const userManager = /(?:^|\/)user@[^/]*\.service(?:\/|$)/;

export class MainPrograms {
  private readonly mains = new Map<string, Main>();

  /** Takes notice of a process that a scan of /proc shows. To be called for each, in any order. */
  onRunning(program: Runnable, { cgroup, startTicks }: ProcessFacts): void {
    const group = serviceGroupOf(cgroup);
    if (group === undefined || startTicks === undefined) return;
    const oldest = this.mains.get(group);
    if (oldest !== undefined && oldest.startTicks <= startTicks) return;
    this.mains.set(group, { startTicks, program });
  }

  /** Forgets all of them, before another scan. */
  clear(): void {
    this.mains.clear();
  }

  /** Whether the first label of the lineage is the main program of the service that the process belongs to. */
  isFromMain(lineage: Lineage, { cgroup }: ProcessFacts): boolean {
    const group = serviceGroupOf(cgroup);
    const main = group === undefined ? undefined : this.mains.get(group);
    const { path } = firstProgram(lineage);
    return main !== undefined && path !== undefined && main.program.path === path;
  }
}

function serviceGroupOf(cgroup: string | undefined): string | undefined {
  return cgroup === undefined || userManager.test(cgroup) ? undefined : service.exec(cgroup)?.[0];
}

/** The program of the oldest ancestor in the tree: pid 1 is in none. */
function firstProgram(lineage: Lineage): Runnable {
  let first = lineage;
  while (first.parent !== null && !first.parent.init) first = first.parent;
  return first.program;
}
