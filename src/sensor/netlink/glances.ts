// First looks at /proc: one for each exec that the bell tells of, at once, before anything else is done with it.
import { monotonicNow, PID_STAYS_NS } from "../../linux/clock.ts";
import { eventTime, frame, isProcessEvent, PROC_EVENT_EXEC } from "../../linux/connector.ts";
import { type NetlinkSocket, ReceiveBatch } from "../../linux/socket.ts";
import type { FactsReader, FoundPlace, Glance } from "../procfs/facts-reader.ts";

/** A look at the process that `pid` was when its program began at `time` (ns, CLOCK_MONOTONIC). */
export interface Look {
  readonly pid: number;
  readonly time: number;
  /** Undefined: it was gone. */
  readonly glance: Glance | undefined;
  /** Undefined: not read, or gone. */
  readonly place: FoundPlace | undefined;
  /** When it was over. */
  readonly end: number;
}

const BATCH = 32;
/** A frame, and room to see that a longer one is none. */
const STRIDE = 96;
/** Looks that nothing ever asks for belong to events that were lost. */
const KEPT = 4096;

export class Glances {
  /** Looks that may read the place as well; the next are only at what goes first. */
  places = 0;

  private readonly bell: NetlinkSocket;
  private readonly reader: FactsReader;
  private readonly batch = new ReceiveBatch(BATCH, STRIDE);
  private readonly looks = new Map<number, Look>();

  constructor(bell: NetlinkSocket, reader: FactsReader) {
    this.bell = bell;
    this.reader = reader;
  }

  /** Looks at every exec that was told of by now; how many. `ticksAt`: the clock of start times at an event. */
  take(ticksAt: (time: number) => number): number {
    let all = 0;
    for (;;) {
      const received = this.batch.receive(this.bell);
      if (received > 0) all += this.lookAt(received, ticksAt);
      if (received < BATCH) return all;
    }
  }

  /** Waits for the next exec, no longer than the bell is silent, and looks at it; how many came. */
  wait(ticksAt: (time: number) => number): number {
    const received = this.batch.wait(this.bell);
    return received > 0 ? this.lookAt(received, ticksAt) : 0;
  }

  /** The look at `pid` for its exec at `time`, once. */
  of(pid: number, time: number): Look | undefined {
    const look = this.looks.get(time);
    if (look?.pid !== pid) return undefined;
    this.looks.delete(time);
    return look;
  }

  /** The latest first: the earlier ones are the likelier to be gone, and must not cost those that are not. */
  private lookAt(received: number, ticksAt: (time: number) => number): number {
    const { view } = this.batch;
    if (this.looks.size >= KEPT) this.looks.clear();
    let now = monotonicNow();
    for (let i = received - 1; i >= 0; i -= 1) {
      const at = i * STRIDE;
      // Anybody may send to a netlink socket; only the kernel's port is 0.
      if (this.batch.sender(i) !== 0 || !isProcessEvent(view, at, this.batch.length(i))) continue;
      if (view.getUint32(at + frame.what, true) !== PROC_EVENT_EXEC) continue;
      const pid = view.getUint32(at + frame.tgid, true);
      const time = eventTime(view, at);
      // Later looks also read when the process started, and that is of its place.
      const late = now - time > PID_STAYS_NS;
      const read = this.reader.glance(pid, late || this.places > 0, ticksAt(time));
      const place = read?.place;
      if (place !== undefined) this.places -= 1;
      now = monotonicNow();
      const glance = late && place === undefined ? undefined : read?.glance;
      this.looks.set(time, { pid, time, glance, place, end: now });
    }
    return received;
  }
}
