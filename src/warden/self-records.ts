// Records what others do to treewarden itself. What is repeated is counted and recorded once a minute, so that nobody can
// fill the journal with it.
import type { EventRecord } from "../report/event-record.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";

/** Between two records of the same thing, ns. */
const INTERVAL_NS = 60e9;
/** Different things that are kept apart at the same time; further ones are not recorded until one of these is a minute old. */
const KINDS = 64;

export interface SelfRecordsInputs {
  readonly record: (event: ChangeName, details: EventRecord) => void;
  /** ns, CLOCK_MONOTONIC. */
  readonly now: () => number;
}

interface Repeated {
  readonly event: ChangeName;
  readonly details: EventRecord;
  /** How often since the last record. */
  count: number;
  /** ns, CLOCK_MONOTONIC. */
  dueAt: number;
}

export class SelfRecords {
  private readonly inputs: SelfRecordsInputs;
  private readonly repeated = new Map<string, Repeated>();
  /** What was not recorded because there were too many kinds, or it came too fast. */
  private omitted = 0;

  constructor(inputs: SelfRecordsInputs) {
    this.inputs = inputs;
  }

  /** `details` say what is the same thing; `first` is only in its first record, such as a pid. */
  add(event: ChangeName, details: EventRecord, first: EventRecord = {}): void {
    const key = `${event} ${JSON.stringify(details)}`;
    const known = this.repeated.get(key);
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    if (this.repeated.size >= KINDS) {
      this.omitted += 1;
      return;
    }
    this.repeated.set(key, { event, details, count: 0, dueAt: this.inputs.now() + INTERVAL_NS });
    this.record(event, { ...details, ...first, "self.count": 1 });
  }

  /** Counts events that could not be distinguished; the next record has their number. */
  omit(count: number): void {
    this.omitted += count;
  }

  /** Nanoseconds until `work` has something to record; undefined if there is nothing. */
  dueIn(now: number): number | undefined {
    let due: number | undefined;
    for (const { dueAt } of this.repeated.values()) due = Math.min(due ?? dueAt, dueAt);
    return due === undefined ? undefined : Math.max(0, due - now);
  }

  /** Records what was repeated in the last minute, and forgets what was not. */
  work(now: number): void {
    for (const [key, repeated] of this.repeated) {
      if (now < repeated.dueAt) continue;
      if (repeated.count === 0) {
        this.repeated.delete(key);
        continue;
      }
      const { event, details, count } = repeated;
      repeated.count = 0;
      repeated.dueAt = now + INTERVAL_NS;
      this.record(event, { ...details, "self.count": count });
    }
  }

  /** Records what was counted, because the warden ends. */
  flush(): void {
    for (const repeated of this.repeated.values()) repeated.dueAt = Number.NEGATIVE_INFINITY;
    this.work(this.inputs.now());
  }

  private record(event: ChangeName, details: EventRecord): void {
    const omitted = this.omitted === 0 ? {} : { "self.omitted": this.omitted };
    this.omitted = 0;
    this.inputs.record(event, { ...details, ...omitted });
  }
}
