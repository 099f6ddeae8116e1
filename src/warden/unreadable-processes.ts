// Records that the arguments of processes, or what they run, cannot be read because a user keeps others from reading them:
// what an attack looks like, and why rules on them are undecided. At most once a minute, whoever does it and however often.
import type { EventRecord } from "../report/event-record.ts";

const INTERVAL_NS = 60e9;

export interface UnreadableProcessesInputs {
  readonly record: (details: EventRecord) => void;
  /** ns, CLOCK_MONOTONIC */
  readonly now: () => number;
}

export class UnreadableProcesses {
  private readonly inputs: UnreadableProcessesInputs;
  private recordAt = Number.NEGATIVE_INFINITY;

  constructor(inputs: UnreadableProcessesInputs) {
    this.inputs = inputs;
  }

  /** The arguments of process `pid`, or what it runs, could not be read. */
  add(pid: number, realUid: number | undefined): void {
    const now = this.inputs.now();
    if (now < this.recordAt) return;
    this.recordAt = now + INTERVAL_NS;
    const user = realUid === undefined ? {} : { "process.real_user.id": realUid };
    this.inputs.record({ "process.pid": pid, ...user, "policy.severity": "high" });
  }
}
