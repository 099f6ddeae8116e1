// `treewarden trace`: the same sensor, forest and fingerprint as the warden's, no policy, straight to standard output.
import { createIdentifier } from "../fingerprint/identify.ts";
import { bootTimeMs, monotonicNow, suspendedFor, wallClockOffset } from "../linux/clock.ts";
import { writeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { SignalDescriptor, type SignalName } from "../linux/signalfd.ts";
import type { EventRecord } from "../report/event-record.ts";
import { execRecord, lossRecord, type Stamp } from "../report/records.ts";
import { recordUids } from "../report/stamp.ts";
import { Totals } from "../report/totals.ts";
import { TreeTotals } from "../report/tree-totals.ts";
import type { LossEvent, Sensor } from "../sensor/event.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { scanLive } from "../warden/live-scan.ts";
import { Rescan } from "../warden/rescan.ts";
import { type Execution, Tracker, type TrackerListener } from "../warden/tracker.ts";
import { readUserNames } from "../warden/user-names.ts";
import { execSubject } from "../warden/verdict-handler.ts";
import { identifyAccounted } from "./accounted.ts";

export interface TraceOptions {
  readonly openSensor: (reader: FactsReader) => { readonly sensor: Sensor; readonly why: string };
  /** A record as a line of text, its newline included. */
  readonly format: (record: EventRecord) => string;
  readonly argumentBytes: number;
  /** The events are this host's, now: /proc can be asked. */
  readonly ofThisHost: boolean;
}

/** They end a trace, and must have been blocked before the process's first instruction. */
export const traceSignals: readonly SignalName[] = ["SIGINT", "SIGTERM", "SIGHUP"];

const SENSOR = 1;
const SIGNALS = 2;
const encoder = new TextEncoder();

/** Traces until a signal ends it or nobody reads any more. Throws if the source cannot be opened or fails. */
export function runTrace(options: TraceOptions): void {
  using reader = new FactsReader({ argumentBytes: options.argumentBytes });
  using poll = new Poll();
  using signals = new SignalDescriptor(traceSignals);
  const { sensor } = options.openSensor(reader);
  using opened = sensor;
  const rescan = new Rescan();
  const printer = new Printer(options.format, () => rescan.want(monotonicNow()));
  const totals = new Totals();
  const trees = new TreeTotals(totals, { mode: "off", limit: 1 });
  const tracker = new Tracker(
    {
      identify: identifyAccounted(createIdentifier()),
      totals,
      trees,
      suspendedNs: suspendedFor(),
      isKnown: () => false,
    },
    printer,
  );
  const drain = (): void => {
    printer.wallOffset = wallClockOffset();
    tracker.forest.suspendedNs = suspendedFor();
    opened.drain((event) => tracker.handle(event));
  };
  const look = (): void => {
    if (!options.ofThisHost) return;
    const start = monotonicNow();
    const { missing } = tracker.reconcile(scanLive(reader, opened), start);
    rescan.done(start, monotonicNow());
    drain();
    tracker.forget(missing);
  };
  look();
  printer.live = true;
  poll.add(opened.fd, SENSOR, EPOLLIN);
  poll.add(signals.fd, SIGNALS, EPOLLIN);
  for (;;) {
    const due = rescan.dueIn(monotonicNow());
    const ready = poll.wait(due === undefined ? -1 : Math.ceil(due / 1e6));
    for (let i = 0; i < ready; i++) {
      if (poll.tokens[i] === SIGNALS) return;
      drain();
    }
    if (rescan.dueIn(monotonicNow()) === 0) look();
    if (!printer.flush()) return;
  }
}

class Printer implements TrackerListener {
  wallOffset = wallClockOffset();
  /** False during the first look at /proc: what was there already did not just start. */
  live = false;
  private readonly stamp: Stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  private readonly format: (record: EventRecord) => string;
  private readonly requestRescan: () => void;
  private readonly inputs = {
    bootTimeMs: bootTimeMs(),
    userName: readUserNames(),
  };
  private pending = "";

  constructor(format: (record: EventRecord) => string, requestRescan: () => void) {
    this.format = format;
    this.requestRescan = requestRescan;
  }

  onFork(): void {}

  onExit(): void {}

  onExec(exec: Execution): void {
    if (!this.live) return;
    const subject = execSubject(exec, this.wallOffset, this.inputs);
    this.pending += this.format(execRecord(subject, "process.exec", this.stamp));
  }

  onLoss(event: LossEvent): void {
    this.pending += this.format(lossRecord(event, event.time + this.wallOffset, this.stamp));
    this.requestRescan();
  }

  /** False once nobody reads. Waits for a slow reader: what the kernel drops meanwhile is counted as lost. */
  flush(): boolean {
    if (this.pending === "") return true;
    let bytes = encoder.encode(this.pending);
    this.pending = "";
    try {
      while (bytes.length > 0) bytes = bytes.subarray(Math.max(0, writeDescriptor(1, bytes)));
      return true;
    } catch {
      return false;
    }
  }
}
