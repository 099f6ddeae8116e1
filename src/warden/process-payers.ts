// Whom what a process does is charged to, remembered for each lineage.
import { payersOf } from "../enforcement/offender.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";
import type { Payer } from "../vocabulary/shares.ts";

interface RealUserPayers {
  readonly realUid: number | undefined;
  readonly payers: readonly Payer[];
}

export class ProcessPayers {
  /** Of the process that was asked about last. Invalidated by: another real user, as a lineage never changes. */
  private readonly ofLineages = new WeakMap<Lineage, RealUserPayers>();

  /** As `payersOf`. */
  of({ lineage, facts: { realUid } }: Pick<Process, "lineage" | "facts">): readonly Payer[] {
    const known = this.ofLineages.get(lineage);
    if (known !== undefined && known.realUid === realUid) return known.payers;
    const payers = payersOf(lineage, realUid);
    this.ofLineages.set(lineage, { realUid, payers });
    return payers;
  }
}
