// A bounded number of places that several users compete for, of which none may hold more than a part.

/** Who is charged for a place: a uid, or the id of a container. */
export type Payer = number | string;

export class Shares {
  private readonly limit: number;
  private readonly ofPayer: number;
  private taken = 0;
  private readonly held = new Map<Payer, number>();

  /** `limit`: the number of places. `ofPayer`: how many of them one payer may hold. */
  constructor(limit: number, ofPayer: number) {
    this.limit = limit;
    this.ofPayer = ofPayer;
  }

  /** Number of places that are left, as far as no payer is concerned. */
  get left(): number {
    return this.limit - this.taken;
  }

  /** Takes a place, at the charge of all `payers`; of nobody, if there are none. False if one of them has no place left. */
  take(payers: readonly Payer[]): boolean {
    if (this.taken >= this.limit) return false;
    if (payers.some((payer) => (this.held.get(payer) ?? 0) >= this.ofPayer)) return false;
    this.taken += 1;
    for (const payer of payers) this.held.set(payer, (this.held.get(payer) ?? 0) + 1);
    return true;
  }

  /** Gives back a place that was taken at the charge of `payers`. */
  giveBack(payers: readonly Payer[]): void {
    this.taken -= 1;
    for (const payer of payers) {
      const left = (this.held.get(payer) ?? 0) - 1;
      if (left > 0) this.held.set(payer, left);
      else this.held.delete(payer);
    }
  }

  /** Gives back all places. */
  clear(): void {
    this.taken = 0;
    this.held.clear();
  }
}
