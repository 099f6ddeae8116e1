// Work that the warden does beside its events, a millisecond at each turn of the loop: what takes longer at once, such
// as compiling a policy, would delay a verdict.
import { monotonicNow } from "../linux/clock.ts";
import type { Steps } from "../vocabulary/steps.ts";

/** How long a turn's part of long work takes, ns; a single step may take longer. */
export const SLICE_NS = 1e6;

/** Does as much as fits into a slice; true if all is done. */
export function doSlice(steps: Steps<void>): boolean {
  const end = monotonicNow() + SLICE_NS;
  do if (steps.next().done === true) return true;
  while (monotonicNow() < end);
  return false;
}

export class SlicedWork {
  private readonly waiting = new Map<string, () => Steps<void>>();
  private current: Steps<void> | undefined;

  get isBusy(): boolean {
    return this.current !== undefined || this.waiting.size > 0;
  }

  /** Whether this work has not begun yet. */
  isWaiting(name: string): boolean {
    return this.waiting.has(name);
  }

  /** Adds work to be done after what is there. The same work that has not begun yet is not done twice. */
  add(name: string, work: () => Steps<void>): void {
    this.waiting.set(name, work);
  }

  /** Does as much as fits into a slice. */
  run(): void {
    if (!this.isBusy) return;
    const end = monotonicNow() + SLICE_NS;
    while (this.isBusy && monotonicNow() < end) this.step();
  }

  /** Does all of it. */
  finish(): void {
    while (this.isBusy) this.step();
  }

  private step(): void {
    if (this.current === undefined) {
      for (const [name, work] of this.waiting) {
        this.waiting.delete(name);
        this.current = work();
        break;
      }
    }
    if (this.current?.next().done === true) this.current = undefined;
  }
}
