// Watches treewarden itself: signals to its processes, debuggers, its files, and whether the kernel still reports to it.
// docs/threat-model.md says what it cannot see.
import { constants } from "node:os";
import { treeOf } from "../fingerprint/tree.ts";
import type { Forest } from "../forest/forest.ts";
import { tracerOf } from "../linux/proc/tracer.ts";
import { unambiguous } from "../linux/text.ts";
import { boundedText } from "../report/bounded-arguments.ts";
import type { EventRecord, RecordDraft } from "../report/event-record.ts";
import type { Totals } from "../report/totals.ts";
import type { OwnSignal } from "../sensor/event.ts";
import type { ChangeName, SelfEvent } from "../vocabulary/event-names.ts";
import { type OwnPids, type ProcessName, processNames } from "../vocabulary/processes.ts";
import type { EventSource } from "./event-source.ts";
import { type GuardedFileSettings, GuardedFiles } from "./guarded-files.ts";
import { SelfRecords } from "./self-records.ts";

/** Between two looks at what no event reports, ns. */
const CHECK_NS = 5e9;
/** A check that is so late, in ns, was held up: by a freezer, a stopped process or a host without CPU to spare. */
const STALLED_NS = 30e9;
const TEXT_CHARACTERS = 1_024;
/** Pids whose process is remembered, the latest. */
const NAMES = 32;

const { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGKILL, SIGSTOP, SIGWINCH } = constants.signals;
/** The supervisor's orders: to stop, to reload, to read requests. */
const orders: readonly number[] = [SIGTERM, SIGINT, SIGHUP, SIGUSR1];
const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

export interface SelfWatchInputs {
  readonly forest: Pick<Forest, "get">;
  readonly source: Pick<EventSource, "watchSignals" | "findTampering">;
  readonly totals: Totals;
  readonly record: (event: ChangeName, details: EventRecord) => void;
  readonly files: GuardedFileSettings;
  /** ns, CLOCK_MONOTONIC. */
  readonly now: () => number;
  /** ns since the epoch. */
  readonly wallNow: () => number;
  /** Path of treewarden's executable. */
  readonly executable: string;
}

export class SelfWatch {
  private readonly inputs: SelfWatchInputs;
  private readonly records: SelfRecords;
  private readonly files: GuardedFiles;
  private pids: OwnPids;
  /** Also of processes that have ended: the record of the signal that killed one comes when another has its place. */
  private readonly names = new Map<number, ProcessName>();
  /** Who traced each of the processes at the last look. */
  private tracers = new Map<number, number>();
  private checkedAt: number;

  constructor(inputs: SelfWatchInputs) {
    this.inputs = inputs;
    this.records = new SelfRecords(inputs);
    this.files = new GuardedFiles((path, change) =>
      this.add("self.file_changed", {
        "self.file": unambiguous(boundedText(path, TEXT_CHARACTERS)),
        "self.change": change,
        "policy.severity": "high",
      }),
    );
    this.files.apply(inputs.files);
    this.pids = { warden: process.pid, supervisor: process.ppid };
    this.setPids(this.pids);
    this.checkedAt = inputs.now();
    this.publish();
  }

  /** Readable when one of treewarden's files may have changed. */
  get filesFd(): number {
    return this.files.fd;
  }

  onFiles(): void {
    this.files.take();
  }

  /** Other files are in force. */
  applyFiles(files: GuardedFileSettings): void {
    this.files.apply(files);
  }

  setPids(pids: OwnPids): void {
    this.pids = pids;
    for (const name of processNames) {
      const pid = pids[name];
      if (pid === undefined) continue;
      this.names.delete(pid);
      this.names.set(pid, name);
    }
    for (const pid of this.names.keys()) if (this.names.size > NAMES) this.names.delete(pid);
    this.inputs.source.watchSignals(Object.values(pids), {
      signal: (signal) => this.onSignal(signal),
      lost: (count) => {
        this.inputs.totals.counter("selfEvents", { event: "self.signaled" }).add(count);
        this.records.omit(count);
      },
    });
  }

  /** A process was started again; `ended`: how the one before has ended. */
  onRestart(restarted: ProcessName, ended: string): void {
    this.records.add("self.restarted", {
      "self.process": restarted,
      "self.ended": ended,
      "policy.severity": "medium",
    });
  }

  /** Nanoseconds until `work` is due. */
  dueIn(now: number): number {
    return Math.max(0, Math.min(this.checkedAt + CHECK_NS - now, this.records.dueIn(now) ?? CHECK_NS));
  }

  /** Returns why the source of events must be replaced; undefined if it reports. */
  work(now: number): string | undefined {
    this.records.work(now);
    if (now < this.checkedAt + CHECK_NS) return undefined;
    const late = now - this.checkedAt - CHECK_NS;
    this.checkedAt = now;
    if (late > STALLED_NS)
      this.add("self.stalled", { "policy.severity": "high" }, { "self.seconds": Math.round(late / 1e9) });
    this.lookForTracers();
    const problem = this.inputs.source.findTampering();
    if (problem === undefined) this.publish();
    else this.add("sensor.detached", { "error.message": problem, "policy.severity": "critical" });
    return problem;
  }

  /** Records what was counted; the warden ends. */
  flush(): void {
    this.records.flush();
  }

  [Symbol.dispose](): void {
    this.files[Symbol.dispose]();
  }

  private onSignal({ pid, signal, isKernels, senderPid, senderUid }: OwnSignal): void {
    const process = this.names.get(pid);
    if (process === undefined || signal === SIGWINCH) return;
    if (isKernels && signal === SIGSTOP) {
      // PTRACE_ATTACH stops the process; nobody else has the kernel make this signal.
      this.add("self.traced", this.concerning(process, senderPid, senderUid), { "self.by.pid": senderPid });
      return;
    }
    // Keys of the terminal stop the run; what the kernel does for want of memory is seen here.
    if (isKernels && signal !== SIGKILL) return;
    const isOrder = orders.includes(signal) && (process === "supervisor" || process === "standby");
    const by = isKernels ? {} : this.sender(senderPid, senderUid);
    // What a command asks for is recorded by what comes of it.
    if (isOrder && senderUid === 0 && by["self.by.executable"] === this.inputs.executable) return;
    const details: EventRecord = {
      "self.process": process,
      "self.signal": signalNames.get(signal) ?? String(signal),
      ...by,
      ...(isOrder ? {} : { "policy.severity": "high" }),
    };
    const first: EventRecord = isKernels ? {} : { "self.by.pid": senderPid };
    if (isOrder) this.records.add("self.signaled", details, first);
    else this.add("self.signaled", details, first);
  }

  private lookForTracers(): void {
    const tracers = new Map<number, number>();
    for (const name of processNames) {
      const pid = this.pids[name];
      const tracer = pid === undefined ? 0 : tracerOf(pid);
      if (pid === undefined || tracer === 0) continue;
      tracers.set(pid, tracer);
      if (this.tracers.get(pid) !== tracer)
        this.add("self.traced", this.concerning(name, tracer, undefined), { "self.by.pid": tracer });
    }
    this.tracers = tracers;
  }

  private concerning(process: ProcessName, by: number, uid: number | undefined): EventRecord {
    return { "self.process": process, ...this.sender(by, uid), "policy.severity": "critical" };
  }

  /** Who it was, as the forest has it: it may have ended by now, or be a process of which nothing is known. */
  private sender(pid: number, uid: number | undefined): EventRecord {
    const lineage = this.inputs.forest.get(pid)?.lineage;
    const user = uid ?? lineage?.uid;
    const by: RecordDraft = user === undefined ? {} : { "self.by.user.id": user };
    if (lineage === undefined) return by;
    const { executable } = lineage.program;
    if (executable !== undefined)
      by["self.by.executable"] = unambiguous(boundedText(executable, TEXT_CHARACTERS));
    by["self.by.tree"] = treeOf(lineage).exact;
    return by;
  }

  /** Records and counts something that nobody should do to treewarden. */
  private add(event: SelfEvent, details: EventRecord, first?: EventRecord): void {
    this.inputs.totals.counter("selfEvents", { event }).add(1);
    this.records.add(event, details, first);
  }

  private publish(): void {
    this.inputs.totals.gauge("selfCheck", {}).set(this.inputs.wallNow() / 1e9);
  }
}
