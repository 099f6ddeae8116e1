// Reports when the kernel ends no further programs of somebody, because too many different ones were ended within a minute:
// until that is over they are killed by user space, within its own budget.
import type { EventRecord } from "../report/event-record.ts";
import type { Counter } from "../report/totals.ts";
import type { Prevention } from "../sensor/prevention/closed-set.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { Payer } from "../vocabulary/shares.ts";

/** The window of the limit: after as long without a refusal it has room again, so nobody makes records by turns. */
const QUIET_NS = 60e9;
/** Users and containers that are named: the others are as many as there are accounts. */
const NAMED = 8;

export interface PreventionLimitInputs {
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  /** Counts programs that were left to user space. */
  readonly limited: Pick<Counter, "add">;
}

type Refusing = Pick<Prevention, "refused" | "refusals">;

export class PreventionLimit {
  private readonly inputs: PreventionLimitInputs;
  private kernel: Refusing | undefined;
  /** What `kernel` had counted at the last look. */
  private count = 0;
  private ofPayers: ReadonlyMap<Payer, number> = new Map();
  /** Time of the last look that found a refusal; ns, CLOCK_MONOTONIC. */
  private limitedAt: number | undefined;
  /** Who has found no room since the limit was reached; empty: the host's share is used up. */
  private readonly whose = new Set<Payer>();

  constructor(inputs: PreventionLimitInputs) {
    this.inputs = inputs;
  }

  /** Whose programs are left to user space at `now` (ns, CLOCK_MONOTONIC), in words; undefined while there is room. */
  problemAt(now: number): string | undefined {
    // Nobody looks while nothing is closed.
    if (this.limitedAt === undefined || now - this.limitedAt >= QUIET_NS) return undefined;
    const [first, ...more] = this.names();
    const whose = first === undefined ? "" : ` of ${[first, ...more].join(", ")}`;
    return `too many different programs${whose} were ended before their first instruction: further ones are killed once they have begun`;
  }

  /** To be called every few seconds; `now`: ns, CLOCK_MONOTONIC. */
  look(kernel: Refusing, now: number): void {
    // What was refused before belongs to an earlier warden.
    if (kernel !== this.kernel) this.take(kernel);
    const more = kernel.refused - this.count;
    if (more > 0) this.onRefused(kernel, more, now);
    else if (this.limitedAt !== undefined && now - this.limitedAt >= QUIET_NS) this.end();
  }

  private onRefused(kernel: Refusing, more: number, now: number): void {
    const { recordChange, limited } = this.inputs;
    limited.add(more);
    const before = this.ofPayers;
    this.take(kernel);
    const known = this.whose.size;
    for (const [payer, count] of this.ofPayers)
      if (count > (before.get(payer) ?? 0) && this.whose.size < NAMED) this.whose.add(payer);
    const isNew = this.limitedAt === undefined || this.whose.size > known;
    this.limitedAt = now;
    if (isNew)
      recordChange("prevention.limited", {
        "policy.severity": "high",
        "prevention.limited_for": this.names(),
      });
  }

  private end(): void {
    this.limitedAt = undefined;
    this.whose.clear();
    this.inputs.recordChange("prevention.resumed", {});
  }

  private take(kernel: Refusing): void {
    this.kernel = kernel;
    const { count, ofPayers } = kernel.refusals();
    this.count = count;
    this.ofPayers = ofPayers;
  }

  private names(): readonly string[] {
    return [...this.whose].map((payer) =>
      typeof payer === "number" ? `user ${payer}` : `container ${payer.slice(0, 12)}`,
    );
  }
}
