// Gives users and containers the numbers of their allowances in the kernel, see allowances.ts.
import type { BpfMap } from "../../../linux/bpf/map.ts";
import { pinned } from "../../../linux/bpf/syscall.ts";
import type { Payer } from "../../../vocabulary/shares.ts";
import { allowanceLayout } from "./layout.ts";

/** The number of the host's allowance. In an entry it stands for "no payer". */
const HOST = 0;

export class PayerAllowances {
  private readonly map: BpfMap;
  /** The number of each payer's allowance. Numbers are given in the order in which payers are seen first. */
  private readonly numbers = new Map<Payer, number>();
  private readonly key = pinned(4);
  private readonly value = pinned(allowanceLayout.size);

  constructor(map: BpfMap) {
    this.map = map;
  }

  /** The number of the payer's allowance. Payers for which there is no more room share the last one. undefined: 0. */
  numberOf(payer: Payer | undefined): number {
    if (payer === undefined) return HOST;
    const known = this.numbers.get(payer);
    if (known !== undefined) return known;
    const last = this.map.spec.entries - 1;
    const number = Math.min(this.numbers.size + 1, last);
    if (number < last) this.numbers.set(payer, number);
    return number;
  }

  /** How many execs were left to user space because the payer's allowance was used up; payers with none are left out. */
  refused(): ReadonlyMap<Payer, number> {
    const refused = new Map<Payer, number>();
    const keyView = new DataView(this.key.buffer);
    const valueView = new DataView(this.value.buffer);
    for (const [payer, number] of this.numbers) {
      keyView.setUint32(0, number, true);
      if (!this.map.lookup(this.key, this.value)) continue;
      const count = Number(valueView.getBigUint64(allowanceLayout.refused, true));
      if (count > 0) refused.set(payer, count);
    }
    return refused;
  }
}
