// The process connector as a sensor: fork, exec, change of user and exit of every process, by netlink; what a program
// is, out of /proc, at once.
//
// What it cannot see: a program that has ended before its exec's event was read is told with undefined facts; of two
// execs of one process that follow each other within microseconds, both may show the second program; the path given to
// execve(2) and the script behind an interpreter are not told. A process made with CLONE_PARENT is told as a child of
// its maker's parent. Users changed by one thread alone are not told.
import { monotonicNow, suspendedFor } from "../linux/clock.ts";
import {
  eventTime,
  frame,
  isProcessEvent,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
  PROC_EVENT_FORK,
  PROC_EVENT_UID,
} from "../linux/connector.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { EAGAIN, ENOBUFS, SystemCallError } from "../linux/libc.ts";
import { type Scheduling, setScheduling } from "../linux/process.ts";
import { ReceiveBatch } from "../linux/socket.ts";
import { Timer } from "../linux/timerfd.ts";
import type { ProcessEvent, ProcessFacts, Sensor } from "./event.ts";
import { FactsReader, factsOf, type Known, nothing } from "./facts.ts";
import { Groups, type SeenGroup } from "./netlink/groups.ts";
import { Subscription } from "./netlink/subscription.ts";

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
/** Forks and exits are told this much later at most, if no exec comes before. */
const TICK_NS = 20e6;
/** A drain hands over about this many events and leaves the rest to the next, which comes at once. */
const DRAIN_EVENTS = 4096;
/** How often a drain looks for an exec that the bell announced; two sockets differ by microseconds, or not at all. */
const BELL_TRIES = 3;

/** USER_HZ is 100 wherever treewarden runs. */
const NS_PER_TICK = 1e7;

const BELL = 0;
const EVENTS = 1;
const TICK = 2;

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
  private readonly timer: Timer;
  private readonly reader: FactsReader;
  private readonly groups: Groups;
  /** 1 for each message of the batch that is to be told; and for its execs what was known, and what was read. */
  private readonly told = new Uint8Array(BATCH);
  private readonly known: (Known | undefined)[] = new Array<undefined>(BATCH).fill(undefined);
  private readonly facts: (ProcessFacts | undefined)[] = new Array<undefined>(BATCH).fill(undefined);
  /** Processes that are known, later in the batch, to have ended or to run something else by now. */
  private readonly over = new Set<number>();
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns: grows when the machine was suspended. */
  private suspended = 0;
  /** Nothing happened for a tick: the next event, whatever it is, wakes the reader; else the timer ticks. */
  private idle = true;
  private listening = true;
  private nextTick = 0;
  private sinceTick = 0;
  /** Execs that the bell announced and that have not come out of `events` yet. */
  private owed = 0;
  private overrun = false;

  constructor(options: NetlinkOptions) {
    using opened = new DisposableStack();
    this.reader = options.reader ?? opened.use(new FactsReader());
    this.groups = new Groups({ threads: (pid, seenTicks) => this.reader.threads(pid, seenTicks) });
    this.subscription = opened.use(new Subscription(options.bufferBytes ?? BUFFER_BYTES, this.batch));
    this.timer = opened.use(new Timer());
    this.poll = opened.use(new Poll(1));
    this.poll.add(this.subscription.bell.fd, BELL, EPOLLIN);
    this.poll.add(this.subscription.events.fd, EVENTS, EPOLLIN);
    this.poll.add(this.timer.fd, TICK, EPOLLIN);
    if (schedule(options.scheduling ?? "realtime")) opened.defer(goBack);
    this.stack.use(opened.move());
  }

  get fd(): number {
    return this.poll.fd;
  }

  /** Processes it holds a record of. */
  get processes(): number {
    return this.groups.size;
  }

  drain(sink: (event: ProcessEvent) => void): void {
    this.suspended = suspendedFor();
    let handled = 0;
    let tries = 0;
    do {
      const before = handled;
      handled += this.drainEvents(sink, DRAIN_EVENTS - handled);
      this.drainBell();
      tries = handled === before ? tries + 1 : 0;
    } while (this.owed > 0 && tries < BELL_TRIES && handled < DRAIN_EVENTS);
    this.owed = 0;
    this.wakeAgain(handled);
  }

  /** After a loss: what a scan that began after it found; only what was not seen since is taken from it. */
  reconcile(scan: readonly SeenGroup[]): void {
    this.groups.reconcile(scan);
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }

  /** Decides what wakes the reader next: any event, after a tick without one; else the bell and the tick. */
  private wakeAgain(handled: number): void {
    const now = monotonicNow();
    this.sinceTick += handled;
    // What a full drain left behind must not wait for a tick.
    const more = handled >= DRAIN_EVENTS;
    if (this.idle) {
      if (handled === 0) return;
      this.idle = false;
      this.timer.armEvery(TICK_NS);
      this.nextTick = now + TICK_NS;
    } else if (now >= this.nextTick) {
      // Asked by the clock, which costs less than asking the timer and is never later than it.
      const ticks = this.timer.read();
      this.nextTick += ticks * TICK_NS;
      if (ticks > 0) {
        this.idle = this.sinceTick === 0;
        this.sinceTick = 0;
        if (this.idle) this.timer.disarm();
      }
    }
    this.listen(this.idle || more);
  }

  /** Whether any event wakes the reader, also one that waits already. */
  private listen(toAll: boolean): void {
    if (toAll === this.listening) return;
    this.listening = toAll;
    this.poll.modify(this.subscription.events.fd, EVENTS, toAll ? EPOLLIN : 0);
  }

  private drainBell(): void {
    for (;;) {
      const received = this.batch.receive(this.subscription.bell);
      if (received > 0) this.owed += received;
      if (received < BATCH) return;
    }
  }

  /** Hands over what is queued, about `limit` events; the number of events. */
  private drainEvents(sink: (event: ProcessEvent) => void, limit: number): number {
    let handled = 0;
    for (;;) {
      const received = this.batch.receive(this.subscription.events);
      if (received > 0) {
        handled += received;
        this.handle(received, sink);
      } else if (received === -ENOBUFS) {
        // Until the queue is empty the kernel drops all that comes: emptying it goes before everything else.
        this.overrun = true;
        continue;
      } else if (received !== -EAGAIN) {
        throw new SystemCallError("recvmmsg", -received, "of process events");
      }
      if (received < BATCH && this.overrun) {
        this.tellLoss(sink);
        continue;
      }
      if (received < BATCH || (handled >= limit && !this.overrun)) return handled;
    }
  }

  private tellLoss(sink: (event: ProcessEvent) => void): void {
    this.overrun = false;
    // What was queued is older than what was lost, and was counted: from here on nothing is certain.
    this.groups.lost();
    const count = this.subscription.events.drops();
    sink({ kind: "loss", source, time: monotonicNow(), reason: "overrun", count });
  }

  /**
   * Counts the batch, reads the facts of its execs, and then hands it over. Reading before handing over, and the
   * latest exec first: the earlier ones are the likelier to be gone, and must not cost those that are not.
   */
  private handle(received: number, sink: (event: ProcessEvent) => void): void {
    this.over.clear();
    for (let i = 0; i < received; i += 1) this.count(i);
    for (let i = received - 1; i >= 0; i -= 1) this.look(i);
    for (let i = 0; i < received; i += 1) if (this.told[i] === 1) this.tell(i, sink);
  }

  private count(i: number): void {
    this.told[i] = 0;
    const { view } = this.batch;
    const at = i * STRIDE;
    // Anybody may send to a netlink socket; only the kernel's port is 0.
    if (this.batch.sender(i) !== 0 || !isProcessEvent(view, at, this.batch.length(i))) return;
    const ticks = this.ticksAt(eventTime(view, at));
    switch (view.getUint32(at + frame.what, true)) {
      case PROC_EVENT_FORK: {
        const pid = view.getUint32(at + frame.childTgid, true);
        if (pid !== view.getUint32(at + frame.childPid, true)) {
          this.groups.threadStarted(pid);
          return;
        }
        this.groups.forked(pid, view.getUint32(at + frame.parentTgid, true), ticks);
        break;
      }
      case PROC_EVENT_EXEC: {
        const pid = view.getUint32(at + frame.tgid, true);
        this.groups.execed(pid, ticks);
        this.known[i] = this.groups.known(pid, ticks);
        if (this.owed > 0) this.owed -= 1;
        break;
      }
      case PROC_EVENT_UID: {
        const thread = view.getUint32(at + frame.pid, true);
        const pid = view.getUint32(at + frame.tgid, true);
        const uid = view.getUint32(at + frame.uid, true);
        if (!this.groups.usersChanged(thread, pid, uid, view.getUint32(at + frame.realUid, true))) return;
        break;
      }
      case PROC_EVENT_EXIT: {
        const thread = view.getUint32(at + frame.pid, true);
        if (!this.groups.exited(thread, view.getUint32(at + frame.tgid, true), ticks)) return;
        break;
      }
      default:
        return;
    }
    this.told[i] = 1;
  }

  private look(i: number): void {
    if (this.told[i] !== 1) return;
    const { view } = this.batch;
    const at = i * STRIDE;
    switch (view.getUint32(at + frame.what, true)) {
      case PROC_EVENT_FORK:
        // What an earlier event has of this pid was another process, and is gone.
        this.over.add(view.getUint32(at + frame.childTgid, true));
        return;
      case PROC_EVENT_EXIT:
        this.over.add(view.getUint32(at + frame.tgid, true));
        return;
      case PROC_EVENT_EXEC: {
        const pid = view.getUint32(at + frame.tgid, true);
        const known = this.known[i] ?? nothing;
        this.facts[i] = this.over.has(pid) ? factsOf(known) : this.reader.read(pid, known);
        this.over.add(pid);
        return;
      }
    }
  }

  private tell(i: number, sink: (event: ProcessEvent) => void): void {
    const { view } = this.batch;
    const at = i * STRIDE;
    const time = eventTime(view, at);
    switch (view.getUint32(at + frame.what, true)) {
      case PROC_EVENT_FORK: {
        const pid = view.getUint32(at + frame.childTgid, true);
        const parentPid = view.getUint32(at + frame.parentTgid, true);
        const startTicks = this.ticksAt(time);
        sink({ kind: "fork", source, time, pid, parentPid, startTicks, startExact: false });
        return;
      }
      case PROC_EVENT_EXEC: {
        const pid = view.getUint32(at + frame.tgid, true);
        const facts = this.facts[i] ?? factsOf(nothing);
        this.facts[i] = undefined;
        this.known[i] = undefined;
        this.groups.usersFound(pid, facts.uid, facts.realUid);
        sink({ kind: "exec", source, time, pid, facts });
        return;
      }
      case PROC_EVENT_UID: {
        const pid = view.getUint32(at + frame.tgid, true);
        const uid = view.getUint32(at + frame.uid, true);
        sink({ kind: "user", source, time, pid, uid, realUid: view.getUint32(at + frame.realUid, true) });
        return;
      }
      case PROC_EVENT_EXIT: {
        const pid = view.getUint32(at + frame.tgid, true);
        sink({ kind: "exit", source, time, pid, status: view.getUint32(at + frame.status, true) });
        return;
      }
    }
  }

  /** The clock of start times at an event: ticks since boot. */
  private ticksAt(time: number): number {
    return Math.floor((time + this.suspended) / NS_PER_TICK);
  }
}

/**
 * The kernel often puts a reader that it wakes behind the very process whose event it is: with ordinary scheduling that
 * process is gone before the reader runs. True if something was changed.
 */
function schedule(how: Scheduling): boolean {
  if (how === "ordinary") return false;
  try {
    setScheduling(how);
    return true;
  } catch {
    return how === "realtime" && schedule("short");
  }
}

function goBack(): void {
  try {
    setScheduling("ordinary");
  } catch {
    // Without rights there is no way back from a shorter slice; it harms nobody.
  }
}
