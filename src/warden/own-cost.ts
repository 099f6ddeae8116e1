// Measures what treewarden's own processes cost, for the metrics. The supervisor names their pids.
import type { ProcessCost } from "../linux/proc/cost.ts";
import type { Totals } from "../report/totals.ts";
import { type OwnPids, processNames } from "../vocabulary/processes.ts";

export interface OwnCostInputs {
  readonly totals: Totals;
  readonly read: (pid: number) => ProcessCost | undefined;
  /** Nanoseconds of a clock that never goes back. */
  readonly now: () => number;
  /** When this warden started, clock ticks since boot. */
  readonly startTicks: number;
}

/** Health checks and scrapes may come often; a measurement takes some 0.2 ms. */
const MEASURE_EVERY_NS = 5e9;

export class OwnCost {
  private readonly inputs: OwnCostInputs;
  private pids: OwnPids = {};
  private measuredAt = Number.NEGATIVE_INFINITY;
  /** What was counted of each process, by its pid: a standby that takes over goes on under another name. */
  private counted = new Map<number, ProcessCost>();

  constructor(inputs: OwnCostInputs) {
    this.inputs = inputs;
  }

  setPids(pids: OwnPids): void {
    this.pids = pids;
    this.measuredAt = Number.NEGATIVE_INFINITY;
  }

  /** Sets the gauges and counts what CPU time was added since the last measurement. Cheap if that was just before. */
  measure(): void {
    const { totals, read, now } = this.inputs;
    if (now() - this.measuredAt < MEASURE_EVERY_NS) return;
    this.measuredAt = now();
    const counted = new Map<number, ProcessCost>();
    for (const process of processNames) {
      const pid = this.pids[process];
      const cost = pid === undefined ? undefined : read(pid);
      totals.gauge("processResident", { process }).set(cost?.residentBytes ?? 0);
      totals.gauge("processPrivate", { process }).set(cost?.privateBytes ?? 0);
      if (pid === undefined || cost === undefined) continue;
      totals.counter("processCpu", { process }).add(cost.cpuSeconds - this.alreadyCounted(pid, cost));
      counted.set(pid, cost);
    }
    this.counted = counted;
  }

  /** A process that is older than this warden was counted by the one before. */
  private alreadyCounted(pid: number, cost: ProcessCost): number {
    const before = this.counted.get(pid);
    if (before?.startTicks === cost.startTicks) return before.cpuSeconds;
    return cost.startTicks < this.inputs.startTicks ? cost.cpuSeconds : 0;
  }
}
