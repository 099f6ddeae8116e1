// The hot path: one blocking loop over the kernel's events, the supervisor's orders and the reporter's wire.
// The runtime's own event loop turns only while a file is being written (filing.ts), so there are no timers, no other
// promises and no console.
import type { Config } from "../config/config.ts";
import { ProcessKiller } from "../enforcement/kill.ts";
import { KillRate } from "../enforcement/rate.ts";
import { ExaminerClient } from "../examiner/client.ts";
import { type BaseSystem, embeddedBase } from "../fingerprint/base.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import type { RestoredForest } from "../forest/saved-forest.ts";
import {
  bootTimeMs,
  boottimeNow,
  monotonicNow,
  realtimeNow,
  suspendedFor,
  wallClockOffset,
} from "../linux/clock.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { bootId, setProcessName } from "../linux/process.ts";
import { bootTicks } from "../linux/ticks.ts";
import type { Timer } from "../linux/timerfd.ts";
import { formatPolicyError, type PolicyError } from "../policy/document.ts";
import { neverMatching, neverMatchingText } from "../policy/never-matching.ts";
import type { Policy } from "../policy/policy.ts";
import type { RoleBaseline } from "../policy/role-baseline.ts";
import { Outbox } from "../report/outbox.ts";
import { recordUids } from "../report/stamp.ts";
import { Totals } from "../report/totals.ts";
import { TreeTotals } from "../report/tree-totals.ts";
import { version } from "../report/version.ts";
import type { Hello } from "../report/wire.ts";
import type { ProcessEvent } from "../sensor/event.ts";
import type { LastResort, OpenedSensor } from "../sensor/open.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { stackOf } from "../vocabulary/errors.ts";
import type { SourceChoice } from "../vocabulary/sensors.ts";
import { AtomicFileWriter } from "./atomic-file-writer.ts";
import { isSameBase, readBase, writeBase } from "./base-file.ts";
import { BaselineService } from "./baseline-service.ts";
import { Epoch } from "./epoch.ts";
import { EventSource } from "./event-source.ts";
import { ForestStore } from "./forest-store.ts";
import { kernelSignals } from "./kernel-signals.ts";
import { scanLive } from "./live-scan.ts";
import { NewTrees } from "./new-trees.ts";
import { ownMailTrees } from "./own-processes.ts";
import { ReportLink } from "./report-link.ts";
import { Rescan } from "./rescan.ts";
import { readState, rememberBoot, type SavedState } from "./saved-state.ts";
import { Tracker } from "./tracker.ts";
import { readUserNames } from "./user-names.ts";
import { VerdictHandler } from "./verdict-handler.ts";

/** A policy and the baselines that come with its roles: both or neither are put into force. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly baselines: readonly RoleBaseline[];
}

export type PolicyResult =
  | ({ readonly ok: true } & LoadedPolicy)
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/** An order of the supervisor's. */
export type WardenOrder = "reload" | "request" | "stop" | "hangup";

export interface WardenOptions {
  /** Names this run through every restart of its processes. */
  readonly run: string;
  readonly config: Config;
  /** Opens the source of events: subscribed when it returns. */
  readonly openSensor: (
    choice: SourceChoice,
    reader: FactsReader,
    lastResort: LastResort | undefined,
  ) => OpenedSensor;
  /** Shows a warning to whoever started treewarden. */
  readonly warn: (text: string) => void;
  readonly loadPolicy: () => PolicyResult;
  /** The end of the pair to the reporter. */
  readonly reportFd: number;
  readonly controlFd: number;
  readonly readOrders: () => readonly WardenOrder[];
  /** The end of the pair to the examiner. */
  readonly examinerFd: number;
  /** Armed while the warden is away from its poll; null without a supervisor. */
  readonly deadMan: { readonly timer: Timer; readonly ns: number } | null;
}

/** Tokens of the poll. */
const SENSOR = 1;
const CONTROL = 2;
const REPORT = 3;
const EXAMINER = 4;

/** The collector gives memory back only when it is told to, and is told when nothing else is to do. */
const COLLECT_NS = 10e9;
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

/** Runs until it is told to stop. Throws if the policy is broken at the start or the source of events fails. */
export async function runWarden(options: WardenOptions, loaded: LoadedPolicy): Promise<void> {
  await new Warden(options, loaded).run();
}

class Warden {
  private readonly options: WardenOptions;
  private readonly poll = new Poll();
  private readonly reader: FactsReader;
  private readonly totals = new Totals();
  private readonly outbox: Outbox;
  private readonly link: ReportLink;
  private readonly forestStore: ForestStore;
  private readonly tracker: Tracker;
  private readonly verdicts: VerdictHandler;
  private readonly newTrees: NewTrees;
  private readonly baseline: BaselineService;
  private readonly rescan = new Rescan();
  private readonly fileWriter = new AtomicFileWriter();
  private readonly source: EventSource;
  private readonly epoch = new Epoch();
  private readonly bootId = bootId();
  private readonly started = realtimeNow();
  private readonly generation = Math.floor(boottimeNow() / 1e6);
  private readonly examiner: ExaminerClient;
  private base: BaseSystem;
  private identify: ReturnType<typeof createIdentifier>;
  private names = readUserNames();

  private stopping = false;
  private collectAt = 0;
  private learnedAt = 0;
  private fault: unknown;

  constructor(options: WardenOptions, { policy, baselines }: LoadedPolicy) {
    this.options = options;
    const { config } = options;
    setProcessName("tw-warden");
    this.reader = new FactsReader({ argumentBytes: config.arguments.limit });
    const boot = rememberBoot(config.state_directory, {
      bootId: this.bootId,
      bootTimeMs: bootTimeMs(),
      firstStartTicks: bootTicks(boottimeNow()),
    });
    const trees = new TreeTotals(this.totals, {
      mode: config.metrics.trees,
      limit: config.metrics.max_trees,
    });
    const stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));
    this.source = new EventSource({
      config,
      poll: this.poll,
      token: SENSOR,
      totals: this.totals,
      epoch: this.epoch,
      open: (choice, lastResort) => options.openSensor(choice, this.reader, lastResort),
    });
    this.outbox = new Outbox({
      fd: options.reportFd,
      totals: this.totals,
      hello: () => this.hello(),
      beforeTotals: () => {
        trees.expire();
        this.tracker.publishLastEvent(wallClockOffset());
      },
    });
    this.link = new ReportLink(this.poll, REPORT, options.reportFd, this.outbox);
    this.base = readBase(config.state_directory) ?? embeddedBase;
    this.identify = createIdentifier({ base: this.base });
    this.examiner = new ExaminerClient(options.examinerFd, this.generation, {
      base: (base) => this.rebase(base),
      examined: (path, examined) => this.baseline.examined(path, examined),
      changed: (what) => this.epoch.raise(what),
    });
    const saved = readState(config.state_directory);
    this.newTrees = new NewTrees(saved?.trees);
    this.tracker = new Tracker(
      {
        identify: (facts) => this.identify(facts),
        totals: this.totals,
        trees,
        suspendedNs: suspendedFor(),
        isKnown: (tree) => this.baseline.isFamiliar(tree),
      },
      {
        onFork: (child) => this.verdicts.onFork(child),
        onExec: (exec) => this.verdicts.onExec(exec),
        onExit: (process, tree, event) => this.verdicts.onExit(process, tree, event),
        onLoss: (event) => this.verdicts.onLoss(event),
      },
    );
    this.forestStore = new ForestStore({
      directory: config.state_directory,
      run: options.run,
      bootId: this.bootId,
      forest: this.tracker.forest,
      newTrees: this.newTrees,
      reader: this.reader,
      fileWriter: this.fileWriter,
      recordChange: (event, details) => this.verdicts.recordChange(event, details),
    });
    const killer = new ProcessKiller(
      this.tracker.forest,
      kernelSignals(this.reader, options.run),
      new KillRate(config.kill.max_per_minute),
      { spareBefore: config.kill.spare_preexisting ? boot.firstStartTicks : 0 },
    );
    this.verdicts = new VerdictHandler({
      policy,
      enforcement: config.enforcement,
      killer,
      outbox: this.outbox,
      totals: this.totals,
      stamp,
      bootTimeMs: boot.bootTimeMs,
      userName: (uid) => this.names(uid),
      newTrees: this.newTrees,
      examined: (facts, wallTime) => this.examiner.lookup(facts, wallTime),
      imageOf: (container) => this.examiner.images.imageOf(container),
      onLoss: () => {
        this.rescan.want(monotonicNow());
        this.baseline.onLoss();
      },
      knowledgeOf: (exec) => this.baseline.lookUp(exec),
      settle: (event) => this.source.settle(event),
    });
    this.showPolicy(policy);
    this.verdicts.settling = this.source.applyWakeupPolicy(policy);
    this.verdicts.wallOffset = wallClockOffset();
    this.verdicts.recordChange("warden.started", {
      "sensor.source": this.source.name,
      "sensor.reason": this.source.why,
      "policy.enforcement": config.enforcement,
      "security_rule.ruleset.name": policy.role,
      "security_rule.version": policy.version,
    });
    this.warnOfPolicy();
    this.baseline = new BaselineService({
      stateDirectory: config.state_directory,
      ofRoles: baselines,
      recordChange: (event, details) => this.verdicts.recordChange(event, details),
      reportLearned: (update) => this.outbox.learned(update),
      now: () => Math.floor((monotonicNow() + this.verdicts.wallOffset) / 1e9),
      imageOf: (container) => this.examiner.images.imageOf(container),
      epoch: this.epoch,
      look: (facts) => this.examiner.lookup(facts, realtimeNow() / 1e6, true),
      own: config.mail.to.length > 0 ? ownMailTrees() : [],
    });
    this.baseline.handleRequests();
    this.firstScan(saved);
    // What the warden before it had found and not told yet.
    if (this.baseline.isLearning) this.learnRunning();
    // Policies, names and the first look at /proc leave many times their size behind.
    Bun.gc(true);
  }

  async run(): Promise<void> {
    const { deadMan } = this.options;
    this.poll.add(this.options.controlFd, CONTROL, EPOLLIN);
    this.poll.add(this.options.examinerFd, EXAMINER, EPOLLIN);
    try {
      while (!this.stopping) {
        const timeout = this.timeout();
        deadMan?.timer.disarm();
        const ready = this.poll.wait(timeout);
        deadMan?.timer.armOnce(deadMan.ns);
        for (let i = 0; i < ready; i++) this.serve(this.poll.tokens[i] ?? 0);
        this.doWhatIsDue(ready === 0);
        this.link.flush();
        if (this.fileWriter.busy) await this.fileWriter.runEventLoop();
      }
      // What the source has gathered and told nobody yet.
      if (this.fault === undefined) this.drain();
    } finally {
      this.source[Symbol.dispose]();
    }
    await this.shutdown();
    if (this.fault !== undefined) throw this.fault;
  }

  private serve(token: number): void {
    if (token === SENSOR) this.drain();
    else if (token === CONTROL) for (const order of this.options.readOrders()) this.carryOut(order);
    else if (token === EXAMINER) this.examiner.receive();
    else {
      this.link.receive(() => this.health());
      this.source.watch(this.outbox.watched);
    }
  }

  /** Packages have changed, and with them what is `base`: for what is run from now on. */
  private rebase(base: BaseSystem): void {
    if (isSameBase(base, this.base)) return;
    this.base = base;
    this.identify = createIdentifier({ base });
    this.epoch.raise("base system");
    this.verdicts.recordChange("base.changed", { "base.programs": base.files.size });
    try {
      writeBase(this.options.config.state_directory, base);
    } catch (error) {
      this.verdicts.recordChange("base.not_saved", { "error.message": String(error) });
    }
  }

  private drain(): void {
    this.verdicts.wallOffset = wallClockOffset();
    this.tracker.forest.suspendedNs = suspendedFor();
    this.forestStore.changed();
    try {
      this.source.drain((event) => this.take(event));
    } catch (error) {
      this.switchSensor(error);
    }
  }

  /** One event that treewarden cannot handle is a fault of its own: told, and no reason to lose the others. */
  private take(event: ProcessEvent): void {
    try {
      this.tracker.handle(event);
    } catch (error) {
      this.verdicts.recordChange("warden.fault", {
        "event.kind": event.kind,
        "error.message": stackOf(error).slice(0, FAULT_LENGTH),
      });
    }
  }

  /**
   * The sensor has failed for good. Another one takes over and the forest stays; if none may, the warden ends with the
   * failure and the supervisor starts it again.
   */
  private switchSensor(failure: unknown): void {
    const { verdicts } = this;
    verdicts.recordChange("sensor.failed", {
      "sensor.source": this.source.name,
      "error.message": String(failure),
    });
    try {
      const source = this.source.replace(failure);
      verdicts.settling = this.source.applyWakeupPolicy(verdicts.policy);
      verdicts.recordChange("sensor.switched", {
        "sensor.source": this.source.name,
        "sensor.reason": this.source.why,
      });
      this.warnOfPolicy();
      verdicts.onLoss({ kind: "loss", source, time: monotonicNow(), reason: "switch", count: undefined });
    } catch (error) {
      this.fault = error;
      this.stopping = true;
    }
  }

  private carryOut(order: WardenOrder): void {
    if (order === "stop" || order === "hangup") this.stopping = true;
    if (order === "reload") this.reload();
    if (order === "request" && this.baseline.handleRequests()) this.learnRunning();
  }

  /** A daemon that goes on running starts nothing that a learning could see: what is alive when it begins belongs to it. */
  private learnRunning(): void {
    for (const { pid, facts } of scanLive(this.reader)) {
      const { startTicks } = facts;
      if (startTicks === undefined) continue;
      const process = this.tracker.forest.find({ pid, startTicks, startExact: true });
      if (process !== undefined && !process.kernelThread) this.baseline.observe(process.lineage, facts);
    }
  }

  /** Rules that the sensor in use cannot decide are no error of the policy's: another host may have another sensor. */
  private warnOfPolicy(): void {
    const source = this.source.name;
    const warnings = neverMatching(this.verdicts.policy, source).map((rule) =>
      neverMatchingText(rule, source),
    );
    if (warnings.length === 0) return;
    for (const text of warnings) this.options.warn(text);
    this.verdicts.recordChange("policy.warning", { "sensor.source": source, "policy.warnings": warnings });
  }

  private reload(): void {
    this.verdicts.wallOffset = wallClockOffset();
    this.names = readUserNames();
    this.epoch.raise("users");
    const result = this.options.loadPolicy();
    this.baseline.reload(result.ok ? result.baselines : undefined);
    if (!result.ok) {
      this.totals.counter("policyLoadFailures", {}).add(1);
      const errors = result.errors.map(formatPolicyError);
      this.verdicts.recordChange("policy.rejected", {
        "policy.errors": errors,
        "security_rule.version": this.verdicts.policy.version,
      });
      return;
    }
    this.hidePolicy(this.verdicts.policy);
    this.verdicts.policy = result.policy;
    this.epoch.raise("policy");
    this.verdicts.settling = this.source.applyWakeupPolicy(result.policy);
    this.showPolicy(result.policy);
    this.verdicts.recordChange("policy.loaded", {
      "security_rule.ruleset.name": result.policy.role,
      "security_rule.version": result.policy.version,
    });
    this.warnOfPolicy();
  }

  private firstScan(saved: SavedState | undefined): void {
    const time = monotonicNow();
    const restored = this.forestStore.restore(saved);
    const { found } = this.tracker.reconcile(
      scanLive(this.reader, this.source.sensor),
      time,
      restored?.processes,
    );
    restored?.release();
    if (saved?.run === this.options.run) this.countRestart(restored?.processes, found.length, time);
  }

  /** A warden of this run died: what started and ended meanwhile are events that nobody saw. At least so many were lost. */
  private countRestart(before: RestoredForest["processes"] | undefined, found: number, time: number): void {
    const known = before?.size ?? 0;
    let still = 0;
    for (const process of before?.values() ?? [])
      if (this.tracker.forest.find(process) !== undefined) still += 1;
    const count = known - still + found - still;
    const source = this.source.name;
    if (count > 0) this.verdicts.onLoss({ kind: "loss", source, time, reason: "restart", count });
  }

  /** Repairs the forest after a loss. */
  private resync(): void {
    const time = monotonicNow();
    this.verdicts.wallOffset = realtimeNow() - time;
    this.tracker.forest.suspendedNs = suspendedFor();
    const scan = scanLive(this.reader, this.source.sensor);
    const { found, ended, missing, changed } = this.tracker.reconcile(scan, time);
    // Before more events are taken: a loss that they tell of may lie behind this scan.
    this.rescan.done(time, monotonicNow());
    for (let i = 0; i < DRAINS; i += 1) this.drain();
    const forgotten = this.tracker.forget(missing);
    this.totals.counter("resyncs", {}).add(1);
    this.verdicts.recordChange("sensor.resync", {
      "sensor.source": this.source.name,
      "resync.found": found.length,
      "resync.ended": ended.length + forgotten.length,
      "resync.changed": changed.length,
    });
  }

  /** Milliseconds until something is due, -1 if nothing is: an idle host wakes nobody. */
  private timeout(): number {
    const now = monotonicNow();
    let ms = this.link.due;
    const sooner = (ns: number | undefined): void => {
      if (ns === undefined) return;
      const other = Math.max(0, Math.ceil(ns / 1e6));
      if (ms < 0 || other < ms) ms = other;
    };
    sooner(this.rescan.dueIn(now));
    sooner(this.forestStore.dueIn(now));
    if (this.collectAt > 0) sooner(this.collectAt - now);
    if (this.fileWriter.busy) sooner(FILING_MS * 1e6);
    if (this.baseline.hasReports) sooner(this.learnedAt - now);
    const left = this.baseline.secondsLeft();
    if (left !== undefined) sooner(Math.min(left, LONGEST_WAIT_S) * 1e9);
    const end = this.baseline.exclusionEndsIn(realtimeNow());
    if (end !== undefined) sooner(Math.min(end, LONGEST_WAIT_S * 1e9));
    return ms;
  }

  private doWhatIsDue(idle: boolean): void {
    const now = monotonicNow();
    if (this.rescan.dueIn(now) === 0) this.resync();
    if (this.forestStore.dueIn(now) === 0) this.forestStore.save(now);
    if ((this.baseline.hasReports && now >= this.learnedAt) || this.baseline.secondsLeft() === 0) {
      this.baseline.reportLearned();
      this.learnedAt = now + LEARNED_NS;
    }
    this.baseline.endExclusions(realtimeNow());
    if (!idle && this.collectAt === 0) this.collectAt = now + COLLECT_NS;
    if (this.collectAt > 0 && now >= this.collectAt) {
      Bun.gc(true);
      this.collectAt = 0;
    }
  }

  private async shutdown(): Promise<void> {
    this.baseline.reportLearned();
    this.verdicts.recordChange("warden.stopped", { "sensor.source": this.source.name });
    this.forestStore.save(monotonicNow());
    this.link.shutdown(FAREWELL_NS);
    await this.fileWriter.settle(LAST_WRITE_MS);
    this.options.deadMan?.timer.disarm();
    this.poll[Symbol.dispose]();
  }

  private health(): { alive: boolean; reason: string } {
    return this.stopping ? { alive: false, reason: "stopping" } : { alive: true, reason: "" };
  }

  private hello(): Hello {
    const policy = this.verdicts?.policy;
    return {
      type: "hello",
      run: this.options.run,
      generation: this.generation,
      version,
      started: new Date(this.started / 1e6).toISOString(),
      source: this.source.name,
      enforcement: this.options.config.enforcement,
      policies: policy === undefined ? [] : [policySummary(policy)],
    };
  }

  private showPolicy(policy: Policy): void {
    this.totals.gauge("policyInfo", policySummary(policy)).set(1);
  }

  private hidePolicy(policy: Policy): void {
    this.totals.remove("policyInfo", policySummary(policy));
  }
}

function policySummary(policy: Policy): { role: string; version: string; digest: string } {
  return { role: policy.role, version: policy.version, digest: policy.digest };
}
