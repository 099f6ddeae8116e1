// The hot path: one blocking loop over the kernel's events, the supervisor's orders and the reporter's wire.
// The runtime's own event loop turns only while a file is being written (filing.ts), so there are no timers, no other
// promises and no console.
import type { Config, SourceChoice } from "../config/config.ts";
import { version } from "../config/version.ts";
import { Killer } from "../enforcement/kill.ts";
import { KillRate } from "../enforcement/rate.ts";
import { type BaseSystem, embeddedBase } from "../fingerprint/base.ts";
import { createIdentifier } from "../fingerprint/identify.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import type { RestoredForest } from "../forest/saved.ts";
import { boottimeNow, monotonicNow, realtimeNow, suspendedFor } from "../linux/clock.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { bootId, setProcessName } from "../linux/process.ts";
import type { Timer } from "../linux/timerfd.ts";
import { formatPolicyError, type PolicyError } from "../policy/document.ts";
import type { Policy } from "../policy/policy.ts";
import type { RoleBaseline } from "../policy/shipped.ts";
import { Outbox } from "../report/outbox.ts";
import { recordUids } from "../report/stamp.ts";
import { Totals } from "../report/totals.ts";
import { TreeTotals } from "../report/trees.ts";
import type { Hello } from "../report/wire.ts";
import type { ProcessEvent } from "../sensor/event.ts";
import { FactsReader } from "../sensor/facts.ts";
import type { OpenedSensor } from "../sensor/open.ts";
import { fileOfBase, isSameBase, readBase } from "./basefile.ts";
import { Collection } from "./collection.ts";
import { Examination } from "./examination.ts";
import { Filing, writeNow } from "./filing.ts";
import { Judge } from "./judge.ts";
import { Keeper } from "./keeper.ts";
import { kernelSignals } from "./kernel.ts";
import { Knowing } from "./knowing.ts";
import { NewTrees } from "./newtrees.ts";
import { ownMailTrees } from "./ours.ts";
import { ReportLink } from "./reportlink.ts";
import { Rescan } from "./rescan.ts";
import { scanLive } from "./scan.ts";
import { Source } from "./source.ts";
import { readState, rememberBoot, type SavedState } from "./state.ts";
import { Tracker } from "./tracker.ts";
import { readUserNames } from "./users.ts";

/** A policy and the baselines that come with its roles: both or neither are put into force. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly baselines: readonly RoleBaseline[];
}

export type PolicyResult =
  | ({ readonly ok: true } & LoadedPolicy)
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/** An order of the supervisor's. */
export type Order = "reload" | "request" | "stop" | "hangup";

export interface WardenOptions {
  /** Names this run through every restart of its processes. */
  readonly run: string;
  readonly config: Config;
  /** Opens the source of events: subscribed when it returns. */
  readonly openSensor: (choice: SourceChoice, reader: FactsReader) => OpenedSensor;
  readonly loadPolicy: () => PolicyResult;
  /** The end of the pair to the reporter. */
  readonly reportFd: number;
  readonly controlFd: number;
  readonly readOrders: () => readonly Order[];
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
  private readonly totals = new Totals(["exportFailures"]);
  private readonly outbox: Outbox;
  private readonly link: ReportLink;
  private readonly keeper: Keeper;
  private readonly tracker: Tracker;
  private readonly judge: Judge;
  private readonly newTrees: NewTrees;
  private readonly knowing: Knowing;
  private readonly rescan = new Rescan();
  private readonly filing = new Filing();
  private readonly source: Source;
  private readonly collection: Collection;
  private readonly bootId = bootId();
  private readonly started = realtimeNow();
  private readonly generation = Math.floor(boottimeNow() / 1e6);
  private readonly examination: Examination;
  private base: BaseSystem;
  private identify: ReturnType<typeof createIdentifier>;
  private names = readUserNames();

  private judging = false;
  private stopping = false;
  private learnedAt = 0;
  private fault: unknown;

  constructor(options: WardenOptions, { policy, baselines }: LoadedPolicy) {
    this.options = options;
    const { config } = options;
    setProcessName("tw-warden");
    this.reader = new FactsReader({ argumentBytes: config.arguments.limit });
    const boot = rememberBoot(config.state_directory, {
      bootId: this.bootId,
      bootTimeMs: Math.round((realtimeNow() - boottimeNow()) / 1e6),
      firstStartTicks: Math.floor(boottimeNow() / 1e7),
    });
    const trees = new TreeTotals(this.totals, {
      mode: config.metrics.trees,
      limit: config.metrics.max_trees,
    });
    const stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));
    this.source = new Source({
      config,
      poll: this.poll,
      token: SENSOR,
      totals: this.totals,
      open: (choice) => options.openSensor(choice, this.reader),
    });
    this.outbox = new Outbox({
      fd: options.reportFd,
      totals: this.totals,
      hello: () => this.hello(),
      beforeTotals: () => {
        trees.expire();
        this.tracker.tellLastEvent(realtimeNow() - monotonicNow());
      },
    });
    this.link = new ReportLink(this.poll, REPORT, options.reportFd, this.outbox);
    this.base = readBase(config.state_directory) ?? embeddedBase;
    this.identify = createIdentifier({ base: this.base });
    this.examination = new Examination(options.examinerFd, this.generation, {
      base: (base) => this.rebase(base),
      examined: (path, examined) => this.knowing.examined(path, examined),
    });
    const saved = readState(config.state_directory);
    this.newTrees = new NewTrees(saved?.trees);
    this.tracker = new Tracker(
      {
        identify: (facts) => this.identify(facts),
        totals: this.totals,
        trees,
        suspendedNs: suspendedFor(),
        isKnown: (tree) => this.knowing.isFamiliar(tree),
      },
      {
        forked: (child) => this.judge.forked(child),
        execed: (exec) => this.judge.execed(exec),
        exited: (process, tree, event) => this.judge.exited(process, tree, event),
        lost: (event) => this.judge.lost(event),
      },
    );
    this.keeper = new Keeper({
      directory: config.state_directory,
      run: options.run,
      bootId: this.bootId,
      forest: this.tracker.forest,
      newTrees: this.newTrees,
      reader: this.reader,
      filing: this.filing,
      tell: (event, details) => this.judge.tell(event, details),
    });
    const killer = new Killer(
      this.tracker.forest,
      kernelSignals(this.reader, options.run),
      new KillRate(config.kill.max_per_minute),
      { spareBefore: config.kill.spare_preexisting ? boot.firstStartTicks : 0 },
    );
    this.judge = new Judge({
      policy,
      enforcement: config.enforcement,
      killer,
      outbox: this.outbox,
      totals: this.totals,
      stamp,
      bootTimeMs: boot.bootTimeMs,
      userName: (uid) => this.names(uid),
      newTrees: this.newTrees,
      examined: (facts, wallTime) => this.examination.lookup(facts, wallTime),
      imageOf: (container) => this.examination.images.of(container),
      onLoss: () => {
        this.rescan.want(monotonicNow());
        this.knowing.lost();
      },
      knowledgeOf: (exec) => this.knowing.ask(exec),
      settle: (event) => this.source.settle(event),
    });
    this.showPolicy(policy);
    this.judge.settling = this.source.hurry(policy);
    this.judge.wallOffset = realtimeNow() - monotonicNow();
    this.judge.tell("warden.started", {
      "sensor.source": this.source.name,
      "sensor.reason": this.source.why,
      "policy.enforcement": config.enforcement,
      "security_rule.ruleset.name": policy.role,
      "security_rule.version": policy.version,
    });
    this.knowing = new Knowing({
      stateDirectory: config.state_directory,
      ofRoles: baselines,
      tell: (event, details) => this.judge.tell(event, details),
      hasRoom: () => this.outbox.hasRoom,
      now: () => Math.floor((monotonicNow() + this.judge.wallOffset) / 1e9),
      imageOf: (container) => this.examination.images.of(container),
      look: (facts) => this.examination.lookup(facts, realtimeNow() / 1e6, true),
      own: config.mail.to.length > 0 ? ownMailTrees() : [],
      // Until the first program is judged the disk may be waited for: a request that was taken is not lost by a kill -9.
      write: (...file) => (this.judging ? this.filing.write(...file) : writeNow(...file)),
    });
    this.knowing.obeyRequests();
    this.firstScan(saved);
    // What the warden before it had found and not told yet.
    if (this.knowing.learns) this.learnLiving();
    // Policies, names and the first look at /proc leave many times their size behind.
    Bun.gc(true);
    this.collection = new Collection({
      collect: () => Bun.gc(true),
      resident: () => process.memoryUsage.rss(),
    });
  }

  async run(): Promise<void> {
    const { deadMan } = this.options;
    this.judging = true;
    this.poll.add(this.options.controlFd, CONTROL, EPOLLIN);
    this.poll.add(this.options.examinerFd, EXAMINER, EPOLLIN);
    try {
      while (!this.stopping) {
        const timeout = this.timeout();
        deadMan?.timer.disarm();
        const ready = this.poll.wait(timeout);
        deadMan?.timer.armOnce(deadMan.ns);
        for (let i = 0; i < ready; i++) this.serve(this.poll.tokens[i] ?? 0);
        this.doWhatIsDue();
        this.link.flush();
        // Last, when every verdict of this turn has left.
        if (ready > 0) this.collection.worked(monotonicNow());
        else this.collection.idle(monotonicNow());
        if (this.filing.busy) await this.filing.turn();
      }
      // What the source has gathered and told nobody yet.
      if (this.fault === undefined) this.drain();
    } finally {
      this.source[Symbol.dispose]();
    }
    await this.farewell();
    if (this.fault !== undefined) throw this.fault;
  }

  private serve(token: number): void {
    if (token === SENSOR) this.drain();
    else if (token === CONTROL) for (const order of this.options.readOrders()) this.obey(order);
    else if (token === EXAMINER) this.examination.receive();
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
    this.judge.tell("base.changed", { "base.programs": base.files.size });
    const { path, text } = fileOfBase(this.options.config.state_directory, base);
    this.filing.write(path, text, (error) =>
      this.judge.tell("base.not_saved", { "error.message": String(error) }),
    );
  }

  private drain(): void {
    this.judge.wallOffset = realtimeNow() - monotonicNow();
    this.tracker.forest.suspendedNs = suspendedFor();
    this.keeper.changed();
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
      const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.judge.tell("warden.fault", {
        "event.kind": event.kind,
        "error.message": why.slice(0, FAULT_LENGTH),
      });
    }
  }

  /** The source has failed for good: another one takes over, the forest stays. If there is none, the supervisor starts anew. */
  private switchSensor(failure: unknown): void {
    const { judge } = this;
    judge.tell("sensor.failed", { "sensor.source": this.source.name, "error.message": String(failure) });
    try {
      const source = this.source.replace();
      judge.settling = this.source.hurry(judge.policy);
      judge.tell("sensor.switched", { "sensor.source": this.source.name, "sensor.reason": this.source.why });
      judge.lost({ kind: "loss", source, time: monotonicNow(), reason: "switch", count: undefined });
    } catch (error) {
      this.fault = error;
      this.stopping = true;
    }
  }

  private obey(order: Order): void {
    if (order === "stop" || order === "hangup") this.stopping = true;
    if (order === "reload") this.reload();
    if (order === "request" && this.knowing.obeyRequests()) this.learnLiving();
  }

  /** A daemon that goes on running starts nothing that a learning could see: what is alive when it begins belongs to it. */
  private learnLiving(): void {
    for (const { pid, facts } of scanLive(this.reader)) {
      const process = this.tracker.forest.get(pid);
      if (process !== undefined && !process.kernelThread) this.knowing.learn(process.lineage, facts);
    }
  }

  private reload(): void {
    this.judge.wallOffset = realtimeNow() - monotonicNow();
    this.names = readUserNames();
    const result = this.options.loadPolicy();
    this.knowing.reload(result.ok ? result.baselines : undefined);
    if (!result.ok) {
      this.totals.counter("policyLoadFailures", {}).add(1);
      const errors = result.errors.map(formatPolicyError);
      this.judge.tell("policy.rejected", {
        "policy.errors": errors,
        "security_rule.version": this.judge.policy.version,
      });
      return;
    }
    this.hidePolicy(this.judge.policy);
    this.judge.policy = result.policy;
    this.judge.settling = this.source.hurry(result.policy);
    this.showPolicy(result.policy);
    this.judge.tell("policy.loaded", {
      "security_rule.ruleset.name": result.policy.role,
      "security_rule.version": result.policy.version,
    });
  }

  private firstScan(saved: SavedState | undefined): void {
    const time = monotonicNow();
    const restored = this.keeper.restore(saved);
    const { found } = this.tracker.reconcile(
      scanLive(this.reader, this.source.sensor),
      time,
      restored?.processes,
    );
    restored?.release();
    if (saved?.run === this.options.run) this.countRestart(restored?.processes, found.length, time);
  }

  /** A warden of this run died: what started and ended meanwhile are events that nobody saw. At least so many were lost. */
  private countRestart(
    before: RestoredForest<Runnable>["processes"] | undefined,
    found: number,
    time: number,
  ): void {
    const known = before?.size ?? 0;
    let still = 0;
    for (const pid of before?.keys() ?? []) if (this.tracker.forest.get(pid) !== undefined) still += 1;
    const count = known - still + found - still;
    const source = this.source.name;
    if (count > 0) this.judge.lost({ kind: "loss", source, time, reason: "restart", count });
  }

  /** Repairs the forest after a loss. */
  private resync(): void {
    const time = monotonicNow();
    this.judge.wallOffset = realtimeNow() - time;
    this.tracker.forest.suspendedNs = suspendedFor();
    const scan = scanLive(this.reader, this.source.sensor);
    const { found, ended, missing, changed } = this.tracker.reconcile(scan, time);
    // Before more events are taken: a loss that they tell of may lie behind this scan.
    this.rescan.done(time, monotonicNow());
    for (let i = 0; i < DRAINS; i += 1) this.drain();
    const forgotten = this.tracker.forget(missing);
    this.totals.counter("resyncs", {}).add(1);
    this.judge.tell("sensor.resync", {
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
    sooner(this.keeper.dueIn(now));
    sooner(this.collection.dueIn(now));
    if (this.filing.busy) sooner(FILING_MS * 1e6);
    if (this.knowing.hasReports) sooner(this.learnedAt - now);
    const left = this.knowing.secondsLeft();
    if (left !== undefined) sooner(Math.min(left, LONGEST_WAIT_S) * 1e9);
    return ms;
  }

  private doWhatIsDue(): void {
    const now = monotonicNow();
    if (this.rescan.dueIn(now) === 0) this.resync();
    if (this.keeper.dueIn(now) === 0) this.keeper.save(now);
    if ((this.knowing.hasReports && now >= this.learnedAt) || this.knowing.secondsLeft() === 0) {
      this.knowing.tellLearned();
      this.learnedAt = now + LEARNED_NS;
    }
  }

  private async farewell(): Promise<void> {
    // The forest first: without it the next warden does not know the lineages, and there may be no time for both.
    this.keeper.save(monotonicNow());
    this.knowing.tellLearned();
    this.judge.tell("warden.stopped", { "sensor.source": this.source.name });
    this.link.farewell(FAREWELL_NS);
    await this.filing.settle(LAST_WRITE_MS);
    this.options.deadMan?.timer.disarm();
    this.poll[Symbol.dispose]();
  }

  private health(): { alive: boolean; reason: string } {
    return this.stopping ? { alive: false, reason: "stopping" } : { alive: true, reason: "" };
  }

  private hello(): Hello {
    const policy = this.judge?.policy;
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
