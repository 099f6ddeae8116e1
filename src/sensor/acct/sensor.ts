// Process accounting as a source: a file of version 3 records, read from its start and then as the kernel appends.
//
// A record describes a process at its end: its short name, its pid and parent's, its real user, its terminal, when it
// started (to a second) and how it ended. What it does not have stays unknown: executable, arguments, effective user,
// directory, container; an exec before the last one; whatever is still alive. See docs/captures.md.
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { boottimeNow, monotonicNow, realtimeNow } from "../../linux/clock.ts";
import { EPOLLIN, Poll } from "../../linux/epoll.ts";
import { type GrowthWatch, watchGrowth } from "../../linux/inotify.ts";
import { Timer } from "../../linux/timerfd.ts";
import type { ProcessEvent, Sensor } from "../event.ts";
import { SensorUnavailable } from "../unavailable.ts";
import { type AcctRecord, parseAccountingRecord, RECORD_BYTES } from "./accounting-record.ts";
import { type Clocks, storyOf } from "./story.ts";

/** The most records that are emitted together, in the order of the lives that they describe: 4 MiB. */
const BATCH = 65_536;
/** Records gather this long once the file grows: a parent's often follows its child's at once. */
const GATHER_NS = 50e6;

const HINT = "enable CONFIG_BSD_PROCESS_ACCT_V3, and begin with an empty file: accton FILE";

const GROWN = 0;
const TICK = 1;

/** Opens the accounting file at `path`. Throws SensorUnavailable, with a hint, if it is none. */
export function openAcctSensor(path: string): AcctSensor {
  return new AcctSensor(path);
}

export class AcctSensor implements Sensor {
  readonly source = "acct";
  private readonly path: string;
  private readonly stack = new DisposableStack();
  private readonly file: number;
  private readonly watch: GrowthWatch;
  private readonly timer: Timer;
  private readonly poll: Poll;
  private readonly buffer = new Uint8Array(BATCH * RECORD_BYTES);
  /** The number of bytes of the file whose records were emitted. */
  private position = 0;
  private gathering = false;

  constructor(path: string) {
    this.path = path;
    using opened = new DisposableStack();
    this.file = opened.adopt(open(path), closeSync);
    this.check();
    this.watch = opened.use(watchGrowth(path));
    this.timer = opened.use(new Timer());
    this.poll = opened.use(new Poll(2));
    this.poll.add(this.watch.fd, GROWN, EPOLLIN);
    this.poll.add(this.timer.fd, TICK, EPOLLIN);
    this.gatherFor(1);
    this.stack.use(opened.move());
  }

  get fd(): number {
    return this.poll.fd;
  }

  drain(sink: (event: ProcessEvent) => void): void {
    if (!this.gathering) {
      this.gatherFor(GATHER_NS);
      return;
    }
    if (this.timer.read() === 0) return;
    this.gathering = false;
    this.watch.clear();
    this.poll.modify(this.watch.fd, GROWN, EPOLLIN);
    const records = this.take(sink);
    for (const event of storyOf(records, clocksNow())) sink(event);
    // Until nothing is left: what follows may be more than a batch, or the place where the file is broken.
    if (records.length > 0) this.gatherFor(1);
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }

  private gatherFor(ns: number): void {
    this.gathering = true;
    this.poll.modify(this.watch.fd, GROWN, 0);
    this.timer.armOnce(ns);
  }

  private take(sink: (event: ProcessEvent) => void): AcctRecord[] {
    if (fstatSync(this.file).size < this.position) {
      // The file was emptied, as log rotation does: records that were not read yet are lost.
      this.position = 0;
      sink({ kind: "loss", source: "acct", time: monotonicNow(), reason: "restart", count: undefined });
    }
    const length = this.readWhole();
    const records: AcctRecord[] = [];
    for (let at = 0; at < length; at += RECORD_BYTES) {
      const record = parseAccountingRecord(this.buffer, at);
      if ("failure" in record) {
        // The records before it are emitted first.
        if (at > 0) return this.took(records);
        throw new SensorUnavailable(`${this.path}: at byte ${this.position}: ${record.failure}`, HINT);
      }
      records.push(record);
    }
    return this.took(records);
  }

  private took(records: AcctRecord[]): AcctRecord[] {
    this.position += records.length * RECORD_BYTES;
    return records;
  }

  /** Bytes of whole records; the rest of one that is being written is left to the next time. */
  private readWhole(): number {
    let length = 0;
    while (length < this.buffer.length) {
      const { buffer, file, position } = this;
      const got = readSync(file, buffer, length, buffer.length - length, position + length);
      if (got === 0) break;
      length += got;
    }
    return length - (length % RECORD_BYTES);
  }

  private check(): void {
    const first = new Uint8Array(RECORD_BYTES);
    const got = readSync(this.file, first, 0, RECORD_BYTES, 0);
    if (got === 0) return;
    const record = got < RECORD_BYTES ? { failure: "less than one record" } : parseAccountingRecord(first);
    if ("failure" in record) throw new SensorUnavailable(`${this.path}: ${record.failure}`, HINT);
  }
}

function open(path: string): number {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SensorUnavailable(
      `cannot read the accounting file: ${why}`,
      "make it, and turn it on: accton FILE",
    );
  }
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw new SensorUnavailable(
    `${path}: not a regular file`,
    "the kernel accounts into regular files only, acct(2)",
  );
}

function clocksNow(): Clocks {
  const monotonic = monotonicNow();
  return { wallOffset: realtimeNow() - monotonic, suspended: Math.max(0, boottimeNow() - monotonic) };
}
