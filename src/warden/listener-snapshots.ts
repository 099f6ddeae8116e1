// Snapshots of what listens: one when listeners begin to be watched, which finds those that are older, and further ones at
// intervals, which find what was missed.
import type { ListenEvent, SensorSource } from "../sensor/event.ts";
import { listenerScan } from "../sensor/network/listener-scan.ts";
import type { NetworkWatch } from "../sensor/network/watch.ts";
import { parseDuration, SECOND_NS } from "../vocabulary/duration.ts";
import type { Steps } from "../vocabulary/steps.ts";
import type { SlicedWork } from "./sliced-work.ts";

export interface ListenerSnapshotsInputs {
  readonly work: Pick<SlicedWork, "add">;
  readonly source: () => SensorSource;
  /** What is watched now; the same object as long as nothing about it changes. */
  readonly watched: () => NetworkWatch | undefined;
  /** A duration of the configuration in force, or `off`. */
  readonly interval: () => string;
  /** As `FactsReader` has it. */
  readonly mayFollowLinks: (pid: number) => boolean;
  readonly emit: (event: ListenEvent) => void;
  /** A snapshot left out sockets, because there were too many. */
  readonly onTruncated: () => void;
}

export class ListenerSnapshots {
  private readonly inputs: ListenerSnapshotsInputs;
  private watch: NetworkWatch | undefined;
  private interval = "off";
  /** ns, CLOCK_MONOTONIC; undefined: none. */
  private dueAt: number | undefined;

  constructor(inputs: ListenerSnapshotsInputs) {
    this.inputs = inputs;
  }

  /** Nanoseconds from `now` (CLOCK_MONOTONIC) until the next snapshot; undefined if there is none. */
  dueIn(now: number): number | undefined {
    this.update(now);
    return this.dueAt === undefined ? undefined : Math.max(0, this.dueAt - now);
  }

  /** Begins a snapshot if one is due. */
  work(now: number): void {
    if (this.dueIn(now) !== 0) return;
    this.dueAt = this.next(now);
    this.inputs.work.add("listeners", () => this.taking());
  }

  /** A snapshot is due at once where listeners were not watched before, or with other filters. */
  private update(now: number): void {
    const watch = this.inputs.watched();
    const interval = this.inputs.interval();
    if (watch === this.watch && interval === this.interval) return;
    const listeners = watchedListeners(watch);
    const isSame = JSON.stringify(listeners) === JSON.stringify(watchedListeners(this.watch));
    const isOtherInterval = interval !== this.interval;
    this.watch = watch;
    this.interval = interval;
    if (listeners === undefined) this.dueAt = undefined;
    else if (!isSame) this.dueAt = now;
    else if (isOtherInterval) this.dueAt = this.next(now);
  }

  private next(now: number): number | undefined {
    const seconds = parseDuration(this.interval);
    return seconds === undefined ? undefined : now + seconds * SECOND_NS;
  }

  private *taking(): Steps<void> {
    const { watch } = this;
    if (watch === undefined || watchedListeners(watch) === undefined) return;
    const { source, emit, onTruncated, mayFollowLinks } = this.inputs;
    const scan = listenerScan({ source: source(), filters: watch.filters, mayFollowLinks });
    const { events, isTruncated } = yield* scan;
    for (const event of events) {
      emit(event);
      yield;
    }
    if (isTruncated) onTruncated();
  }
}

/** What decides which listeners are watched; undefined if none are. */
function watchedListeners(watch: NetworkWatch | undefined): object | undefined {
  return watch?.kinds.includes("listen") === true ? watch.filters.listen : undefined;
}
