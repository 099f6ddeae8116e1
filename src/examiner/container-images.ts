// Caches the image of each container: asks the examiner once for each container, and never waits for the answer.
import { isContainerId } from "../fingerprint/image-reference.ts";
import { monotonicNow } from "../linux/clock.ts";

interface Container {
  /** Null: not known to the examiner. Undefined: not answered yet. */
  image: string | null | undefined;
  /** ns, CLOCK_MONOTONIC */
  askedAt: number;
  asks: number;
}

/** Number of containers cached; the oldest is evicted. */
const MAX_CONTAINERS = 4096;
/** A container without a known image is asked for again after 30 s (in ns): its runtime may write the file late. */
const RETRY_NS = 30e9;
const MAX_ASKS = 3;
/** An image counts as not known after 10 s (in ns) without an answer. */
const TIMEOUT_NS = 10e9;

export class ContainerImages {
  private readonly ask: (id: string) => boolean;
  private readonly now: () => number;
  private readonly changed: () => void;
  /** Invalidated by: nothing, a container keeps its image; one without a known image is asked for again. */
  private readonly containers = new Map<string, Container>();

  /**
   * `ask` sends the question, and returns false if the socket is full. `changed` is called when the result of `imageOf`
   * changes. `now`: ns, CLOCK_MONOTONIC.
   */
  constructor(ask: (id: string) => boolean, changed: () => void, now: () => number = monotonicNow) {
    this.ask = ask;
    this.changed = changed;
    this.now = now;
  }

  /** The image's name without tag; null if it is not known, undefined while the answer is outstanding. */
  imageOf(id: string): string | null | undefined {
    const container = this.containers.get(id);
    if (typeof container?.image === "string") return container.image;
    if (container === undefined && !isContainerId(id)) return null;
    const now = this.now();
    if (container === undefined) {
      this.remember(id, { image: undefined, askedAt: now, asks: this.ask(id) ? 1 : 0 });
      return undefined;
    }
    const shouldAsk =
      container.asks === 0 || (container.image === null && now - container.askedAt >= RETRY_NS);
    if (shouldAsk && container.asks < MAX_ASKS && this.ask(id)) {
      container.asks += 1;
      if (container.image === null) container.askedAt = now;
    }
    if (container.image === undefined && now - container.askedAt >= TIMEOUT_NS) {
      container.image = null;
      this.changed();
    }
    return container.image;
  }

  /** Takes the examiner's answer; an answer that was not asked for is ignored. */
  take(id: string, image: string | undefined): void {
    const container = this.containers.get(id);
    if (container === undefined) return;
    const previous = container.image;
    container.image = image ?? previous ?? null;
    if (container.image !== previous) this.changed();
  }

  /** Must be called for a new examiner: repeats the unanswered questions, which the previous one has lost. */
  askAgain(): void {
    for (const [id, container] of this.containers)
      if (container.image === undefined && container.asks < MAX_ASKS && this.ask(id)) container.asks += 1;
  }

  private remember(id: string, container: Container): void {
    this.containers.set(id, container);
    if (this.containers.size <= MAX_CONTAINERS) return;
    const [oldest] = this.containers.keys();
    if (oldest !== undefined) this.containers.delete(oldest);
  }
}
