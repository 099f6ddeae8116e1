// The eBPF sensor: forks, execs and exits of every process in the order of one ring buffer. The program, arguments,
// users and context of an exec are read inside the kernel before the program runs. docs/sensors.md has its limits.

import { withLockedMemory } from "../../linux/bpf/locked-memory.ts";
import { waitForPrograms } from "../../linux/bpf/map.ts";
import { type ProgramInfo, programInfo } from "../../linux/bpf/program.ts";
import { type RecordSink, type RingMemory, RingReader } from "../../linux/bpf/ring.ts";
import type { RingMapping } from "../../linux/bpf/ring-mapping.ts";
import { pinned } from "../../linux/bpf/syscall.ts";
import { monotonicNow, realtimeNow } from "../../linux/clock.ts";
import { EPOLLET, EPOLLIN, Poll } from "../../linux/epoll.ts";
import { Timer } from "../../linux/timerfd.ts";
import type { CarriedSignals, CondemnedProcesses } from "../condemned.ts";
import type { ExecEvent, ProcessEvent, Sensor, SignalSink, WakeupPolicy } from "../event.ts";
import type { NetworkDenials } from "../network/denial.ts";
import type { NetworkWatch } from "../network/watch.ts";
import type { ObjectKeeper } from "../object-keeper.ts";
import type { Prevention } from "../prevention/closed-set.ts";
import type { PreventionOptions } from "../prevention/options.ts";
import { schedule, scheduleOrdinarily } from "../schedule.ts";
import { CondemnedPrograms, digestOfCondemned } from "./condemned/programs.ts";
import { missedEvents } from "./copies.ts";
import { Decoder, type EbpfExecEvent } from "./decode.ts";
import { KeptGroups } from "./kept-objects.ts";
import { type KernelLayout, readKernelLayout } from "./kernel.ts";
import { NO_PID, sharedLayout, WATCHED_PIDS, wakeupPolicies } from "./layout.ts";
import { digestOfPrograms, LoadedPrograms, type LoadOptions } from "./load.ts";
import { NetworkSource } from "./network/source.ts";
import { ReadPosition } from "./read-position.ts";
import { explainRefusal, whyNotPrevented } from "./refusal.ts";

export interface EbpfOptions {
  /** Maximum bytes of arguments, a multiple of 8. Longer arguments are cut and marked. */
  readonly argumentBytes?: number;
  /** Bytes of the ring: a power of two. An exec takes some 250, a fork 48, an exit 32. */
  readonly bufferBytes?: number;
  /** Milliseconds after which waiting events are read. By default that depends on the wake-up policy and on `live`. */
  readonly flushIntervalMs?: number;
  /** The environment variables that are kept while the environment is read; see `Sensor.readEnvironment`. */
  readonly environmentNames?: readonly string[] | undefined;
  /** Keeps the maps and programs for the next process; by default they end with this one. */
  readonly keeper?: ObjectKeeper | undefined;
  /** Directory of the control group whose network is watched. By default the root of the unified hierarchy. */
  readonly networkCgroup?: string;
  /** What processes execute can be prevented. */
  readonly prevention?: PreventionOptions | undefined;
  /** Milliseconds after the last `NetworkDenials.beat` from which nothing is denied; 0: never. Default: 15 s. */
  readonly denialLimitMs?: number | undefined;
}

/**
 * Room for about 6,000 short-lived processes: more than a second of the fastest storm of ordinary programs.
 */
export const BUFFER_BYTES = 2 << 20;
/**
 * Room for 1,300 execs with the longest arguments and paths (12 KiB), a third of a second of the fastest storm of them,
 * or for six seconds of one of ordinary programs.
 */
export const ENFORCING_BUFFER_BYTES = 16 << 20;
const ARGUMENT_BYTES = 4096;
/** Long enough that many events share a wake-up; short enough that a live view shows an exec within 100 ms. */
const FLUSH_INTERVAL_MS = 50;
/** Interval without a live view and without rules that kill or deny. A longer one saves nothing. */
const LONG_FLUSH_INTERVAL_MS = 100;
/** Interval while the children of killed processes are looked for: what has been forked before its parent died. */
const SWEEP_INTERVAL_MS = 1;
/** One drain emits about this many bytes, some thousands of events, and leaves the rest to the next. */
const DRAIN_BYTES = 1 << 20;
/** After a flush interval with at most this many events, the timer stops and the next event wakes the reader. */
const FEW_EVENTS = 3;
/** Interval, in ns, at which the kernel's count of skipped program runs is read. */
const MISSED_INTERVAL_NS = 1e9;

/** So much is read again at most: some 20,000 execs, which takes half a second. */
const REPEATED_BYTES = 4 << 20;

const RING = 0;
const TICK = 1;

/** Loads and attaches the programs. Throws SensorUnavailable with a hint. Callers must scan /proc after it. */
export function openEbpfSensor(options: EbpfOptions = {}): EbpfSensor {
  try {
    return withLockedMemory(() => new EbpfSensor(options));
  } catch (error) {
    throw explainRefusal(error);
  }
}

export class EbpfSensor implements Sensor {
  readonly source = "ebpf";
  preventionProblem: string | undefined;

  private readonly stack = new DisposableStack();
  private readonly poll: Poll;
  private readonly timer: Timer;
  private readonly fixedIntervalMs: number | undefined;
  private readonly loaded: LoadedPrograms;
  private readonly progress: ReadPosition;
  private readonly reader: RingReader;
  private readonly decoder: Decoder;
  private readonly network: NetworkSource;
  private readonly kept: KeptGroups;
  private readonly kernel: KernelLayout;
  private condemnedPrograms: CondemnedPrograms | undefined;
  private readonly page: Uint32Array;
  private readonly key = pinned(8);
  private readonly keyView = new DataView(this.key.buffer);
  private readonly value = pinned(4);
  private watched = true;
  private sweeps = false;
  private mayAct = false;
  /** The timer runs and events wait for it. Otherwise the next event wakes the reader. */
  private isTimed = false;
  private sinceTick = 0;
  private signals: SignalSink = { signal: () => undefined, lost: () => undefined };
  private lostSignalsSeen = 0;
  /** The mark at the end: the warden saves its forest after that, when the page is not mapped any more. */
  private lastMark: string | undefined;
  private lostSeen = 0;
  private missedSeen = 0;
  private missedAsked = 0;
  /** The epochs of the process before this one were less than this. */
  private epochsBefore = 0;

  constructor(options: EbpfOptions) {
    const kernel = readKernelLayout();
    this.kernel = kernel;
    const ringBytes = options.bufferBytes ?? BUFFER_BYTES;
    using opened = new DisposableStack();
    const environmentNames = options.environmentNames ?? [];
    const argsBytes = options.argumentBytes ?? ARGUMENT_BYTES;
    // It is disposed of last: what nobody has taken is closed after what was.
    const kept = opened.use(new KeptGroups(options.keeper));
    this.kept = kept;
    this.loaded = opened.use(
      this.load(kernel, kept, { ringBytes, argsBytes, environmentNames, prevention: options.prevention }),
    );
    this.timer = opened.use(new Timer());
    this.poll = opened.use(new Poll(2));
    // Edge-triggered: while events wait, the ring is always readable, and only wake-ups of the kernel must count.
    this.poll.add(this.loaded.ringMap.fd, RING, EPOLLIN | EPOLLET);
    this.poll.add(this.timer.fd, TICK, EPOLLIN);
    this.fixedIntervalMs = options.flushIntervalMs;
    this.page = this.loaded.page.words;
    const { isInherited } = this.loaded;
    this.progress = new ReadPosition(this.loaded.page.numbers, !isInherited);
    const { first } = this.progress;
    this.reader = new RingReader(this.loaded.ring, first, undefined, this.progress);
    if (isInherited) {
      // The process before has kept the last record from being released, and with it all wake-ups.
      this.loaded.ring.release(first);
      this.lostSeen = this.read(sharedLayout.lostReported);
      this.missedSeen = this.read(sharedLayout.missedReported);
      // What was settled in the epochs of the process before is no longer settled.
      this.epochsBefore = this.read(sharedLayout.epoch) + 1;
    }
    this.network = opened.use(
      new NetworkSource(this.loaded.ringMap, options.networkCgroup, kept, options.denialLimitMs),
    );
    this.decoder = new Decoder({
      audit: kernel.task.loginuid !== undefined && kernel.task.sessionid !== undefined,
      cgroups: kernel.cgroup !== undefined,
      environmentNames,
      onExit: (pid) => this.exited(pid),
      sessions: this.network.sessions,
    });
    this.stack.use(opened.move());
    this.watchSignals([], this.signals);
    this.lostSignalsSeen = this.read(sharedLayout.lostSignals);
    kept.keep("events", this.loaded.descriptors);
  }

  /** See `Sensor.isContinued`. */
  get isContinued(): boolean {
    return this.loaded.isInherited;
  }

  /** See `Sensor.mark`. What was lost is part of it: of events with gaps the forest cannot be made again. */
  get mark(): string {
    return this.lastMark ?? `${this.progress.mark} ${this.lost()}`;
  }

  /** See `Sensor.since`. */
  since(mark: string): ((sink: (event: ProcessEvent) => void) => void) | undefined {
    const { ring } = this.loaded;
    const { first } = this.progress;
    const position = this.progress.positionOf(mark);
    if (!this.isContinued || position === undefined || !mark.endsWith(` ${this.lost()}`)) return undefined;
    // The kernel overwrites nothing behind the consumer position, once the programs that have read an older one are done.
    ring.release(position);
    waitForPrograms();
    if (ring.producer() - position > Math.min(ring.size / 2, REPEATED_BYTES)) {
      ring.release(first);
      return undefined;
    }
    return (sink) => {
      const reader = new RingReader(pastOf(ring, first), position);
      this.decoder.realtime = realtimeNow() - monotonicNow();
      const repeat: RecordSink = (bytes, words, start, end) =>
        this.decoder.decode(bytes, words, start, end, sink);
      while (reader.drain(repeat, DRAIN_BYTES)) {}
      ring.release(first);
      // What was recorded meanwhile has woken nobody.
      this.wakeAfter(1);
    };
  }

  get fd(): number {
    return this.poll.fd;
  }

  drain(sink: (event: ProcessEvent) => void, onHandled: () => void = () => undefined): void {
    this.progress.onHandled = onHandled;
    const now = monotonicNow();
    this.decoder.realtime = realtimeNow() - now;
    this.poll.wait(0);
    const ticked = this.isTimed && this.timer.read() > 0;
    const signals = this.read(sharedLayout.signalsMade);
    this.network.beginReading();
    // Arm the timer before emitting, as the sink may throw: the record that is held back causes no wake-up.
    if (ticked || !this.isTimed) this.wakeAfter(this.flushIntervalMs * 1e6);
    let unfinished = this.readRing(sink, true);
    if (ticked && !unfinished && this.sinceTick <= FEW_EVENTS) {
      unfinished = this.readRing(sink, false);
      this.isTimed = false;
      this.timer.disarm();
    }
    if (unfinished) this.wakeAfter(1);
    else this.page[sharedLayout.signalsRead >>> 2] = signals;
    if (ticked) this.sinceTick = 0;
    this.emitLoss(now, sink);
    this.network.tick(now, sink);
  }

  get live(): boolean {
    return this.watched;
  }

  set live(on: boolean) {
    const before = this.flushIntervalMs;
    this.watched = on;
    this.shortenFlush(before);
  }

  exited(pid: number): void {
    this.network.exited(pid);
    this.prevention?.exited(pid);
    this.condemnedPrograms?.exited(pid);
  }

  setWakeupPolicy(policy: WakeupPolicy): void {
    // The programs kept no lineages until now: what is left of an earlier time is out of date.
    const isUnsettled = this.page[sharedLayout.wakeupPolicy >>> 2] === wakeupPolicies.unsettled;
    if (policy === "unsettled" && !isUnsettled) this.loaded.lineages.clear();
    this.page[sharedLayout.wakeupPolicy >>> 2] = wakeupPolicies[policy];
    const before = this.flushIntervalMs;
    this.mayAct = policy !== "none";
    this.shortenFlush(before);
    // Real-time priority only where a kill or a denial depends on being early.
    if (policy === "none") scheduleOrdinarily();
    else schedule("realtime");
  }

  /** See `Sensor.settle`. Returns false if the kernel does not take the key; such execs then still wake the reader. */
  settle(event: ExecEvent): boolean {
    const key = settleKeyOf(event);
    if (key === 0) return false;
    this.keyView.setBigUint64(0, BigInt(key), true);
    return this.loaded.settled.update(this.key, this.value);
  }

  readEnvironment(on: boolean): void {
    this.page[sharedLayout.environment >>> 2] = on ? 1 : 0;
  }

  /** Sets the epoch, which is part of every settle key: keys settled in another epoch no longer match. */
  setEpoch(epoch: number): void {
    this.page[sharedLayout.epoch >>> 2] = this.epochsBefore + epoch;
  }

  /** See `Sensor.watchNetwork`. */
  watchNetwork(watch: NetworkWatch | undefined): void {
    this.network.watch(watch);
  }

  get denials(): NetworkDenials | undefined {
    return this.network.denials;
  }

  get prevention(): Prevention | undefined {
    return this.loaded.prevention;
  }

  /** See `Sensor.carrySignals`. */
  carrySignals(signals: CarriedSignals): void {
    if (signals === "none") {
      this.endCondemned();
      this.kept.drop("condemned");
      return;
    }
    const isNew = this.condemnedPrograms === undefined;
    this.condemnedPrograms ??= withLockedMemory(() => this.loadCondemned());
    const programs = this.condemnedPrograms;
    const isChange = withLockedMemory(() => programs.hold(signals === "both"));
    if (isNew || isChange) this.kept.keep("condemned", programs.descriptors);
  }

  get condemned(): CondemnedProcesses | undefined {
    return this.condemnedPrograms;
  }

  /** See `Sensor.sweep`. */
  sweep(on: boolean): void {
    if (on === this.sweeps) return;
    const before = this.flushIntervalMs;
    this.sweeps = on;
    if (on) this.shortenFlush(before);
  }

  watchSignals(pids: readonly number[], sink: SignalSink): void {
    this.signals = sink;
    this.decoder.onSignal = (signal) => sink.signal(signal);
    for (let i = 0; i < WATCHED_PIDS; i += 1) this.page[(sharedLayout.watched >>> 2) + i] = pids[i] ?? NO_PID;
  }

  findTampering(): string | undefined {
    const detached = [
      ...this.loaded.detached(),
      ...this.network.detached(),
      ...(this.condemnedPrograms?.detached() ?? []),
    ];
    return detached.length === 0
      ? undefined
      : `the kernel does not run these eBPF programs any more: ${detached.join(", ")}`;
  }

  /** The kernel's information on each program, by its name in the program tables, see `copyNames`. */
  programs(): ReadonlyMap<string, ProgramInfo> {
    const programs = [
      ...this.loaded.programs,
      ...this.network.attached,
      ...(this.condemnedPrograms?.programs ?? []),
    ];
    return new Map(programs.map(([name, program]) => [name, programInfo(program)]));
  }

  [Symbol.dispose](): void {
    this.lastMark = this.mark;
    scheduleOrdinarily();
    this.endCondemned();
    this.stack.dispose();
  }

  /** Loads the programs; without prevention if the kernel does not take them with it. */
  private load(kernel: KernelLayout, kept: KeptGroups, options: LoadOptions): LoadedPrograms {
    try {
      return kept.load(
        "events",
        (build) => digestOfPrograms(kernel, options, build),
        (left) => new LoadedPrograms(kernel, options, left),
      );
    } catch (error) {
      if (options.prevention === undefined) throw error;
      this.preventionProblem = whyNotPrevented(error);
      return this.load(kernel, kept, { ...options, prevention: undefined });
    }
  }

  private loadCondemned(): CondemnedPrograms {
    return this.kept.load(
      "condemned",
      (build) => digestOfCondemned(this.kernel, build),
      (left) => new CondemnedPrograms(this.kernel, left),
    );
  }

  private endCondemned(): void {
    this.condemnedPrograms?.[Symbol.dispose]();
    this.condemnedPrograms = undefined;
  }

  /** Emits the events in the ring; see RingReader.drain. */
  private readRing(sink: (event: ProcessEvent) => void, hold: boolean): boolean {
    return this.reader.drain(
      (bytes, words, start, end) => {
        this.sinceTick += 1;
        this.decoder.decode(bytes, words, start, end, sink);
      },
      DRAIN_BYTES,
      hold,
    );
  }

  private get flushIntervalMs(): number {
    if (this.sweeps) return SWEEP_INTERVAL_MS;
    return this.fixedIntervalMs ?? (this.watched || this.mayAct ? FLUSH_INTERVAL_MS : LONG_FLUSH_INTERVAL_MS);
  }

  /** Shortens a pending flush if the interval has become shorter than `before`. */
  private shortenFlush(before: number): void {
    if (this.isTimed && this.flushIntervalMs < before) this.wakeAfter(this.flushIntervalMs * 1e6);
  }

  private wakeAfter(ns: number): void {
    this.isTimed = true;
    this.timer.armOnce(ns);
  }

  /** The lower 32 bits of a field of the shared page. */
  private read(field: number): number {
    return this.page[field >>> 2] ?? 0;
  }

  /** The number of records that found no room, in 32 bits. */
  private lost(): number {
    const forks = this.read(sharedLayout.lostForks);
    return (forks + this.read(sharedLayout.lostExecs) + this.read(sharedLayout.lostExits)) >>> 0;
  }

  private emitLoss(now: number, sink: (event: ProcessEvent) => void): void {
    const lostSignals = this.read(sharedLayout.lostSignals);
    if (lostSignals !== this.lostSignalsSeen) this.signals.lost((lostSignals - this.lostSignalsSeen) >>> 0);
    this.lostSignalsSeen = lostSignals;
    const lost = this.lost();
    let count = ((lost - this.lostSeen) >>> 0) + this.progress.takeSkipped();
    this.lostSeen = lost;
    if (now - this.missedAsked >= MISSED_INTERVAL_NS) {
      this.missedAsked = now;
      const missed = missedEvents(this.loaded.programs);
      count += missed - this.missedSeen;
      this.missedSeen = missed;
    }
    if (count === 0) return;
    this.page[sharedLayout.lostReported >>> 2] = this.lostSeen;
    this.page[sharedLayout.missedReported >>> 2] = this.missedSeen;
    this.decoder.forget();
    this.loaded.prevention?.takeSnapshot();
    sink({ kind: "loss", source: this.source, time: monotonicNow(), reason: "overrun", count });
  }
}

/** What was read of a ring before `end`. */
function pastOf(ring: RingMapping, end: number): RingMemory {
  return {
    size: ring.size,
    producer: () => end,
    header: (position) => ring.header(position),
    acquire: () => ring.acquire(),
    copy: (target, position, length) => ring.copy(target, position, length),
    release: () => undefined,
  };
}

function settleKeyOf(event: ExecEvent | EbpfExecEvent): number {
  return "settleKey" in event ? event.settleKey : 0;
}
