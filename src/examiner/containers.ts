// Caches the image and the pod of each container: asks the examiner once for each, and never waits for the answer.
import { isContainerId } from "../fingerprint/image-reference.ts";
import { monotonicNow } from "../linux/clock.ts";
import type { PodOfContainer } from "../vocabulary/pod.ts";

interface Container {
  /** Null: not known to the examiner. Undefined: not answered yet. */
  image: string | null | undefined;
  /** Null: it belongs to no pod. Undefined: that is not known. */
  pod: PodOfContainer | null | undefined;
  /** ns, CLOCK_MONOTONIC */
  askedAt: number;
  asks: number;
}

/** Number of containers cached; the oldest is evicted. */
const MAX_CONTAINERS = 4096;
/** A container without a known image or pod is asked for again after 30 s (in ns): its files may be written late. */
const RETRY_NS = 30e9;
const MAX_ASKS = 3;
/** An image counts as not known after 10 s (in ns) without an answer. */
const TIMEOUT_NS = 10e9;

export class Containers {
  private readonly ask: (id: string) => boolean;
  private readonly now: () => number;
  private readonly changed: () => void;
  /** Invalidated by: nothing, a container keeps image and pod; one without them is asked for again. */
  private readonly containers = new Map<string, Container>();

  /**
   * `ask` sends the question, and returns false if the socket is full. `changed` is called when the result of `imageOf`
   * or `podOf` changes. `now`: ns, CLOCK_MONOTONIC.
   */
  constructor(ask: (id: string) => boolean, changed: () => void, now: () => number = monotonicNow) {
    this.ask = ask;
    this.changed = changed;
    this.now = now;
  }

  /** The image's name without tag; null if it is not known, undefined while the answer is outstanding. */
  imageOf(id: string): string | null | undefined {
    const container = this.containers.get(id);
    if (typeof container?.image === "string" && (container.pod !== undefined || container.asks >= MAX_ASKS))
      return container.image;
    if (container === undefined && !isContainerId(id)) return null;
    const now = this.now();
    if (container === undefined) {
      this.remember(id, { image: undefined, pod: undefined, askedAt: now, asks: this.ask(id) ? 1 : 0 });
      return undefined;
    }
    const shouldAsk =
      container.asks === 0 || (isIncomplete(container) && now - container.askedAt >= RETRY_NS);
    if (shouldAsk && container.asks < MAX_ASKS && this.ask(id)) {
      container.asks += 1;
      if (isIncomplete(container)) container.askedAt = now;
    }
    if (container.image === undefined && now - container.askedAt >= TIMEOUT_NS) {
      container.image = null;
      this.changed();
    }
    return container.image;
  }

  /** The pod of a container whose image was asked for; null if it belongs to none, undefined if that is not known. */
  podOf(id: string): PodOfContainer | null | undefined {
    return this.containers.get(id)?.pod;
  }

  /** Takes the examiner's answer; an answer that was not asked for is ignored. */
  take(id: string, image: string | undefined, pod: PodOfContainer | null | undefined): void {
    const container = this.containers.get(id);
    if (container === undefined) return;
    const previous = { ...container };
    container.image = image ?? previous.image ?? null;
    // What was found once stays: its file may be gone before the container is.
    container.pod = previous.pod ?? (pod === undefined ? previous.pod : pod);
    if (container.image !== previous.image || container.pod !== previous.pod) this.changed();
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

/** It is answered, but the answer lacks the image or the pod. */
function isIncomplete({ image, pod }: Container): boolean {
  return image === null || (image !== undefined && pod === undefined);
}
