// How far the ring has been read: in memory that outlasts this process, so that the next one goes on where this one has
// ended, whenever that is.
import type { RingProgress } from "../../linux/bpf/ring.ts";
import { sharedLayout } from "./layout.ts";

const BEGUN = sharedLayout.begun / 8;
const HANDLED = sharedLayout.handled / 8;
const RETRIED = sharedLayout.retried / 8;
const IDENTITY = sharedLayout.identity / 8;
/** No record begins there. */
const NOWHERE = -1;

export class ReadPosition implements RingProgress {
  /** Of the shared page; each is written whole by one instruction. */
  private readonly numbers: Float64Array;
  /** The record that two processes had begun when they ended: it must not end a third one. */
  private readonly poison: number;
  /** Where reading begins. */
  readonly first: number;
  /** Records that were passed over since this was read last. */
  private skipped = 0;
  /** Called when records have been handled, before another process could no longer handle them. */
  onHandled: () => void = () => undefined;

  /** `isNew`: nobody has read from the ring yet. */
  constructor(numbers: Float64Array, isNew: boolean) {
    this.numbers = numbers;
    if (isNew) {
      numbers[HANDLED] = 0;
      numbers[BEGUN] = NOWHERE;
      numbers[RETRIED] = NOWHERE;
      numbers[IDENTITY] = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    }
    this.first = numbers[HANDLED] ?? 0;
    const begun = numbers[BEGUN] ?? NOWHERE;
    this.poison = begun === numbers[RETRIED] ? begun : NOWHERE;
    numbers[RETRIED] = begun;
  }

  begin(position: number): boolean {
    if (position === this.poison) {
      this.skipped += 1;
      return false;
    }
    this.numbers[BEGUN] = position;
    return true;
  }

  end(position: number): void {
    this.onHandled();
    this.numbers[BEGUN] = NOWHERE;
    this.numbers[HANDLED] = position;
  }

  /** Names the ring, and the position up to which everything has been handled. */
  get mark(): string {
    return `${this.numbers[IDENTITY]} ${this.numbers[HANDLED]}`;
  }

  /** The position of a mark; undefined if it is of another ring. */
  positionOf(mark: string): number | undefined {
    const [identity, position = Number.NaN] = mark.split(" ").map(Number);
    const isOwn = identity === this.numbers[IDENTITY] && position >= 0 && position <= this.first;
    return isOwn ? position : undefined;
  }

  /** The number of records that were passed over since the last call. */
  takeSkipped(): number {
    const { skipped } = this;
    this.skipped = 0;
    return skipped;
  }
}
