// The sensor that uses the process connector. The kernel reports every fork, exec, change of user and exit by netlink;
// the facts about a program are read from /proc when its exec event arrives.
//
// The sensor cannot know, and leaves undefined: facts that could not be read before the program ended; the path passed
// to execve(2) and the script that an interpreter runs; the users of a process in which one of several threads changed
// its own. If a process executes two programs within microseconds, both events may show the second program. A process
// created with CLONE_PARENT appears as a child of its creator's parent.
import { readFileSync } from "node:fs";
import { monotonicNow, PID_STAYS_NS, suspendedFor } from "../../linux/clock.ts";
import {
  eventTime,
  frame,
  isProcessEvent,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
  PROC_EVENT_FORK,
  PROC_EVENT_UID,
} from "../../linux/connector.ts";
import { EPOLLIN, Poll } from "../../linux/epoll.ts";
import { EAGAIN, ENOBUFS, SystemCallError } from "../../linux/libc.ts";
import type { Scheduling } from "../../linux/process.ts";
import { ReceiveBatch } from "../../linux/socket.ts";
import { bootTicks } from "../../linux/ticks.ts";
import type { ProcessEvent, ProcessFacts, Sensor, WakeupPolicy } from "../event.ts";
import { FactsReader, type KnownFacts, nothingKnown } from "../procfs/facts-reader.ts";
import { schedule, scheduleOrdinarily } from "../schedule.ts";
import { PendingEvents } from "./pending-events.ts";
import { Subscription } from "./subscription.ts";
import { type ScannedThreadGroup, ThreadGroups } from "./thread-groups.ts";

export interface NetlinkOptions {
  /** Reads the facts at an exec. The caller must dispose of it. Without it the sensor creates one. */
  readonly reader?: FactsReader;
  /** Receive buffer in bytes. The kernel doubles the size, and accounts 832 bytes for each event. */
  readonly bufferBytes?: number;
  /** Scheduling of the calling thread while the sensor is open. If it is not permitted, the next weaker one is used. */
  readonly scheduling?: Scheduling;
}

/** Room for about 20,000 events, so that several thousand processes may start while the reader is busy. */
const BUFFER_BYTES = 8 << 20;
/** Maximum number of messages per system call. */
const BATCH = 64;
/** Buffer bytes per message. More than a frame of 76 bytes, so that a longer message is noticed. */
const STRIDE = 96;
/** How long `drain` gathers events while execs keep arriving. The last wait may double it. */
const WINDOW_NS = 10e6;
/** Approximate number of events per `drain`; the rest is left to the next one. */
const DRAIN_EVENTS = 4096;
/** New events are received after this many were emitted, because programs may end before their facts are read. */
const EMIT_BATCH = 8;

/** An event may be on its way at one look. */
const SILENT_LOOKS = 2;

const WAKE = 0;
const EVENTS = 1;

const source = "netlink";

/**
 * Subscribes. Throws SensorUnavailable, with a hint, if the kernel does not allow it. Scan /proc afterwards: processes
 * that start between an earlier scan and the subscription would be missed.
 */
export function openNetlinkSensor(options: NetlinkOptions = {}): NetlinkSensor {
  return new NetlinkSensor(options);
}

export class NetlinkSensor implements Sensor {
  readonly source = source;

  private readonly stack = new DisposableStack();
  private readonly batch = new ReceiveBatch(BATCH, STRIDE);
  private readonly subscription: Subscription;
  private readonly poll: Poll;
  private readonly reader: FactsReader;
  private readonly groups: ThreadGroups;
  private readonly pending: PendingEvents;
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, in ns. It grows by the time that the machine is suspended. */
  private suspended = 0;
  /** The kernel has dropped events, and the loss is not in `pending` yet. */
  private overrun = false;
  /** Messages received so far, and at the last look for tampering. */
  private received = 0;
  private receivedBefore = 0;
  private newestPid = 0;
  private silentLooks = 0;
  /** Whether each exec is emitted as soon as it arrives. */
  private immediate = false;

  constructor(options: NetlinkOptions) {
    using opened = new DisposableStack();
    const reader = options.reader ?? opened.use(new FactsReader());
    this.reader = reader;
    this.groups = new ThreadGroups({ threads: (pid, seenTicks) => reader.threads(pid, seenTicks) });
    this.pending = new PendingEvents({
      read: (pid, known, time) => this.read(pid, known, time),
      now: monotonicNow,
    });
    this.subscription = opened.use(new Subscription(options.bufferBytes ?? BUFFER_BYTES, this.batch));
    this.poll = opened.use(new Poll(1));
    this.poll.add(this.subscription.wake.fd, WAKE, EPOLLIN);
    this.poll.add(this.subscription.events.fd, EVENTS, EPOLLIN);
    if (schedule(options.scheduling ?? "realtime")) opened.defer(scheduleOrdinarily);
    this.stack.use(opened.move());
  }

  get fd(): number {
    return this.poll.fd;
  }

  /** The number of processes that the sensor tracks. */
  get processes(): number {
    return this.groups.size;
  }

  /** If there are events, gathers more for 10 to 20 ms, so that many events share one wake-up. */
  drain(sink: (event: ProcessEvent) => void): void {
    this.suspended = suspendedFor();
    // Discard the wake-ups first. The events of the discarded ones are already queued, and are received below.
    this.batch.receive(this.subscription.wake);
    let received = this.receive();
    if (received === 0) return;
    const end = monotonicNow() + WINDOW_NS;
    if (this.immediate) this.emit(sink);
    while (received < DRAIN_EVENTS && this.batch.wait(this.subscription.wake) > 0) {
      received += this.receive();
      if (this.immediate) this.emit(sink);
      if (monotonicNow() >= end) break;
    }
    this.emit(sink);
  }

  setWakeupPolicy(policy: WakeupPolicy): void {
    this.immediate = policy !== "none";
  }

  /** A process was started, which the kernel counts, and nothing arrived, at two looks in a row. */
  findTampering(): string | undefined {
    const newest = newestPid();
    const isSilent = newest !== this.newestPid && this.received === this.receivedBefore;
    this.newestPid = newest;
    this.receivedBefore = this.received;
    this.silentLooks = isSilent ? this.silentLooks + 1 : 0;
    return this.silentLooks < SILENT_LOOKS
      ? undefined
      : "the process connector reports nothing any more, though processes are started";
  }

  reconcile(scan: readonly ScannedThreadGroup[]): void {
    this.groups.reconcile(scan);
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }

  /** Emits the pending events and those that arrive meanwhile, about DRAIN_EVENTS at most. */
  private emit(sink: (event: ProcessEvent) => void): void {
    for (let emitted = 0; emitted === 0 || this.pending.length > 0; emitted += EMIT_BATCH) {
      // If an exec replaced a program while its facts were read, its event is queued by now. Receiving it first lets
      // PendingEvents drop those facts. Only events that were pending before have passed this check.
      const confirmed = this.pending.length;
      if (emitted < DRAIN_EVENTS) this.receive();
      for (let i = Math.min(confirmed, EMIT_BATCH); i > 0; i -= 1) this.pending.emit(sink);
    }
  }

  /**
   * Receives the queued events, about DRAIN_EVENTS at most, and reads the facts of the execs among them. Returns the
   * number of events.
   */
  private receive(): number {
    let handled = 0;
    for (;;) {
      const received = this.batch.receive(this.subscription.events);
      if (received > 0) {
        this.received += received;
        handled += received;
        for (let i = 0; i < received; i += 1) this.add(i);
        this.pending.read();
      } else if (received === -ENOBUFS) {
        // The kernel drops every new event until the queue is empty, so emptying it comes first.
        this.overrun = true;
        continue;
      } else if (received !== -EAGAIN) {
        throw new SystemCallError("recvmmsg", -received, "of process events");
      }
      if (received < BATCH && this.overrun) {
        this.addLoss();
        continue;
      }
      if (received < BATCH || (handled >= DRAIN_EVENTS && !this.overrun)) return handled;
    }
  }

  /** Adds the loss to the pending events. To be called when the queue is empty, because queued events are older. */
  private addLoss(): void {
    this.overrun = false;
    this.groups.lost();
    const count = this.subscription.events.drops();
    this.pending.add({ kind: "loss", source, time: monotonicNow(), reason: "overrun", count });
  }

  private read(pid: number, known: KnownFacts, time: number): ProcessFacts {
    const facts = this.reader.read(pid, known, monotonicNow() - time < PID_STAYS_NS);
    if (known.realUid === undefined) this.groups.usersFound(pid, facts.uid, facts.realUid);
    return facts;
  }

  /** Adds message `i` of the batch to the pending events. */
  private add(i: number): void {
    const { view } = this.batch;
    const start = i * STRIDE;
    // Any process may send to a netlink socket, but only messages from the kernel have port 0.
    if (this.batch.sender(i) !== 0 || !isProcessEvent(view, start, this.batch.length(i))) return;
    const time = eventTime(view, start);
    const ticks = bootTicks(time + this.suspended);
    switch (view.getUint32(start + frame.what, true)) {
      case PROC_EVENT_FORK: {
        const pid = view.getUint32(start + frame.childTgid, true);
        if (pid !== view.getUint32(start + frame.childPid, true)) {
          this.groups.threadStarted(pid);
          return;
        }
        const parentPid = view.getUint32(start + frame.parentTgid, true);
        this.groups.forked(pid, parentPid, ticks);
        this.pending.add({
          kind: "fork",
          source,
          time,
          pid,
          parentPid,
          startTicks: ticks,
          startExact: false,
        });
        return;
      }
      case PROC_EVENT_EXEC: {
        const pid = view.getUint32(start + frame.tgid, true);
        this.groups.execed(pid, ticks);
        this.pending.addExec(pid, time, this.groups.known(pid, ticks) ?? nothingKnown);
        return;
      }
      case PROC_EVENT_UID: {
        const thread = view.getUint32(start + frame.pid, true);
        const pid = view.getUint32(start + frame.tgid, true);
        const uid = view.getUint32(start + frame.uid, true);
        const realUid = view.getUint32(start + frame.realUid, true);
        if (!this.groups.usersChanged(thread, pid, uid, realUid)) return;
        this.pending.add({ kind: "user", source, time, pid, uid, realUid });
        return;
      }
      case PROC_EVENT_EXIT: {
        const thread = view.getUint32(start + frame.pid, true);
        const pid = view.getUint32(start + frame.tgid, true);
        if (!this.groups.exited(thread, pid, ticks)) return;
        const status = view.getUint32(start + frame.status, true);
        this.pending.add({ kind: "exit", source, time, pid, status });
        return;
      }
    }
  }
}

/** The pid that the kernel gave last, to a process or a thread (proc_loadavg(5)). */
function newestPid(): number {
  return Number(readFileSync("/proc/loadavg", "latin1").trimEnd().split(" ").at(-1));
}
