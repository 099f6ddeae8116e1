import type { RestoredForest } from "../forest/saved-forest.ts";
import { monotonicNow, realtimeNow, suspendedFor, wallClockOffset } from "../linux/clock.ts";
import { EPOLLIN } from "../linux/epoll.ts";
import { setProcessName } from "../linux/process.ts";
import { formatPolicyError } from "../policy/document.ts";
import { neverMatching, neverMatchingText } from "../policy/never-matching.ts";
import { CLOCK_STEP_NS } from "../sensor/capture/capture-writer.ts";
import type { LossEvent, ProcessEvent } from "../sensor/event.ts";
import { stackOf } from "../vocabulary/errors.ts";
import { Collection } from "./collection.ts";
import { scanLive, withoutZombies } from "./live-scan.ts";
import { readState, type SavedState } from "./saved-state.ts";
import { SlicedScan } from "./sliced-scan.ts";
import { readUserNames } from "./user-names.ts";
import type { LoadedPolicy, WardenOptions, WardenOrder } from "./warden-options.ts";
import { buildWardenParts, pollTokens, type WardenParts } from "./warden-parts.ts";

/** What was learned is told this often. */
const LEARNED_NS = 2e9;
/** epoll_wait(2) takes milliseconds in 32 bits. */
const LONGEST_WAIT_S = 86_400;
/** What a record shows of a fault. */
const FAULT_LENGTH = 2_000;
/** So often a source hands over what it had gathered when a scan began: no buffer holds more than so many turns take. */
const DRAINS = 8;
/** How long a clean end waits for the reporter to take what is left. */
const FAREWELL_NS = 1e9;
/** And how long for the disk. */
const LAST_WRITE_MS = 500;
/** While a file is being written the poll returns so often: the next step of that is the event loop's. */
const FILING_MS = 5;

/** Runs until it is told to stop. Throws if the source of events cannot be opened, or fails and no other can be. */
export async function runWarden(options: WardenOptions, loaded: LoadedPolicy): Promise<void> {
  setProcessName("tw-warden");
  await started(options, loaded).run();
}

/** A warden that has taken over what the last one saved. That is large, and out of reach when this returns. */
function started(options: WardenOptions, loaded: LoadedPolicy): Warden {
  const saved = readState(options.config.state_directory);
  const warden = new Warden(options, buildWardenParts(options, loaded, saved?.trees));
  warden.start(saved);
  // Loading the policy and scanning /proc took many times the memory that is needed from here on.
  Bun.gc(true);
  return warden;
}

function newCollection(): Collection {
  return new Collection({ collect: () => Bun.gc(true), resident: () => process.memoryUsage.rss() });
}

class Warden {
  private readonly options: WardenOptions;
  private readonly parts: WardenParts;
  private isStopping = false;
  private collection = newCollection();
  /** ns, CLOCK_MONOTONIC, from which on what was learned may be reported again. */
  private reportLearnedAt = 0;
  private fault: unknown;
  /** A scan of /proc that is under way; `isRepair`: because of a loss. */
  private scan: { readonly slices: SlicedScan; readonly isRepair: boolean } | undefined;

  constructor(options: WardenOptions, parts: WardenParts) {
    this.options = options;
    this.parts = parts;
  }

  /** Does what comes before the first event: requests that were left, and what runs already. `saved`: by the last warden. */
  start(saved: SavedState | undefined): void {
    const { verdicts, source, policyInForce, requests, learner } = this.parts;
    this.setClocks();
    verdicts.settling = source.applyWakeupPolicy(policyInForce.current);
    this.warnOfPolicy();
    requests.handle();
    this.firstScan(saved);
    // The last warden may have ended before it reported what it had collected.
    if (learner.isLearning) this.learnRunning();
  }

  async run(): Promise<void> {
    const { deadMan, controlFd, examinerFd } = this.options;
    const { poll, link, fileWriter, source, loop } = this.parts;
    loop.hasBegun = true;
    // The collection that ended the start is the one that memory is compared with.
    this.collection = newCollection();
    poll.add(controlFd, pollTokens.control, EPOLLIN);
    poll.add(examinerFd, pollTokens.examiner, EPOLLIN);
    try {
      while (!this.isStopping) {
        const timeout = this.timeout();
        deadMan?.timer.disarm();
        const ready = poll.wait(timeout);
        deadMan?.timer.armOnce(deadMan.ns);
        for (let i = 0; i < ready; i++) this.serve(poll.tokens[i] ?? 0);
        this.doWhatIsDue();
        link.flush();
        // Last, when every verdict of this turn has left.
        if (ready > 0) this.collection.worked(monotonicNow());
        else this.collection.idle(monotonicNow());
        if (fileWriter.busy) await fileWriter.runEventLoop();
      }
      // Events that the source has gathered and not handed over yet.
      if (this.fault === undefined) this.drain();
    } finally {
      source[Symbol.dispose]();
    }
    await this.shutdown();
    if (this.fault !== undefined) throw this.fault;
  }

  private serve(token: number): void {
    const { examiner, link, source, outbox } = this.parts;
    if (token === pollTokens.sensor) this.drain();
    else if (token === pollTokens.control)
      for (const order of this.options.readOrders()) this.carryOut(order);
    else if (token === pollTokens.examiner) examiner.receive();
    else {
      link.receive(() => this.health());
      source.watch(outbox.watched);
    }
  }

  /**
   * Clocks may have been set, or have stood still while the host slept. Two readings of one clock differ a little each
   * time, so the last ones stay until they are off by more.
   */
  private setClocks(): void {
    const { verdicts, tracker, capture } = this.parts;
    const { forest } = tracker;
    const wallOffset = wallClockOffset();
    const suspended = suspendedFor();
    if (Math.abs(wallOffset - verdicts.wallOffset) >= CLOCK_STEP_NS) verdicts.wallOffset = wallOffset;
    if (Math.abs(suspended - forest.suspendedNs) >= CLOCK_STEP_NS) forest.suspendedNs = suspended;
    capture.clock(verdicts.wallOffset, forest.suspendedNs);
  }

  private drain(): void {
    this.setClocks();
    this.parts.forestStore.changed();
    try {
      this.parts.source.drain((event) => this.take(event));
    } catch (error) {
      this.switchSensor(error);
    }
  }

  /** An event that treewarden cannot handle is a fault of its own: it is reported, and the others are not lost. */
  private take(event: ProcessEvent): void {
    const { tracker, capture, recordChange } = this.parts;
    this.scan?.slices.onEvent(event);
    try {
      tracker.handle(event);
    } catch (error) {
      recordChange("warden.fault", {
        "event.kind": event.kind,
        "error.message": stackOf(error).slice(0, FAULT_LENGTH),
      });
    }
    capture.event(event);
  }

  /**
   * The sensor has failed for good. Another one takes over and the forest stays; if none may, the warden ends with the
   * failure and the supervisor starts it again.
   */
  private switchSensor(failure: unknown): void {
    const { verdicts, source, policyInForce, capture, recordChange } = this.parts;
    recordChange("sensor.failed", { "sensor.source": source.name, "error.message": String(failure) });
    try {
      const failed = source.replace(failure);
      verdicts.settling = source.applyWakeupPolicy(policyInForce.current);
      recordChange("sensor.switched", { "sensor.source": source.name, "sensor.reason": source.why });
      this.warnOfPolicy();
      const time = monotonicNow();
      const loss: LossEvent = { kind: "loss", source: failed, time, reason: "switch", count: undefined };
      verdicts.onLoss(loss);
      capture.event(loss);
    } catch (error) {
      this.fault = error;
      this.isStopping = true;
    }
  }

  private carryOut(order: WardenOrder): void {
    if (order === "stop" || order === "hangup") this.isStopping = true;
    if (order === "reload") this.reload();
    if (order === "request" && this.parts.requests.handle()) this.learnRunning();
  }

  /** A daemon that keeps running execs nothing that could be learned, so what runs when a learning begins is collected. */
  private learnRunning(): void {
    const { reader, tracker, learner } = this.parts;
    for (const { pid, facts } of scanLive(reader)) {
      const { startTicks } = facts;
      if (startTicks === undefined) continue;
      const process = tracker.forest.find({ pid, startTicks, startExact: true });
      if (process !== undefined && !process.kernelThread) learner.onRunning(process.lineage, facts);
    }
  }

  /** Rules that the sensor in use cannot decide are no error of the policy's: another host may have another sensor. */
  private warnOfPolicy(): void {
    const { source, policyInForce, recordChange } = this.parts;
    const warnings = neverMatching(policyInForce.current, source.name).map((rule) =>
      neverMatchingText(rule, source.name),
    );
    if (warnings.length === 0) return;
    for (const text of warnings) this.options.warn(text);
    recordChange("policy.warning", { "sensor.source": source.name, "policy.warnings": warnings });
  }

  private reload(): void {
    const { users, epoch, knownTrees, totals, policyInForce, verdicts, source, recordChange } = this.parts;
    this.setClocks();
    users.nameOf = readUserNames();
    epoch.raise("users");
    const result = this.options.loadPolicy();
    knownTrees.reload(result.ok ? result.baselines : undefined);
    if (!result.ok) {
      totals.counter("policyLoadFailures", {}).add(1);
      recordChange("policy.rejected", {
        "policy.errors": result.errors.map(formatPolicyError),
        "security_rule.version": policyInForce.current.version,
      });
      return;
    }
    policyInForce.replace(result.policy);
    this.parts.signedPolicies.remember(result.signed);
    epoch.raise("policy");
    verdicts.settling = source.applyWakeupPolicy(result.policy);
    recordChange("policy.loaded", {
      "security_rule.ruleset.name": result.policy.role,
      "security_rule.version": result.policy.version,
    });
    this.warnOfPolicy();
  }

  private firstScan(saved: SavedState | undefined): void {
    const { forestStore, tracker, reader, source } = this.parts;
    const time = monotonicNow();
    const restored = forestStore.restore(saved);
    const { found } = tracker.reconcile(scanLive(reader, source.sensor), time, restored?.processes);
    restored?.release();
    if (saved?.run === this.options.run) this.countRestart(restored?.processes, found.length, time);
  }

  /**
   * A warden of this run died. What has started and ended since it last saved are events that nobody saw: at least as
   * many were lost as there are processes that only one of the two forests has.
   */
  private countRestart(restored: RestoredForest["processes"] | undefined, found: number, time: number): void {
    const { tracker, source, verdicts } = this.parts;
    const known = restored?.size ?? 0;
    let alive = 0;
    for (const process of restored?.values() ?? [])
      if (tracker.forest.find(process) !== undefined) alive += 1;
    const count = known - alive + found - alive;
    if (count > 0) verdicts.onLoss({ kind: "loss", source: source.name, time, reason: "restart", count });
  }

  /**
   * Begins to make the forest equal to what /proc has. `isRepair`: after a loss, which is over with the scan unless
   * there is another.
   */
  private beginScan(isRepair: boolean): void {
    this.setClocks();
    if (isRepair) this.parts.rescan.begun();
    this.scan = { slices: new SlicedScan(this.parts.reader, monotonicNow()), isRepair };
  }

  /** Reads a slice of the scan that is under way, and applies it once it is whole. */
  private continueScan(): void {
    const { scan } = this;
    if (scan?.slices.readSlice() !== true) return;
    this.scan = undefined;
    this.setClocks();
    const { source, tracker, rescan, capture, totals, recordChange } = this.parts;
    const { time } = scan.slices;
    const found = scan.slices.result((pid) => tracker.forest.get(pid) !== undefined);
    const processes = withoutZombies(found, source.sensor);
    const differences = tracker.reconcile(processes, time);
    capture.scan(processes, time);
    if (scan.isRepair) rescan.done(time, monotonicNow());
    // Until no event from before the scan is left.
    for (let i = 0; i < DRAINS; i += 1) this.drain();
    const forgotten = tracker.forget(differences.missing);
    capture.scanEnd();
    if (!scan.isRepair) return;
    totals.counter("resyncs", {}).add(1);
    recordChange("sensor.resync", {
      "sensor.source": source.name,
      "resync.found": differences.found.length,
      "resync.ended": differences.ended.length + forgotten.length,
      "resync.changed": differences.changed.length,
    });
  }

  /** Milliseconds until something is due, -1 if nothing is: an idle host is not woken. */
  private timeout(): number {
    const { link, rescan, forestStore, fileWriter, learner, knownTrees, capture } = this.parts;
    const now = monotonicNow();
    let ms = link.due;
    const sooner = (ns: number | undefined): void => {
      if (ns === undefined) return;
      const other = Math.max(0, Math.ceil(ns / 1e6));
      if (ms < 0 || other < ms) ms = other;
    };
    sooner(this.scan === undefined ? rescan.dueIn(now) : 0);
    sooner(forestStore.dueIn(now));
    sooner(capture.dueIn(now));
    sooner(this.collection.dueIn(now));
    if (fileWriter.busy) sooner(FILING_MS * 1e6);
    if (learner.hasReports) sooner(this.reportLearnedAt - now);
    const left = learner.secondsLeft();
    if (left !== undefined) sooner(Math.min(left, LONGEST_WAIT_S) * 1e9);
    const end = knownTrees.exclusionEndsIn(realtimeNow());
    if (end !== undefined) sooner(Math.min(end, LONGEST_WAIT_S * 1e9));
    return ms;
  }

  private doWhatIsDue(): void {
    const { rescan, forestStore, learner, knownTrees, capture } = this.parts;
    const now = monotonicNow();
    if (this.scan !== undefined) this.continueScan();
    else if (rescan.dueIn(now) === 0) this.beginScan(true);
    if (forestStore.dueIn(now) === 0) forestStore.save(now);
    if (capture.work(now) === "begun") this.beginScan(false);
    if ((learner.hasReports && now >= this.reportLearnedAt) || learner.secondsLeft() === 0) {
      learner.report();
      this.reportLearnedAt = now + LEARNED_NS;
    }
    knownTrees.endExclusions(realtimeNow());
  }

  private async shutdown(): Promise<void> {
    const { learner, recordChange, source, forestStore, link, fileWriter, poll, capture } = this.parts;
    capture.shutdown();
    // The forest first: without it the next warden does not know the lineages, and there may be no time for both.
    forestStore.save(monotonicNow());
    learner.report();
    recordChange("warden.stopped", { "sensor.source": source.name });
    link.shutdown(FAREWELL_NS);
    await fileWriter.settle(LAST_WRITE_MS);
    this.options.deadMan?.timer.disarm();
    poll[Symbol.dispose]();
  }

  private health(): { alive: boolean; reason: string } {
    return this.isStopping ? { alive: false, reason: "stopping" } : { alive: true, reason: "" };
  }
}
