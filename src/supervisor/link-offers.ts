// Passes the warden its ends of the pairs to a reporter or examiner that was started again.
import { monotonicNow } from "../linux/clock.ts";
import { sendDescriptors } from "../linux/descriptor-passing.ts";
import { encodeNewLink, type LinkedProcess } from "./inherited.ts";
import type { Descriptors } from "./supervisor-plan.ts";

const ends = { reporter: "reportOfWarden", examiner: "examinerOfWarden" } as const;
/** The wait before an end is offered again to a warden that does not read its orders, ns. */
const AGAIN_AFTER_NS = 100e6;

export class LinkOffers {
  /** The links whose new end the warden has not got yet, and whether the old one was shut down. */
  private readonly waiting = new Map<LinkedProcess, boolean>();
  /** When to try again; ns, CLOCK_MONOTONIC. Infinite if nothing waits. */
  dueAt = Number.POSITIVE_INFINITY;

  add(link: LinkedProcess, wasShutDown: boolean): void {
    this.waiting.set(link, wasShutDown || this.waiting.get(link) === true);
  }

  /** For a new warden, which gets all current ends when it starts. */
  clear(): void {
    this.waiting.clear();
    this.dueAt = Number.POSITIVE_INFINITY;
  }

  /** Sends what waits, as far as the warden's control socket has room. */
  send(descriptors: Descriptors): void {
    for (const [link, wasShutDown] of this.waiting) {
      const packet = encodeNewLink({ link, wasShutDown });
      if (!sendDescriptors(descriptors.controlWarden, packet, [descriptors[ends[link]]])) break;
      this.waiting.delete(link);
    }
    this.dueAt = this.waiting.size === 0 ? Number.POSITIVE_INFINITY : monotonicNow() + AGAIN_AFTER_NS;
  }
}
