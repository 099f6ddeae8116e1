// The main loop of `trace` and `record`: follows a source of events until a signal comes or the command has enough.
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { SignalDescriptor, type SignalName } from "../linux/signalfd.ts";
import type { Sensor } from "../sensor/event.ts";
import type { Rescan } from "../warden/rescan.ts";

/** The signals that end the loop. They must have been blocked before the process's first instruction. */
export const endingSignals: readonly SignalName[] = ["SIGINT", "SIGTERM", "SIGHUP"];

const SENSOR = 1;
const SIGNALS = 2;
/** Longest wait of epoll_wait(2), whose milliseconds are an int. */
const LONGEST_MS = 2 ** 31 - 1;

export interface Follower {
  /** Handles what the sensor has gathered. */
  readonly drain: () => void;
  /** Scans /proc at `time` (ns, CLOCK_MONOTONIC); null where the events are not this host's present. */
  readonly scan: ((time: number) => void) | null;
  /** Called after each scan. Events that are taken from here on may ask for another one. */
  readonly scanned?: () => void;
  /** When it next has something to do besides events: ns, CLOCK_MONOTONIC; infinite if nothing. */
  readonly nextDeadline: () => number;
  /** Called after each turn of the loop with the number of descriptors that were ready. Gives false to end the loop. */
  readonly afterTurn: (ready: number) => boolean;
}

/**
 * Scans, and then follows `sensor`, which was subscribed before, until its last event has been handled. The follower
 * asks `rescan` for another scan after a loss. Throws what the sensor or the follower throws.
 */
export function followEvents(sensor: Sensor, rescan: Rescan, follower: Follower): void {
  using poll = new Poll();
  using signals = new SignalDescriptor(endingSignals);
  const scan = (): void => {
    const start = monotonicNow();
    rescan.begun();
    follower.scan?.(start);
    rescan.done(start, monotonicNow());
    follower.scanned?.();
  };
  scan();
  poll.add(sensor.fd, SENSOR, EPOLLIN);
  poll.add(signals.fd, SIGNALS, EPOLLIN);
  for (let isEnding = false; !isEnding; ) {
    const now = monotonicNow();
    const untilScan = rescan.dueIn(now) ?? Number.POSITIVE_INFINITY;
    const ready = poll.wait(timeoutMs(Math.min(untilScan, follower.nextDeadline() - now)));
    for (let i = 0; i < ready; i++) {
      if (poll.tokens[i] === SIGNALS) isEnding = true;
      else follower.drain();
    }
    if (rescan.dueIn(monotonicNow()) === 0) scan();
    if (!follower.afterTurn(ready)) isEnding = true;
  }
  follower.drain();
}

/** Nanoseconds as epoll_wait(2) takes them: milliseconds, -1 for ever. */
export function timeoutMs(ns: number): number {
  return ns === Number.POSITIVE_INFINITY ? -1 : Math.min(LONGEST_MS, Math.max(0, Math.ceil(ns / 1e6)));
}
