// The process connector as a sensor: fork, exec, change of user and exit of every process come by netlink; what a
// program is comes from /proc, read when the event of its exec arrives.
//
// What it cannot see, and leaves unknown: what could not be read before the program ended; the path given to execve(2)
// and the script behind an interpreter; users that one of several threads changed. Of two execs of one process within
// microseconds, both may show the second program. A process made with CLONE_PARENT is a child of its maker's parent.
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
  /** Reads the facts at an exec; by default one with default options. Stays the caller's. */
  readonly reader?: FactsReader;
  /** Room for queued events, in bytes; an event takes 832 of twice as many. */
  readonly bufferBytes?: number;
  /** Scheduling of the calling thread while the sensor is open; without the right to it, the next weaker one. */
  readonly scheduling?: Scheduling;
}

/** About 20,000 events: a storm of several thousand processes while the reader does something else. */
const BUFFER_BYTES = 8 << 20;
/** Messages of one system call. */
const BATCH = 64;
/** A frame, and room to notice that a message is longer than one. */
const STRIDE = 96;
/** How long events gather while execs keep coming; the last wait may double it. */
const WINDOW_NS = 10e6;
/** One drain receives about this many events and leaves the rest to the next. */
const DRAIN_EVENTS = 4096;
/** Emitting takes time in which programs end unread: new events are received after this many emitted ones. */
const EMIT_BATCH = 8;

const WAKE = 0;
const EVENTS = 1;

const source = "netlink";

/** Subscribes. Throws SensorUnavailable, with a hint, where the kernel does not allow it. Scan after it, not before. */
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
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns: grows when the machine was suspended. */
  private suspended = 0;
  private overrun = false;
  /** Emit each exec when it arrives. */
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

  /** Processes it holds a record of. */
  get processes(): number {
    return this.groups.size;
  }

  /** If events wait, more are gathered for 10 to 20 ms, so that each exec costs a read of /proc and no more. */
  drain(sink: (event: ProcessEvent) => void): void {
    this.suspended = suspendedFor();
    // Before the events: an exec whose wake-up is taken here is among them already.
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

  reconcile(scan: readonly ScannedThreadGroup[]): void {
    this.groups.reconcile(scan);
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }

  /** Emits what is pending, and what arrives meanwhile; about DRAIN_EVENTS at most. */
  private emit(sink: (event: ProcessEvent) => void): void {
    for (let emitted = 0; emitted === 0 || this.pending.length > 0; emitted += EMIT_BATCH) {
      // An exec that replaced a program while it was read is queued by now, and received here.
      const confirmed = this.pending.length;
      if (emitted < DRAIN_EVENTS) this.receive();
      for (let i = Math.min(confirmed, EMIT_BATCH); i > 0; i -= 1) this.pending.emit(sink);
    }
  }

  /** Receives what the kernel has queued, about DRAIN_EVENTS, and reads the facts of execs; the number of events. */
  private receive(): number {
    let handled = 0;
    for (;;) {
      const received = this.batch.receive(this.subscription.events);
      if (received > 0) {
        handled += received;
        for (let i = 0; i < received; i += 1) this.add(i);
        this.pending.read();
      } else if (received === -ENOBUFS) {
        // Until the queue is empty the kernel drops every new event: emptying it goes before everything else.
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

  /** What was queued is older than what was lost, and is counted: uncertainty begins here. */
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
    const at = i * STRIDE;
    // Any process may send to a netlink socket; only the kernel's port is 0.
    if (this.batch.sender(i) !== 0 || !isProcessEvent(view, at, this.batch.length(i))) return;
    const time = eventTime(view, at);
    const ticks = bootTicks(time + this.suspended);
    switch (view.getUint32(at + frame.what, true)) {
      case PROC_EVENT_FORK: {
        const pid = view.getUint32(at + frame.childTgid, true);
        if (pid !== view.getUint32(at + frame.childPid, true)) {
          this.groups.threadStarted(pid);
          return;
        }
        const parentPid = view.getUint32(at + frame.parentTgid, true);
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
        const pid = view.getUint32(at + frame.tgid, true);
        this.groups.execed(pid, ticks);
        this.pending.addExec(pid, time, this.groups.known(pid, ticks) ?? nothingKnown);
        return;
      }
      case PROC_EVENT_UID: {
        const thread = view.getUint32(at + frame.pid, true);
        const pid = view.getUint32(at + frame.tgid, true);
        const uid = view.getUint32(at + frame.uid, true);
        const realUid = view.getUint32(at + frame.realUid, true);
        if (!this.groups.usersChanged(thread, pid, uid, realUid)) return;
        this.pending.add({ kind: "user", source, time, pid, uid, realUid });
        return;
      }
      case PROC_EVENT_EXIT: {
        const thread = view.getUint32(at + frame.pid, true);
        const pid = view.getUint32(at + frame.tgid, true);
        if (!this.groups.exited(thread, pid, ticks)) return;
        const status = view.getUint32(at + frame.status, true);
        this.pending.add({ kind: "exit", source, time, pid, status });
        return;
      }
    }
  }
}
