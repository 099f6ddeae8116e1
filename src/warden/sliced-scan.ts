// A scan of /proc in slices, between which the warden reads and judges events: reading every process of a large host
// takes hundreds of milliseconds, and nothing may run unseen for so long.
import { monotonicNow } from "../linux/clock.ts";
import { type ProcessEvent, type ScannedGroup, unknownFacts } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { listPids, readGroup } from "../sensor/procfs/scan.ts";
import { SLICE_NS } from "./sliced-work.ts";

export class SlicedScan {
  /** When the scan began; ns, CLOCK_MONOTONIC. */
  readonly time: number;
  private readonly reader: FactsReader;
  private readonly pids: readonly number[];
  private next = 0;
  private readonly found: ScannedGroup[] = [];
  /** Processes with an event since the scan began: what events say of them is newer than what the scan read. */
  private readonly changed = new Set<number>();

  constructor(reader: FactsReader, time: number) {
    this.reader = reader;
    this.time = time;
    this.pids = listPids();
  }

  /** Reads for a slice of time; true when every process was read. */
  readSlice(): boolean {
    const end = monotonicNow() + SLICE_NS;
    for (; this.next < this.pids.length; this.next += 1) {
      if (monotonicNow() >= end) return false;
      const group = readGroup(this.reader, this.pids[this.next] ?? 0);
      if (group !== undefined) this.found.push(group);
    }
    return true;
  }

  /** Must be called for every event between two slices. */
  onEvent(event: ProcessEvent): void {
    if ("pid" in event && event.pid !== undefined) this.changed.add(event.pid);
  }

  /**
   * Every process that was found. Of one with events since, only that it is there, if `isLive` says so: an exit that
   * came after it was read must not be undone.
   */
  result(isLive: (pid: number) => boolean): readonly ScannedGroup[] {
    return this.found.flatMap((group) => {
      if (!this.changed.has(group.pid)) return [group];
      return isLive(group.pid) ? [{ ...group, facts: unknownFacts }] : [];
    });
  }
}
