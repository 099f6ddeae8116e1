// Kills, and the record of when their budget is used up.
import type { KillCause, KillResult, ObservedExec, ProcessKiller } from "../enforcement/kill.ts";
import type { Process } from "../forest/process.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";

/** The window of the kill budget: after as long without a refusal it has room again. */
const QUIET_NS = 60e9;

export class LimitedKills {
  private readonly killer: ProcessKiller;
  private readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  /** Time of the last kill that was withheld because the budget was used up (ns); undefined if that is over. */
  private limitedAt: number | undefined;

  constructor(killer: ProcessKiller, recordChange: (event: ChangeName, details: EventRecord) => void) {
    this.killer = killer;
    this.recordChange = recordChange;
  }

  /** As `ProcessKiller.kill`. `time`: of the event (ns, CLOCK_MONOTONIC). */
  kill(process: Process, cause: KillCause, time: number, exec?: ObservedExec): KillResult {
    return this.reportingLimit(this.killer.kill(process, cause, exec), time);
  }

  /** As `ProcessKiller.stop`; otherwise as `kill`. */
  stop(process: Process, cause: KillCause, time: number, exec?: ObservedExec): KillResult {
    return this.reportingLimit(this.killer.stop(process, cause, exec), time);
  }

  private reportingLimit(result: KillResult, time: number): KillResult {
    this.reportLimit(result, time);
    return result;
  }

  /**
   * Reports that the kill budget is used up, and that it is not any more: after a minute without a refusal, because
   * other users may be killed all the while, and nobody may make records by turns.
   */
  private reportLimit({ outcome, reason }: KillResult, time: number): void {
    if (reason === "rate_limited") {
      if (this.limitedAt === undefined) this.recordChange("enforcement.limited", {});
      this.limitedAt = time;
    } else if (
      (outcome === "killed" || outcome === "stopped") &&
      this.limitedAt !== undefined &&
      time - this.limitedAt >= QUIET_NS
    ) {
      this.limitedAt = undefined;
      this.recordChange("enforcement.resumed", {});
    }
  }
}
