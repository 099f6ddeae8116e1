// `treewarden trace`: the same sensor, forest and fingerprint as the warden's, no policy, straight to standard output.
import type { BaseSystem } from "../fingerprint/base.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import type { Process } from "../forest/process.ts";
import { bootTimeMs, monotonicNow, suspendedFor, wallClockOffset } from "../linux/clock.ts";
import { PipeWriter } from "../linux/pipe-writer.ts";
import type { EventRecord } from "../report/event-record.ts";
import { records, type Stamp } from "../report/records.ts";
import { recordUids } from "../report/stamp.ts";
import { Totals } from "../report/totals.ts";
import { TreeTotals } from "../report/tree-totals.ts";
import type { CloseEvent, LossEvent, ScannedProcess, Sensor } from "../sensor/event.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { scanLiveProcesses } from "../warden/live-scan.ts";
import { NewTrees } from "../warden/new-trees.ts";
import { OpenSockets } from "../warden/open-sockets.ts";
import { Rescan } from "../warden/rescan.ts";
import { type Execution, type NetworkActivity, Tracker, type TrackerListener } from "../warden/tracker.ts";
import { readUserNames } from "../warden/user-names.ts";
import { execSubject } from "../warden/verdict-handler.ts";
import { identifyAccounted } from "./accounted.ts";
import { type Follower, followEvents } from "./follow-events.ts";
import { NetworkLines } from "./network-lines.ts";
import { restoreSavedLineages } from "./saved-lineages.ts";

export interface TraceOptions {
  readonly openSensor: (reader: FactsReader) => { readonly sensor: Sensor; readonly why: string };
  /** A record as a line of text, its newline included; undefined: as JSON. */
  readonly format: ((record: EventRecord) => string) | undefined;
  /** Prints an exec only if it is the first of its tree. */
  readonly newTreesOnly: boolean;
  readonly argumentBytes: number;
  /** The base list by which programs are named. */
  readonly base: BaseSystem;
  /** Where a warden saves its forest. */
  readonly stateDirectory: string;
  /** The events are this host's, now: /proc can be asked. */
  readonly ofThisHost: boolean;
}

/** Traces until a signal ends it or nobody reads any more. Throws if the source cannot be opened or fails. */
export function runTrace(options: TraceOptions): void {
  using reader = new FactsReader({ argumentBytes: options.argumentBytes });
  const { sensor } = options.openSensor(reader);
  using opened = sensor;
  const rescan = new Rescan();
  const tracer = new Tracer(options, opened, reader, () => rescan.want(monotonicNow()));
  followEvents(opened, rescan, tracer);
  tracer.afterTurn();
}

class Tracer implements Follower {
  readonly scan: ((time: number) => void) | null;
  private readonly sensor: Sensor;
  private readonly tracker: Tracker;
  private readonly printer: Printer;
  /** Not found by the last scan: they have ended, unless the sensor's buffer holds something else about them. */
  private missing: readonly Process[] = [];

  constructor(options: TraceOptions, sensor: Sensor, reader: FactsReader, requestScan: () => void) {
    this.sensor = sensor;
    this.printer = new Printer(
      options.format,
      options.newTreesOnly ? new NewTrees() : undefined,
      requestScan,
    );
    const totals = new Totals();
    this.tracker = new Tracker(
      {
        identify: identifyAccounted(createIdentifier({ base: options.base })),
        totals,
        trees: new TreeTotals(totals, { mode: "off", limit: 1 }),
        suspendedNs: suspendedFor(),
        isKnown: () => false,
      },
      this.printer,
    );
    this.scan = options.ofThisHost
      ? (time) => this.reconcile(scanLiveProcesses(reader, sensor), time, options.stateDirectory)
      : null;
  }

  drain(): void {
    this.printer.wallOffset = wallClockOffset();
    this.tracker.forest.suspendedNs = suspendedFor();
    this.sensor.drain((event) => this.tracker.handle(event));
  }

  scanned(): void {
    this.drain();
    this.tracker.forget(this.missing);
    this.missing = [];
    this.printer.live = true;
  }

  nextDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }

  afterTurn(): boolean {
    return this.printer.flush();
  }

  /** The first scan takes over the lineages of a warden, so that every process has the tree that it has there. */
  private reconcile(processes: readonly ScannedProcess[], time: number, stateDirectory: string): void {
    const { tracker, printer } = this;
    const saved = printer.live ? undefined : restoreSavedLineages(tracker.forest, stateDirectory);
    this.missing = tracker.reconcile(processes, time, saved?.processes).missing;
    saved?.release();
  }
}

class Printer implements TrackerListener {
  wallOffset = wallClockOffset();
  /** False during the first look at /proc: what was there already did not just start. */
  live = false;
  private readonly stamp: Stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));
  private readonly format: (record: EventRecord) => string;
  /** Trees that were printed; undefined if every exec is. */
  private readonly newTrees: NewTrees | undefined;
  private readonly requestRescan: () => void;
  private readonly inputs = {
    bootTimeMs: bootTimeMs(),
    userName: readUserNames(),
  };
  private readonly output = new PipeWriter();
  private readonly sockets = new OpenSockets();
  private readonly networkLines: NetworkLines;

  constructor(format: TraceOptions["format"], newTrees: NewTrees | undefined, requestRescan: () => void) {
    this.format = format ?? ((record) => `${JSON.stringify(record)}\n`);
    this.networkLines = new NetworkLines({ ...this.inputs, stamp: this.stamp, format });
    this.newTrees = newTrees;
    this.requestRescan = requestRescan;
  }

  onFork(): void {}

  onExit(): void {}

  onNetwork(activity: NetworkActivity): void {
    if (!this.live) return;
    const { text, subject } = this.networkLines.line(activity, this.wallOffset);
    this.output.write(text);
    this.sockets.opened(subject);
  }

  onClose(event: CloseEvent): void {
    const opened = this.sockets.closed(event);
    if (opened === undefined) return;
    this.output.write(this.networkLines.endLine(event, opened, this.wallOffset));
  }

  onExec(exec: Execution): void {
    if (!this.live || this.newTrees?.isNew(exec.tree, false) === false) return;
    const subject = execSubject(exec, this.wallOffset, this.inputs);
    this.output.write(this.format(records.exec(subject, "process.exec", this.stamp)));
  }

  onLoss(event: LossEvent): void {
    this.output.write(this.format(records.loss(event, event.time + this.wallOffset, this.stamp)));
    this.requestRescan();
  }

  /** Waits for a slow reader: what the kernel drops meanwhile is counted as lost. Gives false once nobody reads. */
  flush(): boolean {
    return this.output.flush();
  }
}
