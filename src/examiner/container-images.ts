// Which image each container was made of, as the examiner tells: asked once for each container, never waited for.
import { isContainerId } from "../fingerprint/image-reference.ts";
import { monotonicNow } from "../linux/clock.ts";

interface Container {
  /** null: nobody knows. */
  image: string | null | undefined;
  /** ns, CLOCK_MONOTONIC */
  askedAt: number;
  asks: number;
}

/** Containers remembered; the oldest goes. */
const MOST = 4096;
/** A runtime writes its files before it starts the container, but they are not always the ones that are read: ns. */
const AGAIN_NS = 30e9;
const MOST_ASKS = 3;
/** Nobody waits longer for an answer: ns. */
const PATIENCE_NS = 10e9;

export class ContainerImages {
  private readonly ask: (id: string) => boolean;
  private readonly now: () => number;
  private readonly changed: () => void;
  /** Invalidated by: nothing, a container keeps its image; one whose image nobody knew is asked for again. */
  private readonly containers = new Map<string, Container>();

  /**
   * `ask`: sends the question; false if there is no room now. `changed`: `imageOf` answers otherwise than before.
   * `now`: ns, CLOCK_MONOTONIC.
   */
  constructor(ask: (id: string) => boolean, changed: () => void, now: () => number = monotonicNow) {
    this.ask = ask;
    this.changed = changed;
    this.now = now;
  }

  /** The image's name, without tag; null: not known; undefined: the answer is on its way. */
  imageOf(id: string): string | null | undefined {
    const container = this.containers.get(id);
    if (typeof container?.image === "string") return container.image;
    if (container === undefined && !isContainerId(id)) return null;
    const now = this.now();
    if (container === undefined) {
      this.remember(id, { image: undefined, askedAt: now, asks: this.ask(id) ? 1 : 0 });
      return undefined;
    }
    const isDue = container.asks === 0 || (container.image === null && now - container.askedAt >= AGAIN_NS);
    if (isDue && container.asks < MOST_ASKS && this.ask(id)) {
      container.asks += 1;
      if (container.image === null) container.askedAt = now;
    }
    if (container.image === undefined && now - container.askedAt >= PATIENCE_NS) {
      container.image = null;
      this.changed();
    }
    return container.image;
  }

  /** The examiner's answer; one that was not asked for says nothing. */
  take(id: string, image: string | undefined): void {
    const container = this.containers.get(id);
    if (container === undefined) return;
    const before = container.image;
    container.image = image ?? before ?? null;
    if (container.image !== before) this.changed();
  }

  /** Another examiner: what the one before it was asked is lost. */
  askAgain(): void {
    for (const [id, container] of this.containers)
      if (container.image === undefined && container.asks < MOST_ASKS && this.ask(id)) container.asks += 1;
  }

  private remember(id: string, container: Container): void {
    this.containers.set(id, container);
    if (this.containers.size <= MOST) return;
    const [oldest] = this.containers.keys();
    if (oldest !== undefined) this.containers.delete(oldest);
  }
}
