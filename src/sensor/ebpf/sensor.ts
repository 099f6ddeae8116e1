// The eBPF sensor: forks, execs and exits of every process in the order of one ring buffer. The program, arguments,
// users and context of an exec are read inside the kernel before the program runs. docs/sensors.md has its limits.

import { withLockedMemory } from "../../linux/bpf/locked-memory.ts";
import { type ProgramInfo, programInfo } from "../../linux/bpf/program.ts";
import { RingReader } from "../../linux/bpf/ring.ts";
import { pinned } from "../../linux/bpf/syscall.ts";
import { monotonicNow, realtimeNow } from "../../linux/clock.ts";
import { EPOLLET, EPOLLIN, Poll } from "../../linux/epoll.ts";
import { Timer } from "../../linux/timerfd.ts";
import type { ExecEvent, OwnSignal, ProcessEvent, Sensor, WakeupPolicy } from "../event.ts";
import type { NetworkDenials } from "../network/denial.ts";
import type { NetworkWatch } from "../network/watch.ts";
import { schedule, scheduleOrdinarily } from "../schedule.ts";
import { Decoder, type EbpfExecEvent } from "./decode.ts";
import { readKernelLayout } from "./kernel.ts";
import { NO_PID, sharedLayout, WATCHED_PIDS, wakeupPolicies } from "./layout.ts";
import { LoadedPrograms } from "./load.ts";
import { NetworkSource } from "./network/source.ts";
import { explainRefusal } from "./refusal.ts";

export interface EbpfOptions {
  /** Maximum bytes of arguments, a multiple of 8. Longer arguments are cut and marked. */
  readonly argumentBytes?: number;
  /** Bytes of the ring: a power of two. An exec takes some 250, a fork 48, an exit 32. */
  readonly bufferBytes?: number;
  /** Milliseconds after which waiting events are read. By default that depends on the wake-up policy and on `live`. */
  readonly flushIntervalMs?: number;
  /** The environment variables that are kept while the environment is read; see `Sensor.readEnvironment`. */
  readonly environmentNames?: readonly string[] | undefined;
  /** Directory of the control group whose network is watched. By default the root of the unified hierarchy. */
  readonly networkCgroup?: string;
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
/** One drain emits about this many bytes, some thousands of events, and leaves the rest to the next. */
const DRAIN_BYTES = 1 << 20;
/** After a flush interval with at most this many events, the timer stops and the next event wakes the reader. */
const FEW_EVENTS = 3;
/** Interval, in ns, at which the kernel's count of skipped program runs is read. */
const MISSED_INTERVAL_NS = 1e9;

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

  private readonly stack = new DisposableStack();
  private readonly poll: Poll;
  private readonly timer: Timer;
  private readonly fixedIntervalMs: number | undefined;
  private readonly loaded: LoadedPrograms;
  private readonly reader: RingReader;
  private readonly decoder: Decoder;
  private readonly network: NetworkSource;
  private readonly page: Uint32Array;
  private readonly key = pinned(8);
  private readonly keyView = new DataView(this.key.buffer);
  private readonly value = pinned(4);
  private watched = true;
  private mayAct = false;
  /** The timer runs and events wait for it. Otherwise the next event wakes the reader. */
  private isTimed = false;
  private sinceTick = 0;
  private lostSeen = 0;
  private missedSeen = 0;
  private missedAsked = 0;

  constructor(options: EbpfOptions) {
    const kernel = readKernelLayout();
    const ringBytes = options.bufferBytes ?? BUFFER_BYTES;
    using opened = new DisposableStack();
    const environmentNames = options.environmentNames ?? [];
    this.loaded = opened.use(
      new LoadedPrograms(kernel, {
        ringBytes,
        argsBytes: options.argumentBytes ?? ARGUMENT_BYTES,
        environmentNames,
      }),
    );
    this.timer = opened.use(new Timer());
    this.poll = opened.use(new Poll(2));
    // Edge-triggered: while events wait, the ring is always readable, and only wake-ups of the kernel must count.
    this.poll.add(this.loaded.ringMap.fd, RING, EPOLLIN | EPOLLET);
    this.poll.add(this.timer.fd, TICK, EPOLLIN);
    this.fixedIntervalMs = options.flushIntervalMs;
    this.page = this.loaded.page.words;
    this.reader = new RingReader(this.loaded.ring);
    this.network = opened.use(new NetworkSource(this.loaded.ringMap, options.networkCgroup));
    this.decoder = new Decoder({
      audit: kernel.task.loginuid !== undefined && kernel.task.sessionid !== undefined,
      cgroups: kernel.cgroup !== undefined,
      environmentNames,
      onExit: (pid) => this.network.exited(pid),
      sessions: this.network.sessions,
    });
    this.stack.use(opened.move());
    this.watchSignals([], () => undefined);
  }

  get fd(): number {
    return this.poll.fd;
  }

  drain(sink: (event: ProcessEvent) => void): void {
    const now = monotonicNow();
    this.decoder.realtime = realtimeNow() - now;
    this.poll.wait(0);
    const ticked = this.isTimed && this.timer.read() > 0;
    // Arm the timer before emitting, as the sink may throw: the record that is held back causes no wake-up.
    if (ticked || !this.isTimed) this.wakeAfter(this.flushIntervalMs * 1e6);
    let unfinished = this.readRing(sink, true);
    if (ticked && !unfinished && this.sinceTick <= FEW_EVENTS) {
      unfinished = this.readRing(sink, false);
      this.isTimed = false;
      this.timer.disarm();
    }
    if (unfinished) this.wakeAfter(1);
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
    this.page[sharedLayout.epoch >>> 2] = epoch;
  }

  /** See `Sensor.watchNetwork`. */
  watchNetwork(watch: NetworkWatch | undefined): void {
    this.network.watch(watch);
  }

  get denials(): NetworkDenials | undefined {
    return this.network.denials;
  }

  watchSignals(pids: readonly number[], onSignal: (signal: OwnSignal) => void): void {
    this.decoder.onSignal = onSignal;
    for (let i = 0; i < WATCHED_PIDS; i += 1) this.page[(sharedLayout.watched >>> 2) + i] = pids[i] ?? NO_PID;
  }

  findTampering(): string | undefined {
    const detached = [...this.loaded.detached(), ...this.network.detached()];
    return detached.length === 0
      ? undefined
      : `the kernel does not run these eBPF programs any more: ${detached.join(", ")}`;
  }

  /** The kernel's information on each program, by its name in the program tables. */
  programs(): ReadonlyMap<string, ProgramInfo> {
    const programs = [...this.loaded.programs, ...this.network.attached];
    return new Map(programs.map(([name, program]) => [name, programInfo(program)]));
  }

  [Symbol.dispose](): void {
    scheduleOrdinarily();
    this.stack.dispose();
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

  private emitLoss(now: number, sink: (event: ProcessEvent) => void): void {
    const lost =
      (this.read(sharedLayout.lostForks) +
        this.read(sharedLayout.lostExecs) +
        this.read(sharedLayout.lostExits)) >>>
      0;
    let count = (lost - this.lostSeen) >>> 0;
    this.lostSeen = lost;
    if (now - this.missedAsked >= MISSED_INTERVAL_NS) {
      this.missedAsked = now;
      const missed = this.missed();
      count += missed - this.missedSeen;
      this.missedSeen = missed;
    }
    if (count === 0) return;
    this.decoder.forget();
    sink({ kind: "loss", source: this.source, time: monotonicNow(), reason: "overrun", count });
  }

  /** Number of runs that the kernel skipped because they interrupted the same program on the same CPU. */
  private missed(): number {
    let missed = 0;
    for (const program of this.loaded.programs.values()) missed += programInfo(program).missed;
    return missed;
  }
}

function settleKeyOf(event: ExecEvent | EbpfExecEvent): number {
  return "settleKey" in event ? event.settleKey : 0;
}
