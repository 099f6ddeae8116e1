// The process connector as a sensor: fork, exec, change of user and exit of every process, by netlink; what a program
// is, out of /proc, at once.
//
// An exec wakes the reader, which looks at /proc and goes back to sleep; in a window of some milliseconds everything
// else waits, and is then taken, put together and told in one go, in the kernel's order. Looking costs a third of
// what telling costs after each wake-up.
//
// What it cannot see: a program that has ended before its exec's event was read is told with undefined facts; of two
// execs of one process that follow each other within microseconds, both may show the second program; the path given to
// execve(2) and the script behind an interpreter are not told. A process made with CLONE_PARENT is told as a child of
// its maker's parent. Users changed by one thread alone are not told. Beyond the first few execs of a window
// a program that is run, among a user's mounts, by a descriptor from the host's is taken for one among the host's.
import { monotonicNow, suspendedFor } from "../../linux/clock.ts";
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
import type { ProcessEvent, Sensor, WakeupPolicy } from "../event.ts";
import { FactsReader } from "../procfs/facts-reader.ts";
import { schedule, scheduleOrdinarily } from "../schedule.ts";
import { Glances } from "./glances.ts";
import { Groups, type SeenGroup } from "./groups.ts";
import { Queue } from "./queue.ts";
import { Subscription } from "./subscription.ts";

export interface NetlinkOptions {
  /** Reads the facts at an exec; one with default options if it is left out. Stays the caller's. */
  readonly reader?: FactsReader;
  /** Room for queued events, in bytes; an event takes 832 of twice as many. */
  readonly bufferBytes?: number;
  /**
   * How soon the calling thread is let in when an exec wakes it; for as long as the sensor lives. What may not be set
   * gives way to the next weaker.
   */
  readonly scheduling?: Scheduling;
}

/** About 20,000 events: a storm of several thousand processes while the reader does something else. */
const BUFFER_BYTES = 8 << 20;
/** Messages of one system call. */
const BATCH = 64;
/** A frame, and room to see that a longer one is none. */
const STRIDE = 96;
/** Execs gather for so long; with the bell's last silence twice as long at most. */
const WINDOW_NS = 10e6;
/** A drain hands over about this many events and leaves the rest to the next, which comes at once. */
const DRAIN_EVENTS = 4096;
/** While events are told execs go on: one of them waits no longer than so many events take. */
const TOLD_BETWEEN_LOOKS = 8;
/** So many execs of a window have their place read at once; of the others only what outlives the window. */
const PLACES = 4;

/** USER_HZ is 100 wherever treewarden runs. */
const NS_PER_TICK = 1e7;

const BELL = 0;
const EVENTS = 1;

const source = "netlink";
/** Subscribes. Throws NetlinkUnavailable, with a hint, where the kernel does not allow it. Scan after it, not before. */
export function openNetlinkSensor(options: NetlinkOptions = {}): NetlinkSensor {
  return new NetlinkSensor(options);
}

export class NetlinkSensor implements Sensor {
  readonly source = source;

  private readonly stack = new DisposableStack();
  private readonly batch = new ReceiveBatch(BATCH, STRIDE);
  private readonly subscription: Subscription;
  private readonly poll: Poll;
  private readonly groups: Groups;
  private readonly glances: Glances;
  private readonly queue: Queue;
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns: grows when the machine was suspended. */
  private suspended = 0;
  private overrun = false;
  /** Every exec is told at once. */
  private urgent = false;
  /** The clock of start times at an event: ticks since boot. */
  private readonly ticksAt = (time: number): number => Math.floor((time + this.suspended) / NS_PER_TICK);

  constructor(options: NetlinkOptions) {
    using opened = new DisposableStack();
    const reader = options.reader ?? opened.use(new FactsReader());
    this.groups = new Groups({ threads: (pid, seenTicks) => reader.threads(pid, seenTicks) });
    this.subscription = opened.use(new Subscription(options.bufferBytes ?? BUFFER_BYTES, this.batch));
    this.glances = new Glances(this.subscription.bell, reader);
    this.queue = new Queue(source, this.groups, this.glances, reader);
    this.poll = opened.use(new Poll(1));
    this.poll.add(this.subscription.bell.fd, BELL, EPOLLIN);
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

  /** Stays for a window of 10 to 20 ms if there is anything, so that what comes meanwhile wakes nobody else. */
  drain(sink: (event: ProcessEvent) => void): void {
    this.suspended = suspendedFor();
    this.glances.places = this.urgent ? DRAIN_EVENTS : PLACES;
    const looked = this.glances.take(this.ticksAt);
    const handled = this.collect();
    if (looked === 0 && handled === 0) return;
    if (this.urgent) this.tell(sink);
    // A queue that is not empty has waited long enough.
    if (handled < DRAIN_EVENTS) this.gather(sink);
    this.collect();
    this.tell(sink);
  }

  /** Execs are told when they come, unless nothing hangs on it. */
  setWakeupPolicy(urgency: WakeupPolicy): void {
    this.urgent = urgency !== "none";
  }

  /** After a loss: what a scan that began after it found; only what was not seen since is taken from it. */
  reconcile(scan: readonly SeenGroup[]): void {
    this.groups.reconcile(scan);
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }

  private gather(sink: (event: ProcessEvent) => void): void {
    const end = monotonicNow() + WINDOW_NS;
    while (this.glances.wait(this.ticksAt) > 0) {
      if (this.urgent) {
        this.collect();
        this.tell(sink);
      }
      if (monotonicNow() >= end) return;
    }
  }

  private tell(sink: (event: ProcessEvent) => void): void {
    this.queue.complete();
    let told = 0;
    this.queue.tell((event) => {
      sink(event);
      told += 1;
      if (told % TOLD_BETWEEN_LOOKS === 0) this.glances.take(this.ticksAt);
    });
  }

  /** Takes what the kernel has queued, about DRAIN_EVENTS; the number of events. */
  private collect(): number {
    let handled = 0;
    for (;;) {
      const received = this.batch.receive(this.subscription.events);
      if (received > 0) {
        handled += received;
        for (let i = 0; i < received; i += 1) this.count(i);
      } else if (received === -ENOBUFS) {
        // Until the queue is empty the kernel drops all that comes: emptying it goes before everything else.
        this.overrun = true;
        continue;
      } else if (received !== -EAGAIN) {
        throw new SystemCallError("recvmmsg", -received, "of process events");
      }
      if (received < BATCH && this.overrun) {
        this.noteLoss();
        continue;
      }
      if (received < BATCH || (handled >= DRAIN_EVENTS && !this.overrun)) return handled;
    }
  }

  private noteLoss(): void {
    this.overrun = false;
    // What was queued is older than what was lost, and was counted: from here on nothing is certain.
    this.groups.lost();
    const count = this.subscription.events.drops();
    this.queue.add({ kind: "loss", source, time: monotonicNow(), reason: "overrun", count });
  }

  private count(i: number): void {
    const { view } = this.batch;
    const at = i * STRIDE;
    // Anybody may send to a netlink socket; only the kernel's port is 0.
    if (this.batch.sender(i) !== 0 || !isProcessEvent(view, at, this.batch.length(i))) return;
    const time = eventTime(view, at);
    const ticks = this.ticksAt(time);
    switch (view.getUint32(at + frame.what, true)) {
      case PROC_EVENT_FORK: {
        const pid = view.getUint32(at + frame.childTgid, true);
        if (pid !== view.getUint32(at + frame.childPid, true)) {
          this.groups.threadStarted(pid);
          return;
        }
        const parentPid = view.getUint32(at + frame.parentTgid, true);
        this.groups.forked(pid, parentPid, ticks);
        this.queue.add({ kind: "fork", source, time, pid, parentPid, startTicks: ticks, startExact: false });
        return;
      }
      case PROC_EVENT_EXEC: {
        const pid = view.getUint32(at + frame.tgid, true);
        this.groups.execed(pid, ticks);
        this.queue.addExec(pid, time, ticks);
        return;
      }
      case PROC_EVENT_UID: {
        const thread = view.getUint32(at + frame.pid, true);
        const pid = view.getUint32(at + frame.tgid, true);
        const uid = view.getUint32(at + frame.uid, true);
        const realUid = view.getUint32(at + frame.realUid, true);
        if (!this.groups.usersChanged(thread, pid, uid, realUid)) return;
        this.queue.add({ kind: "user", source, time, pid, uid, realUid });
        return;
      }
      case PROC_EVENT_EXIT: {
        const thread = view.getUint32(at + frame.pid, true);
        const pid = view.getUint32(at + frame.tgid, true);
        if (!this.groups.exited(thread, pid, ticks)) return;
        const status = view.getUint32(at + frame.status, true);
        this.queue.add({ kind: "exit", source, time, pid, status });
        return;
      }
    }
  }
}
