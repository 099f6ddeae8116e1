// Counts verdicts: which rule, with which outcome, how long after the event.
import type { Outcome } from "../enforcement/outcome.ts";
import type { Decision } from "../policy/policy.ts";
import type { Counter, Histogram, Totals } from "../report/totals.ts";

/** What verdicts of one kind are counted with. */
interface Counted {
  readonly decision: Decision;
  readonly outcome: Outcome;
  readonly verdicts: Counter;
  readonly duration: Histogram;
  readonly undecided: readonly Counter[];
}

export class VerdictTotals {
  private readonly totals: Totals;
  /** What the last verdict was counted with. Invalidated by: nothing, each verdict is compared with it. */
  private last: Counted | undefined;

  constructor(totals: Totals) {
    this.totals = totals;
  }

  /** `ageNs`: from the event to the end of what was done about it. */
  count(decision: Decision, outcome: Outcome, ageNs: number): void {
    let { last } = this;
    if (last === undefined || !isSameKind(last, decision, outcome)) {
      last = this.countedWith(decision, outcome);
      this.last = last;
    }
    for (const rule of last.undecided) rule.add(1);
    last.verdicts.add(1);
    last.duration.observe(ageNs / 1e9);
  }

  /** Counts the verdict on an event that was judged again: its first verdict was counted with all else. */
  countLate(decision: Decision, outcome: Outcome): void {
    this.countedWith(decision, outcome).verdicts.add(1);
  }

  private countedWith(decision: Decision, outcome: Outcome): Counted {
    const { totals } = this;
    const { ruleset: role, rule, action, severity } = decision;
    return {
      decision,
      outcome,
      verdicts: totals.counter("verdicts", { role, rule, action, outcome, severity }),
      duration: totals.histogram("verdictDuration", { outcome }),
      undecided: decision.undecided.map((name) => totals.counter("rulesUndecided", { rule: name })),
    };
  }
}

function isSameKind({ decision, outcome }: Counted, other: Decision, its: Outcome): boolean {
  const isSameRule = decision.rule === other.rule && decision.ruleset === other.ruleset;
  const isSameVerdict = decision.action === other.action && outcome === its;
  return isSameRule && isSameVerdict && decision.undecided === other.undecided;
}
