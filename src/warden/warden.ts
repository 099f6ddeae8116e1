// The warden's loop: polls the sensor, the supervisor, the reporter and the examiner, and passes what arrives to the
// parts. Until its shutdown it waits neither for the disk nor for another process.
import { requestName } from "../baseline/warden-request.ts";
import { isStronger } from "../enforcement/strength.ts";
import { decodeRunnable, encodeRunnable } from "../fingerprint/saved-runnable.ts";
import { snapshotForest } from "../forest/forest-snapshot.ts";
import type { RestoredForest } from "../forest/saved-forest.ts";
import { monotonicNow, realtimeNow, suspendedFor, wallClockOffset } from "../linux/clock.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLIN } from "../linux/epoll.ts";
import { discardCode, ownMemory, releaseMemory } from "../linux/own-memory.ts";
import { setProcessName } from "../linux/process.ts";
import { formatPolicyError, type PolicyError } from "../policy/document.ts";
import { neverMatching, neverMatchingText } from "../policy/never-matching.ts";
import { CLOCK_STEP_NS } from "../sensor/capture/capture-writer.ts";
import type { LossEvent, ProcessEvent } from "../sensor/event.ts";
import { stackOf } from "../vocabulary/errors.ts";
import type { OwnPids, ProcessName } from "../vocabulary/processes.ts";
import type { Steps } from "../vocabulary/steps.ts";
import { writeNow } from "./atomic-file-writer.ts";
import type { RanProgram } from "./changed-runnables.ts";
import { Collection } from "./collection.ts";
import { FirstScan } from "./first-scan.ts";
import { EventsAfter, EventsUntil, leaveHandover, takeHandover } from "./handover.ts";
import { ListenerSnapshots } from "./listener-snapshots.ts";
import { scanLiveProcesses, withoutZombies } from "./live-scan.ts";
import { readState, type SavedState } from "./saved-state.ts";
import { SlicedScan } from "./sliced-scan.ts";
import { doSlice } from "./sliced-work.ts";
import { readUserNames } from "./user-names.ts";
import type { LoadedPolicy, SettingsResult, WardenOptions, WardenOrder } from "./warden-options.ts";
import { buildWardenParts, pollTokens, type WardenParts } from "./warden-parts.ts";

/**
 * The executable starts with a factor of 100 (build/compile.ts), so that nothing is compiled that only the start calls.
 * The functions of the loop are few and run for weeks. A factor of 1 saves 4 % of the CPU more, and takes 4 MB more.
 */
const LOOP_JIT_POLICY = 10;
/** Interval of the reports of learned trees. */
const LEARNED_INTERVAL_NS = 2e9;
/** epoll_wait(2) takes milliseconds as a signed 32-bit number, which is less than 25 days. */
const LONGEST_WAIT_S = 86_400;
/** Maximum characters of a stack trace in a record. */
const FAULT_LENGTH = 2_000;
/** Draining the source 8 times empties even a full buffer. */
const MOST_DRAINS = 8;
/** For 2 s (in ns) events are judged during the first scan. A flood of them must not put off the loop for longer. */
const PATIENT_SCAN_NS = 2e9;
/** How long a shutdown waits for the reporter to receive the remaining records. */
const SHUTDOWN_REPORT_NS = 1e9;
/** How long a shutdown waits for the disk. */
const SHUTDOWN_WRITE_MS = 500;
/** While a file is being written, the poll returns after this time, because the write needs the event loop. */
const WRITE_POLL_NS = 5e6;

/** A successor starts within a second; if none has come by then, the warden ends, and is started again with a gap. */
const SUCCESSOR_NS = 20e9;
/** How far ahead the time lies up to which a warden handles events before its successor does: no drain has passed it. */
const HANDOVER_AHEAD_NS = 2e6;
/** For how long the last events are waited for: longer than a sensor holds one back. */
const HANDOVER_DRAIN_NS = 150e6;
const HANDOVER_PAUSE_MS = 5;

/** Runs until it is ordered to stop. Throws if no event source can be opened, or if it fails and no other can be. */
export async function runWarden(options: WardenOptions, loaded: LoadedPolicy): Promise<void> {
  setProcessName("tw-warden");
  // The policy has been read and compiled.
  await discardCode();
  const warden = startWarden(options, loaded);
  // Loading the policy and scanning /proc need many times the memory that the loop needs.
  await releaseMemory();
  Bun.unsafe.setJITPolicy(LOOP_JIT_POLICY);
  await warden.run();
}

/**
 * Restores the saved state and scans /proc. The saved state is large, so it is local to this function and can be
 * collected when it has returned.
 */
function startWarden(options: WardenOptions, loaded: LoadedPolicy): Warden {
  const saved = readState(options.config.state_directory);
  const warden = new Warden(options, buildWardenParts(options, loaded, saved));
  // The scan needs the memory that the saved state took.
  Bun.gc(true);
  warden.start(saved);
  return warden;
}

type NewEnd = Extract<WardenOrder, { readonly link: string }>;

class Warden {
  private readonly options: WardenOptions;
  private readonly parts: WardenParts;
  private isStopping = false;
  private collection = new Collection(ownMemory);
  private handled = 0;
  /** The earliest time of the next report of learned trees; ns, CLOCK_MONOTONIC. */
  private reportLearnedAt = 0;
  /** The error that ends the warden; undefined if it stops by an order. */
  private fault: unknown;
  /** A scan of /proc that is under way; `isRepair`: because of a loss. */
  private scan: { readonly slices: SlicedScan; readonly isRepair: boolean } | undefined;
  private firstScan: FirstScan | undefined;
  private isReloadDue = false;
  /** The names of requests to reload that are not answered yet. */
  private readonly reloadRequests: string[] = [];
  /** When a successor should have replaced this warden; ns, CLOCK_MONOTONIC. undefined: none was asked for. */
  private successorBy: number | undefined;
  /** Which events are this warden's while it replaces another one or is replaced; undefined: all of them. */
  private events: EventsUntil | EventsAfter | undefined;
  /** The socket to the examiner was shut down; the supervisor passes another one. */
  private examinerClosed = false;
  /** The status that the supervisor has, and the epoch for which it was made; undefined if it has to be made again. */
  private watching = "";
  private watchingEpoch: number | undefined;
  private readonly listeners: ListenerSnapshots;

  constructor(options: WardenOptions, parts: WardenParts) {
    this.options = options;
    this.parts = parts;
    const { work, source, reader } = parts;
    this.listeners = new ListenerSnapshots({
      work,
      source: () => source.name,
      watched: () => source.watchedNetwork.current,
      interval: () => source.watchedNetwork.settings.listen.snapshot_interval,
      mayFollowLinks: (pid) => reader.mayFollowLinks(pid),
      emit: (event) => this.handleEvent(event),
      onTruncated: () => parts.recordChange("sensor.listeners_truncated", { "sensor.source": source.name }),
    });
    // Before the first scan, events are left to that.
    parts.denials.catchUp = () => parts.loop.hasBegun && this.catchUp();
    parts.reload.onRequest = (name) => {
      this.reloadRequests.push(name);
      this.isReloadDue = true;
    };
  }

  /** Handles waiting requests and the processes that already run. `saved` is the state of the previous warden. */
  start(saved: SavedState | undefined): void {
    const { work, verdicts, source, policyInForce, enforcement, requests, learner } = this.parts;
    this.updateClocks();
    verdicts.settling = source.applyPolicy(policyInForce.current, enforcement);
    this.warnAboutPolicy();
    requests.handle();
    work.finish();
    if (!this.succeed()) this.initialScan(saved);
    this.parts.stoppedWatch.restore();
    this.applyToKernel();
    // The previous warden may have ended before it reported the trees that it had collected.
    if (learner.isLearning) this.learnRunningProcesses();
  }

  /** Has the kernel deny and prevent by the rules, from the next turns of the loop on. */
  private applyToKernel(): void {
    const { work, denials, closings } = this.parts;
    work.add("denials", () => denials.applying());
    work.add("closings", () => closings.applying());
  }

  async run(): Promise<void> {
    const { deadMan, controlFd, examinerFd } = this.options;
    const { poll, link, fileWriter, source, loop, epoch, selfWatch } = this.parts;
    loop.hasBegun = true;
    // Measure memory now: garbage has just been collected.
    this.collection = new Collection(ownMemory);
    poll.add(controlFd, pollTokens.control, EPOLLIN);
    poll.add(examinerFd, pollTokens.examiner, EPOLLIN);
    poll.add(selfWatch.filesFd, pollTokens.files, EPOLLIN);
    this.reportWatching();
    for (const order of this.options.succession?.orders ?? []) this.handleOrder(order);
    try {
      while (!this.isStopping) {
        const timeout = this.pollTimeout();
        deadMan?.timer.disarm();
        const ready = poll.wait(timeout);
        deadMan?.timer.armEvery(deadMan.intervalNs);
        for (let i = 0; i < ready; i++) this.handleReady(poll.tokens[i] ?? 0);
        if (this.isReloadDue) await this.beginReload();
        this.runDueTasks();
        if (epoch.current !== this.watchingEpoch) this.reportWatching();
        link.flush();
        // A collection may take milliseconds, so it comes after every verdict of this turn has been sent.
        if (ready > 0) this.collection.worked(monotonicNow(), this.takeHandled());
        else await this.collection.idle(monotonicNow());
        if (fileWriter.busy) await fileWriter.runEventLoop();
      }
      // The source may still hold events that it has not emitted.
      if (this.fault === undefined) {
        if (this.successorBy === undefined) this.drain();
        else this.handOver();
      }
    } finally {
      source[Symbol.dispose]();
    }
    if (this.fault !== undefined) this.options.keepNothing();
    await this.shutdown();
    if (this.fault !== undefined) throw this.fault;
  }

  /** The supervisor passes this on to the service manager that started the run, if one did. */
  private reportWatching(): void {
    const { source, enforcement, policyInForce, epoch, statusReport } = this.parts;
    this.watchingEpoch = epoch.current;
    const { role, rules } = policyInForce.current;
    const [problem, ...others] = statusReport.degraded();
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    const state = problem === undefined ? "" : `; degraded: ${problem}${more}`;
    const status = `${source.name}, enforcement ${enforcement.enforcement}, role ${role}, ${rules.length} rules${state}`;
    if (status === this.watching) return;
    this.watching = status;
    this.options.reportWatching(status);
  }

  private handleReady(token: number): void {
    const { link, source, outbox } = this.parts;
    if (token === pollTokens.sensor) this.drain();
    else if (token === pollTokens.control)
      for (const order of this.options.readOrders()) this.handleOrder(order);
    else if (token === pollTokens.examiner) this.receiveFromExaminer();
    else if (token === pollTokens.files) this.parts.selfWatch.onFiles();
    else if (token === pollTokens.mounts) this.parts.mounts?.onEvent();
    else {
      link.receive(() => this.health());
      source.watch(outbox.watched);
    }
  }

  /**
   * Updates the offsets between the clocks, which change when the clock is set or the host is suspended. Measurements of
   * an unchanged offset differ slightly, so differences below CLOCK_STEP_NS are ignored.
   */
  private updateClocks(): void {
    const { verdicts, tracker, capture } = this.parts;
    const { forest } = tracker;
    const wallOffset = wallClockOffset();
    const suspended = suspendedFor();
    if (Math.abs(wallOffset - verdicts.wallOffset) >= CLOCK_STEP_NS) {
      verdicts.wallOffset = wallOffset;
      this.parts.closings.onClock(wallOffset);
    }
    if (Math.abs(suspended - forest.suspendedNs) >= CLOCK_STEP_NS) forest.suspendedNs = suspended;
    capture.clock(verdicts.wallOffset, forest.suspendedNs);
  }

  private drain(): void {
    this.updateClocks();
    const { forestStore, link } = this.parts;
    forestStore.changed();
    const scan = this.firstScan;
    if (scan?.mustHold === true) {
      this.drainInto((event) => scan.hold(event));
      scan.handleHeld(
        () => this.drainInto((event) => scan.hold(event)),
        (event) => this.handleEvent(event),
      );
      return;
    }
    // What is reported of these events is sent before another warden could no longer get them.
    this.drainInto(
      (event) => (scan === undefined ? this.handleEvent(event) : this.handleDuring(scan, event)),
      () => link.flush(),
    );
  }

  private drainInto(sink: (event: ProcessEvent) => void, onHandled: () => void = () => undefined): void {
    try {
      this.parts.source.drain(sink, onHandled);
    } catch (error) {
      this.switchSensor(error);
    }
  }

  private handleDuring(scan: FirstScan, event?: ProcessEvent): void {
    if (event !== undefined) scan.hold(event);
    scan.handleHeld(
      () => undefined,
      (held) => this.handleEvent(held),
    );
  }

  /** Drains until no event from before is left. */
  private catchUp(): void {
    for (let i = 0; i < MOST_DRAINS; i += 1) this.drain();
  }

  /** The number of events that were handled since the last call. */
  private takeHandled(): number {
    const { handled } = this;
    this.handled = 0;
    return handled;
  }

  /** An exception here is a bug of treewarden. It is reported, and the loop continues with the next event. */
  private handleEvent(event: ProcessEvent): void {
    const { tracker, capture, recordChange } = this.parts;
    if (this.events !== undefined && !this.isOwn(this.events, event)) return;
    this.handled += 1;
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

  private isOwn(events: EventsUntil | EventsAfter, event: ProcessEvent): boolean {
    const isOwn = events.takes(event);
    if ("isOver" in events && events.isOver) this.events = undefined;
    return isOwn;
  }

  /** Has another warden, with the rights of what is in force, take over without a gap in events. */
  private replaceBySuccessor(): void {
    if (this.options.requestSuccessor()) this.successorBy = monotonicNow() + SUCCESSOR_NS;
    else this.isStopping = true;
  }

  /** Handles the last events, and leaves the forest for the successor, which handles all later ones. */
  private handOver(): void {
    const { config, run } = this.options;
    const { work, tracker } = this.parts;
    if (this.isReloadDue || work.isWaiting("reload")) this.leaveReload(this.reloadRequests.splice(0));
    const events = new EventsUntil(monotonicNow() + HANDOVER_AHEAD_NS);
    this.events = events;
    const end = events.until + HANDOVER_DRAIN_NS;
    while (!events.isPassed && monotonicNow() < end) {
      Bun.sleepSync(HANDOVER_PAUSE_MS);
      this.drain();
    }
    // Of two CPUs, one may report an event a little after the other has reported a later one.
    Bun.sleepSync(HANDOVER_PAUSE_MS);
    this.drain();
    const { until, recent } = events;
    const forest = snapshotForest(tracker.forest, encodeRunnable);
    leaveHandover(config.state_directory, { run, until, recent, forest });
  }

  /** Leaves a reload to the successor. `names`: the requests that it answers; none for a reload that SIGHUP has asked for. */
  private leaveReload(names: readonly string[]): void {
    const { requests } = this.parts;
    const left = names.length === 0 ? [requestName(Date.now(), 0)] : names;
    for (const name of left) requests.handOver(name, { kind: "reload" });
  }

  /** Goes on where the warden that this one replaces has ended; false if there is none, or it has left nothing. */
  private succeed(): boolean {
    const { config, run, succession } = this.options;
    // Also what was left for a successor that never came.
    const handover = takeHandover(config.state_directory, run);
    const processes = succession?.takeProcesses();
    if (processes === undefined || handover === undefined) return false;
    const { tracker, learner, recordChange } = this.parts;
    try {
      tracker.restore(handover.forest, decodeRunnable);
    } catch (error) {
      recordChange("forest.rejected", { "error.message": String(error) });
      return false;
    }
    this.events = new EventsAfter(handover);
    learner.onScan(processes);
    this.beginScan(false);
    return true;
  }

  /**
   * Replaces a sensor that has failed permanently with another one, and keeps the forest. If there is no other sensor,
   * the warden ends with the failure, and the supervisor restarts it.
   */
  private switchSensor(failure: unknown): void {
    const { verdicts, tracker, source, policyInForce, enforcement, capture, recordChange } = this.parts;
    recordChange("sensor.failed", { "sensor.source": source.name, "error.message": String(failure) });
    this.options.keepNothing();
    try {
      const failed = source.replace(failure);
      this.watchingEpoch = undefined;
      verdicts.settling = source.applyPolicy(policyInForce.current, enforcement);
      this.parts.stoppedWatch.sensorReplaced();
      this.applyToKernel();
      recordChange("sensor.switched", { "sensor.source": source.name, "sensor.reason": source.why });
      this.warnAboutPolicy();
      const time = monotonicNow();
      const loss: LossEvent = { kind: "loss", source: failed, time, reason: "switch", count: undefined };
      tracker.lost(loss);
      capture.event(loss);
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    this.fault = error;
    this.isStopping = true;
  }

  private handleOrder(order: WardenOrder): void {
    if (typeof order === "object") {
      if ("restarted" in order) this.onRestart(order);
      else if ("pids" in order) this.setPids(order.pids);
      else this.connect(order);
    }
    if (order === "stop" || order === "hangup") this.isStopping = true;
    const { requests } = this.parts;
    // The successor finds the requests in their folder.
    if (this.successorBy !== undefined) {
      if (order === "reload") this.leaveReload([]);
      return;
    }
    if (order === "reload") this.isReloadDue = true;
    if (order === "request" && requests.handle()) this.learnRunningProcesses();
  }

  private setPids(pids: OwnPids): void {
    this.parts.ownCost.setPids(pids);
    this.parts.selfWatch.setPids(pids);
  }

  private onRestart({ restarted, ended }: Extract<WardenOrder, { readonly restarted: ProcessName }>): void {
    this.parts.totals.counter("restarts", { process: restarted }).add(1);
    this.parts.selfWatch.onRestart(restarted, ended);
  }

  /** A process was started again on a new socket pair. If the old one was shut down, somebody had a hand in it. */
  private connect({ link, fd, wasShutDown }: NewEnd): void {
    const { link: reportLink, examiner, poll, recordChange } = this.parts;
    if (link === "reporter") reportLink.connect(fd);
    else {
      if (!this.examinerClosed) poll.remove(examiner.fd);
      closeDescriptor(examiner.fd);
      examiner.connect(fd);
      poll.add(fd, pollTokens.examiner, EPOLLIN);
      this.examinerClosed = false;
    }
    if (wasShutDown)
      recordChange("link.shut_down", { "error.message": `the link to the ${link} was shut down` });
  }

  private receiveFromExaminer(): void {
    const { examiner, poll } = this.parts;
    if (this.examinerClosed || examiner.receive()) return;
    this.examinerClosed = true;
    poll.remove(examiner.fd);
  }

  /** Learns the running processes: a daemon that started before the learning run causes no exec to learn from. */
  private learnRunningProcesses(): void {
    const { reader, tracker, learner, changes } = this.parts;
    const running: RanProgram[] = [];
    for (const { pid, facts } of scanLiveProcesses(reader)) {
      const { startTicks } = facts;
      if (startTicks === undefined) continue;
      const process = tracker.forest.find({ pid, startTicks, startExact: true });
      if (process !== undefined && !process.kernelThread)
        running.push({ process, lineage: process.lineage, facts, wallTime: realtimeNow() / 1e6 });
    }
    learner.onRunning(running);
    for (const program of running) changes.learn(program, true);
  }

  /**
   * Warns about rules that the sensor in use can never decide. They are not errors, because the policy may be meant for
   * hosts with another sensor.
   */
  private warnAboutPolicy(): void {
    const { source, policyInForce, recordChange } = this.parts;
    const warnings = neverMatching(policyInForce.current, source.name).map((rule) =>
      neverMatchingText(rule, source.name),
    );
    if (warnings.length === 0) return;
    for (const text of warnings) this.options.warn(text);
    recordChange("policy.warning", { "sensor.source": source.name, "policy.warnings": warnings });
  }

  /** Reads the configuration again. What it takes away acts no more from now on; the rest takes effect when all is loaded. */
  private async beginReload(): Promise<void> {
    this.isReloadDue = false;
    const read = await this.options.readSettings();
    if (read.ok) this.parts.enforcement.narrow(read.settings.config);
    this.parts.applyEnforcement();
    this.parts.work.add("reload", () => this.reloading(read));
  }

  /** Reads users, baselines and policies again. If a file is broken, everything that is in force stays. */
  private *reloading(read: SettingsResult): Steps<void> {
    const { users, epoch, knownTrees, policyInForce, enforcement, verdicts, source, recordChange, files } =
      this.parts;
    const { confirmed, hosts } = this.parts;
    const requests = this.reloadRequests.splice(0);
    if (this.successorBy !== undefined) {
      this.leaveReload(requests);
      return;
    }
    users.nameOf = readUserNames();
    epoch.raise("users");
    const result = read.ok ? yield* this.options.loadingPolicy(read.settings) : read;
    yield* knownTrees.reloading(result.ok ? result.baselines : undefined);
    this.updateClocks();
    if (!read.ok || !result.ok) {
      if (read.ok) enforcement.refuse(read.settings.config);
      this.parts.applyEnforcement();
      this.refuseReload(result.ok ? [] : result.errors, read.ok, requests);
      return;
    }
    const { config, origin } = read.settings;
    if (isStronger(config.enforcement, this.options.config.enforcement)) {
      // The next warden gets the rights and the sensor to act, begins with what is kept, and answers.
      files.accept(result.lastGood, true);
      this.parts.observation.apply(result.policy, monotonicNow());
      confirmed.apply(result.policy, config, writeNow);
      for (const name of requests) this.parts.requests.handOver(name, { kind: "reload" });
      this.replaceBySuccessor();
      return;
    }
    if (config.enforcement !== enforcement.enforcement) source.setEnforcement(config.enforcement);
    hosts.names = result.hostNames;
    source.watchedNetwork.settings = config.network;
    policyInForce.replace(result.policy);
    this.parts.observation.apply(result.policy, monotonicNow());
    enforcement.apply(result.policy, config);
    this.parts.signedPolicies.remember(result.signed);
    epoch.raise("policy");
    verdicts.settling = source.applyPolicy(result.policy, enforcement);
    const isOther = result.lastGood.origin.digest !== files.current.origin.digest;
    const hasRightsToSpare =
      config.enforcement === "observe" && this.options.config.enforcement !== "observe";
    files.accept(result.lastGood, hasRightsToSpare);
    const later = files.waiting;
    this.parts.selfWatch.applyFiles(files.watched);
    if (isOther)
      recordChange("configuration.loaded", {
        ...(origin.file === undefined ? {} : { "configuration.file": origin.file }),
        ...(origin.digest === undefined ? {} : { "configuration.digest": origin.digest }),
        "policy.enforcement": config.enforcement,
        ...(later.length === 0 ? {} : { "configuration.later": later }),
      });
    recordChange("policy.loaded", {
      "security_rule.ruleset.name": result.policy.role,
      "security_rule.version": result.policy.version,
    });
    this.warnAboutPolicy();
    const notes = later.map((name) => `${name} is in force from the next start on`);
    for (const name of requests) this.parts.requests.answerAfterWork(name, { notes });
    if (hasRightsToSpare) this.replaceBySuccessor();
  }

  /** `isConfigurationRead`: then the errors are of policies. */
  private refuseReload(
    errors: readonly PolicyError[],
    isConfigurationRead: boolean,
    requests: readonly string[],
  ): void {
    const { totals, files, recordChange, policyInForce } = this.parts;
    const problems = errors.map((error) =>
      error.fix === undefined ? formatPolicyError(error) : `${formatPolicyError(error)}; ${error.fix}`,
    );
    files.refuse(problems);
    this.watchingEpoch = undefined;
    if (isConfigurationRead) {
      totals.counter("policyLoadFailures", {}).add(1);
      recordChange("policy.rejected", {
        "policy.errors": errors.map(formatPolicyError),
        "security_rule.version": policyInForce.current.version,
        "policy.severity": "high",
      });
    } else
      recordChange("configuration.rejected", {
        "policy.severity": "high",
        "configuration.errors": problems,
      });
    for (const text of problems) this.options.warn(`refused: ${text}`);
    for (const name of requests) this.parts.requests.answer(name, { problems });
  }

  private initialScan(saved: SavedState | undefined): void {
    const { forestStore, tracker, reader, source, learner } = this.parts;
    const time = monotonicNow();
    const isContinued = saved !== undefined && this.continueForest(saved);
    const restored = isContinued ? undefined : forestStore.restore(saved);
    const remembered = restored?.processes;
    const isRestart = !isContinued && saved?.run === this.options.run;
    const scan = new FirstScan({ reader, tracker, remembered, isRestart, isContinued, time });
    this.firstScan = scan;
    const drain = (): void => {
      if (monotonicNow() < time + PATIENT_SCAN_NS) this.drain();
    };
    while (!scan.readSlice()) drain();
    // What happened before the last process was read.
    this.drain();
    const processes = withoutZombies(scan.result(), source.sensor);
    learner.onScan(processes);
    const steps = scan.applying(processes);
    while (!doSlice(steps)) drain();
    this.handleDuring(scan);
    scan.settleLineages();
    this.firstScan = undefined;
    restored?.release();
    if (isRestart && source.sensor.isContinued !== true) this.countRestart(remembered, scan.found, time);
  }

  /**
   * Makes the forest what it was when the warden before this one ended: what that has saved, and the events that it has
   * handled since then, which the kernel still has. False if they are not all there; then nothing was done.
   */
  private continueForest(saved: SavedState): boolean {
    const { source, forestStore, tracker } = this.parts;
    if (saved.run !== this.options.run || saved.mark === undefined) return false;
    const repeat = source.sensor.since?.(saved.mark);
    if (repeat === undefined) return false;
    const isRestored = forestStore.restoreWhole(saved);
    if (isRestored) tracker.countRestored();
    repeat((event) => {
      if (isRestored) tracker.repeat(event);
    });
    return isRestored;
  }

  /**
   * Reports the events that were lost while no warden ran. Processes that are only in the saved forest have ended, and
   * those that are only in the scan have started, so at least that many events were lost.
   */
  private countRestart(restored: RestoredForest["processes"] | undefined, found: number, time: number): void {
    const { tracker, source } = this.parts;
    const known = restored?.size ?? 0;
    let survivors = 0;
    for (const process of restored?.values() ?? [])
      if (tracker.forest.find(process) !== undefined) survivors += 1;
    const count = known - survivors + found - survivors;
    if (count > 0) tracker.lost({ kind: "loss", source: source.name, time, reason: "restart", count });
  }

  /**
   * Begins to make the forest equal to what /proc has. `isRepair`: after a loss, which is over with the scan unless
   * there is another.
   */
  private beginScan(isRepair: boolean): void {
    this.updateClocks();
    if (isRepair) this.parts.rescan.begun();
    // A scan that is under way begins again, and repairs what it was to repair.
    const repairs = isRepair || this.scan?.isRepair === true;
    this.scan = { slices: new SlicedScan(this.parts.reader, monotonicNow()), isRepair: repairs };
  }

  /** Reads a slice of the scan that is under way, and applies it once it is whole. */
  private continueScan(): void {
    const { scan } = this;
    if (scan?.slices.readSlice() !== true) return;
    this.scan = undefined;
    this.updateClocks();
    const { source, tracker, rescan, capture, totals, learner, observation, recordChange } = this.parts;
    const { time } = scan.slices;
    const found = scan.slices.result((pid) => tracker.forest.get(pid) !== undefined);
    const processes = withoutZombies(found, source.sensor);
    const differences = tracker.reconcile(processes, time);
    capture.scan(processes, time);
    if (scan.isRepair) rescan.done(time, monotonicNow());
    this.catchUp();
    const forgotten = tracker.forget(differences.missing);
    capture.scanEnd();
    if (tracker.forest.lossTime === undefined) {
      learner.onRepaired();
      observation.onRepaired(monotonicNow());
    }
    if (!scan.isRepair) return;
    totals.counter("resyncs", {}).add(1);
    recordChange("sensor.resync", {
      "sensor.source": source.name,
      "resync.found": differences.found.length,
      "resync.ended": differences.ended.length + forgotten.length,
      "resync.changed": differences.changed.length,
    });
  }

  /** Milliseconds until the next task is due; -1 if there is none, so that an idle host is not woken. */
  private pollTimeout(): number {
    const {
      work,
      link,
      rescan,
      forestStore,
      chainStore,
      fileWriter,
      learner,
      knownTrees,
      capture,
      repeatedVerdicts,
      enforcement,
      late,
      examiner,
      heartbeat,
    } = this.parts;
    const now = monotonicNow();
    let ms = link.due;
    const wakeIn = (ns: number | undefined): void => {
      if (ns === undefined) return;
      const taskMs = Math.max(0, Math.ceil(ns / 1e6));
      if (ms < 0 || taskMs < ms) ms = taskMs;
    };
    wakeIn(this.scan === undefined ? rescan.dueIn(now) : 0);
    if (work.isBusy || this.isReloadDue) wakeIn(0);
    if (this.successorBy !== undefined) wakeIn(this.successorBy - now);
    wakeIn(forestStore.dueIn(now));
    wakeIn(chainStore.dueIn(now));
    wakeIn(capture.dueIn(now));
    wakeIn(repeatedVerdicts.dueIn(now));
    wakeIn(enforcement.dueIn());
    wakeIn(late.dueIn(now));
    wakeIn(heartbeat.dueIn(now));
    wakeIn(this.parts.mounts?.dueIn(now));
    wakeIn(this.parts.closings.dueIn(now));
    wakeIn(this.parts.denials.dueIn(now));
    wakeIn(this.parts.selfWatch.dueIn(now));
    wakeIn(this.parts.stoppedWatch.dueIn(now));
    wakeIn(this.parts.evidence.dueIn(now));
    wakeIn(this.listeners.dueIn(now));
    wakeIn(examiner.contents.dueIn(now));
    wakeIn(this.collection.dueIn(now));
    if (fileWriter.busy) wakeIn(WRITE_POLL_NS);
    if (learner.hasReports) wakeIn(this.reportLearnedAt - now);
    const learningSeconds = learner.secondsLeft();
    if (learningSeconds !== undefined) wakeIn(Math.min(learningSeconds, LONGEST_WAIT_S) * 1e9);
    const exclusionNs = knownTrees.exclusionEndsIn();
    if (exclusionNs !== undefined) wakeIn(Math.min(exclusionNs, LONGEST_WAIT_S * 1e9));
    return ms;
  }

  private runDueTasks(): void {
    const {
      work,
      rescan,
      forestStore,
      chainStore,
      learner,
      knownTrees,
      capture,
      repeatedVerdicts,
      enforcement,
    } = this.parts;
    const { late, examiner, observation, heartbeat } = this.parts;
    const now = monotonicNow();
    if (this.successorBy !== undefined && now >= this.successorBy) this.isStopping = true;
    enforcement.work();
    this.parts.applyEnforcement();
    this.parts.evidence.expire(now);
    this.parts.stoppedWatch.work(now);
    this.parts.source.sweep(this.parts.killer.isSweeping(now));
    examiner.contents.giveUp(now);
    late.expire(now);
    heartbeat.work(now);
    this.parts.mounts?.work(now);
    this.parts.closings.work(now);
    this.parts.denials.work(now);
    const tampering = this.parts.selfWatch.work(now);
    // The next warden begins with a new sensor, and scans.
    if (tampering !== undefined) this.fail(new Error(tampering));
    repeatedVerdicts.flushDue(now);
    if (this.scan !== undefined) this.continueScan();
    else if (rescan.dueIn(now) === 0) this.beginScan(true);
    this.listeners.work(now);
    work.run();
    if (forestStore.dueIn(now) === 0) {
      forestStore.save(now);
      observation.save(now);
    }
    if (chainStore.dueIn(now) === 0) chainStore.save(false);
    if (capture.work(now) === "begun") this.beginScan(false);
    if ((learner.hasReports && now >= this.reportLearnedAt) || learner.secondsLeft() === 0) {
      learner.report();
      this.reportLearnedAt = now + LEARNED_INTERVAL_NS;
    }
    knownTrees.endExclusions();
  }

  private async shutdown(): Promise<void> {
    const {
      learner,
      recordChange,
      source,
      forestStore,
      chainStore,
      link,
      fileWriter,
      poll,
      capture,
      repeatedVerdicts,
    } = this.parts;
    this.parts.evidence.endAll();
    // Before the capture ends and the verdicts are flushed: both get these.
    this.parts.late.endAll();
    capture.shutdown();
    repeatedVerdicts.flushAll();
    this.parts.selfWatch.flush();
    // The forest comes first: the next warden needs it for the lineages, and there may be no time for all files.
    forestStore.save(monotonicNow());
    this.parts.observation.saveNow(monotonicNow());
    learner.reportAll();
    recordChange("warden.stopped", { "sensor.source": source.name });
    chainStore.save(true);
    link.shutdown(SHUTDOWN_REPORT_NS);
    await fileWriter.settle(SHUTDOWN_WRITE_MS);
    this.options.deadMan?.timer.disarm();
    poll[Symbol.dispose]();
  }

  private health(): { alive: boolean; reason: string; degraded: readonly string[] } {
    const degraded = this.parts.statusReport.degraded();
    return this.isStopping
      ? { alive: false, reason: "stopping", degraded }
      : { alive: true, reason: "", degraded };
  }
}
