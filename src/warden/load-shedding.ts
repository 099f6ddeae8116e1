// What the warden leaves out while it is behind the kernel, in a fixed order, so that nothing delays a verdict: first
// plain events, then the scoring of new names. Verdicts are never left out.
import type { EventRecord } from "../report/event-record.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";

/** Steps in their order, and the age of an exec at its verdict (ns) from which each is taken. */
const steps = [
  // More than twice as long as events gather where nothing can be killed.
  { name: "plain events", from: 250e6 },
  { name: "scoring of names", from: 1e9 },
] as const;
/** A step is taken back after a second in which every exec was younger than half of its age. */
const CALM_NS = 1e9;

export interface LoadSheddingInputs {
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
}

export class LoadShedding {
  private readonly inputs: LoadSheddingInputs;
  /** How many of the steps are taken. */
  private taken = 0;
  /** When an exec was last too old to take a step back; ns, CLOCK_MONOTONIC. */
  private lateAt = 0;

  constructor(inputs: LoadSheddingInputs) {
    this.inputs = inputs;
  }

  get shedsPlainEvents(): boolean {
    return this.taken >= 1;
  }

  get shedsScoring(): boolean {
    return this.taken >= 2;
  }

  /** To be called for each exec that a sensor reported: its verdict comes `ageNs` after it; `now`: CLOCK_MONOTONIC. */
  onVerdict(ageNs: number, now: number): void {
    const next = steps[this.taken];
    if (next !== undefined && ageNs >= next.from) {
      this.taken += 1;
      this.lateAt = now;
      this.report(next.name, ageNs);
      return;
    }
    const last = steps[this.taken - 1];
    if (last === undefined) return;
    if (ageNs >= last.from / 2) this.lateAt = now;
    else if (now - this.lateAt >= CALM_NS) {
      this.taken -= 1;
      this.lateAt = now;
      if (this.taken === 0) this.inputs.recordChange("load.normal", {});
    }
  }

  private report(step: string, ageNs: number): void {
    this.inputs.recordChange("load.shed", { "load.step": step, "load.delay": ageNs / 1e9 });
  }
}
