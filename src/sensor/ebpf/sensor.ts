// The eBPF sensor: fork, exec and exit of every process from one ring buffer in one order, each exec with its program,
// arguments, users and place read inside the kernel, before the program runs.
//
// What it cannot see: see docs/sensors.md.

import { BtfError } from "../../linux/bpf/btf.ts";
import { withLockedMemory } from "../../linux/bpf/locked-memory.ts";
import { RingReader } from "../../linux/bpf/ring.ts";
import { type ProgramInfo, pinned, programInfo, VerifierError } from "../../linux/bpf/syscall.ts";
import { monotonicNow, realtimeNow } from "../../linux/clock.ts";
import { EPOLLET, EPOLLIN, Poll } from "../../linux/epoll.ts";
import { EPERM, SystemCallError } from "../../linux/libc.ts";
import { Timer } from "../../linux/timerfd.ts";
import { HintedError } from "../../vocabulary/errors.ts";
import type { ExecEvent, ProcessEvent, Sensor } from "../event.ts";
import { schedule, scheduleOrdinarily } from "../schedule.ts";
import { Decoder, type EbpfExecEvent } from "./decode.ts";
import { readKernelLayout } from "./kernel.ts";
import { sharedLayout, urgencies } from "./layout.ts";
import { LoadedPrograms } from "./load.ts";

export interface EbpfOptions {
  /** Bytes of arguments that are kept; more are cut and marked. A multiple of 8. */
  readonly argumentBytes?: number;
  /** Bytes of the ring: a power of two. An exec takes some 250, a fork 48, an exit 32. */
  readonly bufferBytes?: number;
  /** Milliseconds that events may gather before the reader is woken for them. By default it depends on who waits. */
  readonly gather?: number;
}

/** About 6,000 short-lived processes; more would only put off a loss when the reader stands still. */
const BUFFER_BYTES = 2 << 20;
const ARGUMENT_BYTES = 4096;
/** Long enough to share one wake-up among many events, short enough for a person who watches: a live view has 100 ms. */
const GATHER_MS = 50;
/** Where nobody watches and nothing is killed: at each wake-up the reader finds its memory cold. */
const GATHER_AT_LEISURE_MS = 100;
/** One drain hands over about this many bytes, some thousands of events, and leaves the rest to the next. */
const DRAIN_BYTES = 1 << 20;
/** As many events between two ticks are one process's, or none: the timer stops, the next event wakes the reader. */
const FEW_EVENTS = 3;
/** How often the kernel is asked for runs it left out, ns. */
const MISSED_EVERY = 1e9;

const RING = 0;
const TICK = 1;

/** `none`: everything gathers. `all`: every exec wakes. `unsettled`: every exec that `settle` was not told of. */
export type WakeupMode = keyof typeof urgencies;

/** The kernel or the permissions do not allow this sensor. */
export class EbpfUnavailable extends HintedError {
  override readonly name = "EbpfUnavailable";
}

/** Loads and attaches the programs. Throws EbpfUnavailable, with a hint. Scan after it, not before. */
export function openEbpfSensor(options: EbpfOptions = {}): EbpfSensor {
  try {
    return withLockedMemory(() => new EbpfSensor(options));
  } catch (error) {
    throw explained(error);
  }
}

export class EbpfSensor implements Sensor {
  readonly source = "ebpf";

  private readonly stack = new DisposableStack();
  private readonly poll: Poll;
  private readonly timer: Timer;
  private readonly gather: number | undefined;
  private readonly loaded: LoadedPrograms;
  private readonly reader: RingReader;
  private readonly decoder: Decoder;
  private readonly page: Uint32Array;
  private readonly key = pinned(8);
  private readonly keyView = new DataView(this.key.buffer);
  private readonly value = pinned(4);
  private watched = true;
  private kills = false;
  /** The timer runs: events come, and gather without waking anyone. Else the next event wakes the reader. */
  private gathering = false;
  private sinceTick = 0;
  private lostSeen = 0;
  private missedSeen = 0;
  private missedAsked = 0;

  constructor(options: EbpfOptions) {
    const kernel = readKernelLayout();
    const ringBytes = options.bufferBytes ?? BUFFER_BYTES;
    using opened = new DisposableStack();
    this.loaded = opened.use(
      new LoadedPrograms(kernel, { ringBytes, argsBytes: options.argumentBytes ?? ARGUMENT_BYTES }),
    );
    this.timer = opened.use(new Timer());
    this.poll = opened.use(new Poll(2));
    // Edge-triggered: while events gather the ring is never empty, and only what the kernel calls a wake-up counts.
    this.poll.add(this.loaded.ringFd, RING, EPOLLIN | EPOLLET);
    this.poll.add(this.timer.fd, TICK, EPOLLIN);
    this.gather = options.gather;
    this.page = this.loaded.page.words;
    this.reader = new RingReader(this.loaded.ring);
    this.decoder = new Decoder({
      audit: kernel.task.loginuid !== undefined && kernel.task.sessionid !== undefined,
      cgroups: kernel.cgroup !== undefined,
    });
    this.stack.use(opened.move());
  }

  get fd(): number {
    return this.poll.fd;
  }

  drain(sink: (event: ProcessEvent) => void): void {
    const now = monotonicNow();
    this.decoder.realtime = realtimeNow() - now;
    this.poll.wait(0);
    const ticked = this.gathering && this.timer.read() > 0;
    // Before anything is handed over: what is held back wakes nobody, whatever becomes of the sink.
    if (ticked || !this.gathering) this.wakeAfter(this.gatherMs * 1e6);
    let unfinished = this.take(sink, true);
    if (ticked && !unfinished && this.sinceTick <= FEW_EVENTS) {
      unfinished = this.take(sink, false);
      this.gathering = false;
      this.timer.disarm();
    }
    if (unfinished) this.wakeAfter(1);
    if (ticked) this.sinceTick = 0;
    this.tellLoss(now, sink);
  }

  get live(): boolean {
    return this.watched;
  }

  set live(on: boolean) {
    const before = this.gatherMs;
    this.watched = on;
    this.hasten(before);
  }

  setWakeupPolicy(urgency: WakeupMode): void {
    this.page[sharedLayout.urgency >>> 2] = urgencies[urgency];
    const before = this.gatherMs;
    this.kills = urgency !== "none";
    this.hasten(before);
    // Only what must be judged at once: else there is nothing to be late for, and nobody else has to wait.
    if (urgency === "none") scheduleOrdinarily();
    else schedule("realtime");
  }

  /**
   * Execs like this one need not be read at once from now on: same lineage, program, filename, arguments and user.
   * False if the kernel does not take it: they go on to wake the reader.
   */
  settle(event: ExecEvent): boolean {
    const key = settleKeyOf(event);
    if (key === 0) return false;
    this.keyView.setBigUint64(0, BigInt(key), true);
    return this.loaded.settled.update(this.key, this.value);
  }

  /** The kernel makes the epoch part of every settle key: keys settled in another one are found no more. */
  setEpoch(epoch: number): void {
    this.page[sharedLayout.epoch >>> 2] = epoch;
  }

  /** What the kernel knows of the programs, by what they do. */
  programs(): ReadonlyMap<string, ProgramInfo> {
    return new Map([...this.loaded.programs].map(([name, program]) => [name, programInfo(program)]));
  }

  [Symbol.dispose](): void {
    scheduleOrdinarily();
    this.stack.dispose();
  }

  /** Hands over what waits; see RingReader.drain. */
  private take(sink: (event: ProcessEvent) => void, hold: boolean): boolean {
    return this.reader.drain(
      (bytes, words, start, end) => {
        this.sinceTick += 1;
        this.decoder.decode(bytes, words, start, end, sink);
      },
      DRAIN_BYTES,
      hold,
    );
  }

  private get gatherMs(): number {
    return this.gather ?? (this.watched || this.kills ? GATHER_MS : GATHER_AT_LEISURE_MS);
  }

  /** What gathers already need not wait for as long as `before` any more. */
  private hasten(before: number): void {
    if (this.gathering && this.gatherMs < before) this.wakeAfter(this.gatherMs * 1e6);
  }

  private wakeAfter(ns: number): void {
    this.gathering = true;
    this.timer.armOnce(ns);
  }

  /** The lower 32 bits of a field of the shared page. */
  private read(field: number): number {
    return this.page[field >>> 2] ?? 0;
  }

  private tellLoss(now: number, sink: (event: ProcessEvent) => void): void {
    const lost =
      (this.read(sharedLayout.lostForks) +
        this.read(sharedLayout.lostExecs) +
        this.read(sharedLayout.lostExits)) >>>
      0;
    let count = (lost - this.lostSeen) >>> 0;
    this.lostSeen = lost;
    if (now - this.missedAsked >= MISSED_EVERY) {
      this.missedAsked = now;
      const missed = this.missed();
      count += missed - this.missedSeen;
      this.missedSeen = missed;
    }
    if (count === 0) return;
    this.decoder.forget();
    sink({ kind: "loss", source: this.source, time: monotonicNow(), reason: "overrun", count });
  }

  /** Runs that the kernel left out because the same program was interrupted on that CPU. */
  private missed(): number {
    let missed = 0;
    for (const program of this.loaded.programs.values()) missed += programInfo(program).missed;
    return missed;
  }
}

function settleKeyOf(event: ExecEvent | EbpfExecEvent): number {
  return "settleKey" in event ? event.settleKey : 0;
}

function explained(error: unknown): unknown {
  const cause = { cause: error };
  if (error instanceof BtfError) {
    return new EbpfUnavailable(
      error.message,
      "the kernel needs CONFIG_DEBUG_INFO_BTF=y; use --source netlink",
      cause,
    );
  }
  if (!(error instanceof SystemCallError || error instanceof VerifierError)) return error;
  const message = `eBPF: ${error.message}`;
  if (error.errno === EPERM) {
    return new EbpfUnavailable(
      message,
      "run as root, or give it CAP_BPF and CAP_PERFMON; before Linux 5.11 also run `ulimit -l unlimited` first, or set LimitMEMLOCK=infinity in its unit",
      cause,
    );
  }
  const hint =
    error instanceof VerifierError
      ? "use --source netlink, and report the kernel's version with this message"
      : "the kernel needs CONFIG_BPF_SYSCALL=y and at least Linux 5.8; use --source netlink";
  return new EbpfUnavailable(message, hint, cause);
}
