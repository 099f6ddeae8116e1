// The supervisor's loop: fills the posts, hands signals on as orders, watches the dead-man timer, ends in order.
import { constants } from "node:os";
import { isatty } from "node:tty";
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, Poll } from "../linux/epoll.ts";
import { pidfdOpen } from "../linux/pidfd.ts";
import { isHungUp } from "../linux/poll.ts";
import { SignalDescriptor, type SignalName } from "../linux/signalfd.ts";
import { sendPacket } from "../linux/socketpair.ts";
import { Timer } from "../linux/timerfd.ts";
import { type ChildEnd, type ChildRole, ChildSlot } from "./child-slot.ts";
import { CRASH_LIMIT, countEarlyCrashes } from "./crashes.ts";
import { holdersOf, holds } from "./descriptor-holders.ts";
import {
  examinerEnvironment,
  reporterEnvironment,
  supervisorEnvironment,
  wardenEnvironment,
} from "./environment.ts";
import { encodeOrder, type SupervisorOrder } from "./inherited.ts";
import { log } from "./log.ts";
import { mapDescriptors, type SupervisorPlan } from "./supervisor-plan.ts";

/** Blocked in every process, read by the supervisor alone. */
export const handledSignals: readonly SignalName[] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"];

const MS = 1e6;
// An orderly end takes at most 2 s: until then the warden, then the reporter may finish.
const wardenEndsWithin = 1200 * MS;
const reporterEndsWithin = 1800 * MS;
const hurriedWithin = 100 * MS;
// At the start of a run the standby waits until the warden has had the machine for its own start.
const standbyAfter = 200 * MS;
// A process that a dying supervisor was about to start is visible by then.
const straysAfter = 1000 * MS;
// A start has to read all of /proc before it polls for the first time.
const startTakesDeadMen = 3;

// Exit code: the kernel or permissions do not allow it.
const notAllowed = 3;

const SIGNALS = 1;
const DEAD_MAN = 2;
const WARDEN = 3;
const REPORTER = 4;
const STANDBY = 5;
const EXAMINER = 6;
const TERMINAL = 7;
const WORK = 8;

/** Standard output: where the live view is. */
const SCREEN = 1;

interface Stopping {
  readonly code: number;
  wardenBy: number;
  reporterBy: number;
  reporterTold: boolean;
}

export class Supervisor implements Disposable {
  private readonly plan: SupervisorPlan;
  private readonly poll = new Poll();
  private readonly signals = new SignalDescriptor(handledSignals);
  private readonly deadMan: Timer;
  private readonly warden: ChildSlot;
  private readonly reporter: ChildSlot;
  private readonly examiner: ChildSlot;
  private readonly standby: ChildSlot;
  private readonly posts: readonly ChildSlot[];
  private readonly terminals = [0, 1, 2].filter((fd) => isatty(fd));
  private straysAt: number | undefined;
  /** Early crashes of the warden in a row. */
  private crashes = 0;
  /** Why the warden is started without eBPF; undefined while it is not. */
  private ebpfRefusal: string | undefined;
  private stopping: Stopping | undefined;

  /** `plan.descriptors` must be copies made by `copyHigh`. */
  constructor(plan: SupervisorPlan) {
    this.plan = plan;
    this.deadMan = new Timer(plan.descriptors.deadMan);
    const now = monotonicNow();
    const common = { poll: this.poll, isFirstStart: plan.standbyOf === undefined };
    this.warden = new ChildSlot({
      ...common,
      role: "warden",
      token: WARDEN,
      startAt: now,
      command: () => this.wardenCommand(),
    });
    this.reporter = new ChildSlot({
      ...common,
      role: "reporter",
      token: REPORTER,
      startAt: now,
      command: () => this.reporterCommand(),
    });
    this.standby = new ChildSlot({
      ...common,
      role: "standby",
      token: STANDBY,
      startAt: common.isFirstStart ? now + standbyAfter : now,
      command: () => this.standbyCommand(),
    });
    this.examiner = new ChildSlot({
      ...common,
      role: "examiner",
      token: EXAMINER,
      startAt: now,
      command: () => this.examinerCommand(),
      // A run goes on without one.
      isFirstStart: false,
    });
    this.posts = [this.warden, this.reporter, this.examiner, this.standby];
    this.poll.add(this.signals.fd, SIGNALS, EPOLLIN);
    this.poll.add(this.deadMan.fd, DEAD_MAN, EPOLLIN);
    // Not every hang-up of a terminal comes as a signal: npm's scripts, for one, are not told.
    if (isatty(SCREEN)) this.poll.add(SCREEN, TERMINAL, 0);
  }

  /** Runs until told to stop, or until a first process refuses; gives the exit code. */
  async run(): Promise<number> {
    if (this.plan.standbyOf !== undefined) this.takeOver();
    for (;;) {
      const now = monotonicNow();
      if (this.stopping === undefined) this.fillPosts(now);
      if (this.stopping !== undefined && this.stopFurther(this.stopping, now)) return this.stopping.code;
      const ready = this.poll.wait(this.waitMs());
      for (let i = 0; i < ready; i += 1) await this.handle(this.poll.tokens[i]);
    }
  }

  [Symbol.dispose](): void {
    for (const post of this.posts) post[Symbol.dispose]();
    this.signals[Symbol.dispose]();
    this.poll[Symbol.dispose]();
  }

  private async handle(token: number | undefined): Promise<void> {
    if (token === SIGNALS) this.handleSignals();
    else if (token === DEAD_MAN) this.handleDeadMan();
    else if (token === TERMINAL) this.handleHangUp();
    else if (token === WARDEN) await this.ended(this.warden);
    else if (token === REPORTER) await this.ended(this.reporter);
    else if (token === EXAMINER) await this.ended(this.examiner);
    else if (token === WORK) this.wakeExaminer();
    else if (token === STANDBY) await this.ended(this.standby);
  }

  private fillPosts(now: number): void {
    for (const post of this.posts) {
      if (post.isRunning || post.asleep || post.startAt > now) continue;
      if (post === this.warden) this.deadMan.armOnce(this.plan.deadManMs * startTakesDeadMen * MS);
      if (!post.start()) this.stop(notAllowed);
      if (this.stopping !== undefined) return;
    }
    if (this.straysAt !== undefined && this.straysAt <= now) this.endStrays();
  }

  private async ended(post: ChildSlot): Promise<void> {
    const end = await post.ended();
    const { how, refused, byItself } = end;
    // Whatever it was armed for is gone; the next one must not be killed for it.
    if (post.role === "warden") this.deadMan.disarm();
    if (this.stopping !== undefined) return;
    if (post === this.examiner && byItself) return this.letExaminerSleep();
    if (refused === undefined) {
      log(`the ${post.role} ${how}; starting another`);
      if (post === this.warden) this.considerFallback(end);
      return;
    }
    log(`the ${post.role} ${how}, at its first start; stopping`);
    this.stop(refused);
  }

  /** Gives up the eBPF sensor for the rest of this run once it seems to crash every warden that opens it. */
  private considerFallback({ signal, livedMs }: ChildEnd): void {
    this.crashes = countEarlyCrashes(this.crashes, signal, livedMs);
    if (!this.plan.sensorFallback || this.ebpfRefusal !== undefined || this.crashes < CRASH_LIMIT) return;
    this.ebpfRefusal = `the warden crashed ${this.crashes} times in a row soon after its start, last by ${signal}`;
    log(`${this.ebpfRefusal}; it is started without eBPF until treewarden is restarted`);
  }

  // An examiner that nobody asks ends, and its memory is free; whatever it is for stays where it can be seen.

  private letExaminerSleep(): void {
    this.examiner.asleep = true;
    for (const fd of this.workOfExaminer()) this.poll.add(fd, WORK, EPOLLIN);
  }

  private wakeExaminer(): void {
    // Both may have become ready at once.
    if (!this.examiner.asleep) return;
    this.examiner.asleep = false;
    for (const fd of this.workOfExaminer()) this.poll.remove(fd);
  }

  private workOfExaminer(): readonly number[] {
    const { wardenOfExaminer, packages } = this.plan.descriptors;
    return [wardenOfExaminer, packages];
  }

  private handleSignals(): void {
    for (let signal = this.signals.read(); signal !== 0; signal = this.signals.read()) {
      const { SIGHUP, SIGUSR1 } = constants.signals;
      if (signal === SIGUSR1) this.orderBoth("request");
      else if (signal !== SIGHUP || this.terminals.some(isHungUp)) this.stop(0);
      else this.orderBoth("reload");
    }
  }

  /** Nobody looks any more at what was started to be looked at. */
  private handleHangUp(): void {
    this.poll.remove(SCREEN);
    if (this.stopping === undefined) this.stop(0);
  }

  private handleDeadMan(): void {
    if (this.deadMan.read() === 0 || !this.warden.isRunning) return;
    log(`the warden has not come back to its poll for ${this.plan.deadManMs} ms; killing it`);
    this.warden.kill();
  }

  // Stopping.

  /** Begins to stop, or hurries if that has begun. */
  private stop(code: number): void {
    const now = monotonicNow();
    if (this.stopping !== undefined) {
      this.stopping.wardenBy = Math.min(this.stopping.wardenBy, now + hurriedWithin);
      this.stopping.reporterBy = Math.min(this.stopping.reporterBy, now + 2 * hurriedWithin);
      return;
    }
    const [wardenBy, reporterBy] = [now + wardenEndsWithin, now + reporterEndsWithin];
    this.stopping = { code, wardenBy, reporterBy, reporterTold: false };
    // Before anything else, or it would take our end for a death and go on.
    this.standby.kill();
    // It holds nothing that could be lost.
    this.examiner.kill();
    if (this.warden.isRunning) this.order(this.warden, "stop");
  }

  /** Does what is due on the way to the end; true when all is ended. */
  private stopFurther(stopping: Stopping, now: number): boolean {
    if (this.warden.isRunning) {
      if (now >= stopping.wardenBy) this.killLate(this.warden);
      return false;
    }
    if (this.reporter.isRunning) {
      if (!stopping.reporterTold) this.order(this.reporter, "stop");
      stopping.reporterTold = true;
      if (now >= stopping.reporterBy) this.killLate(this.reporter);
      return false;
    }
    // An examiner that waits for a file system which never answers may not even be killed: init waits for it.
    return !this.standby.isRunning && (!this.examiner.isRunning || now >= stopping.reporterBy);
  }

  private killLate(post: ChildSlot): void {
    if (post.kill()) log(`the ${post.role} did not end in time; killed`);
  }

  /** Milliseconds until something is due, -1 if nothing is. */
  private waitMs(): number {
    const due = this.stopping === undefined ? this.nextStart() : this.nextKill(this.stopping);
    return due === Number.POSITIVE_INFINITY ? -1 : Math.max(0, Math.ceil((due - monotonicNow()) / MS));
  }

  private nextStart(): number {
    let due = this.straysAt ?? Number.POSITIVE_INFINITY;
    for (const post of this.posts) if (!post.isRunning && !post.asleep) due = Math.min(due, post.startAt);
    return due;
  }

  private nextKill(stopping: Stopping): number {
    const post = this.warden.isRunning ? this.warden : this.reporter;
    if (!post.isRunning && this.examiner.isRunning) return stopping.reporterBy;
    if (!post.isRunning || post.beingKilled) return Number.POSITIVE_INFINITY;
    return post === this.warden ? stopping.wardenBy : stopping.reporterBy;
  }

  // Orders.

  private orderBoth(order: SupervisorOrder): void {
    this.order(this.warden, order);
    this.order(this.reporter, order);
  }

  private order(post: ChildSlot, order: SupervisorOrder): void {
    const { controlWarden, controlReporter } = this.plan.descriptors;
    const end = post === this.warden ? controlWarden : controlReporter;
    // Thousands of unread orders: it does not listen, and what it would be told again is in there already.
    if (!sendPacket(end, encodeOrder(order)))
      log(`the ${post.role} does not read its orders: ${order} not sent`);
  }

  // Taking over from a supervisor that died.

  private takeOver(): void {
    log(`supervisor ${this.plan.standbyOf} is gone; ${process.pid} takes over`);
    for (const [post, end] of this.adoptable()) this.adopt(post, end);
    if (!this.warden.isRunning) this.deadMan.disarm();
    this.straysAt = monotonicNow() + straysAfter;
  }

  private adopt(post: ChildSlot, end: number): void {
    for (const pid of holdersOf(end)) if (!post.isRunning) post.adopt(pid, () => holds(pid, end));
  }

  /** Ends holders of a control socket that fill no post: started by a supervisor in the moment of its death. */
  private endStrays(): void {
    this.straysAt = undefined;
    for (const [post, end] of this.adoptable()) {
      for (const pid of holdersOf(end)) if (pid !== post.pid) endStray(post.role, pid, end);
    }
  }

  /** The posts that outlive a supervisor, and the child's end of each one's control pair. */
  private adoptable(): readonly (readonly [ChildSlot, number])[] {
    const { controlOfWarden, controlOfReporter, controlOfExaminer } = this.plan.descriptors;
    return [
      [this.warden, controlOfWarden],
      [this.reporter, controlOfReporter],
      [this.examiner, controlOfExaminer],
    ];
  }

  // Commands.

  private wardenCommand() {
    const { reportOfWarden, controlOfWarden, deadMan, examinerOfWarden } = this.plan.descriptors;
    const descriptors = [reportOfWarden, controlOfWarden, deadMan, examinerOfWarden];
    return {
      args: [
        "warden",
        ...this.plan.wardenArgs,
        ...(this.ebpfRefusal === undefined ? [] : [this.ebpfRefusal]),
      ],
      descriptors,
      environment: wardenEnvironment(process.env),
    };
  }

  private reporterCommand() {
    const { reportOfReporter, controlOfReporter } = this.plan.descriptors;
    return {
      args: ["reporter", ...this.plan.reporterArgs],
      descriptors: [reportOfReporter, controlOfReporter],
      environment: reporterEnvironment(process.env),
      user: this.plan.reporterUser ?? undefined,
    };
  }

  private examinerCommand() {
    const { wardenOfExaminer, controlOfExaminer, packages } = this.plan.descriptors;
    return {
      args: ["examiner", ...this.plan.examinerArgs],
      descriptors: [wardenOfExaminer, controlOfExaminer, packages],
      environment: examinerEnvironment(process.env),
    };
  }

  private standbyCommand() {
    const descriptors: number[] = [];
    const numbers = mapDescriptors(this.plan.descriptors, (fd) => 2 + descriptors.push(fd));
    const plan: SupervisorPlan = { ...this.plan, descriptors: numbers, standbyOf: process.pid };
    return {
      args: ["supervisor", JSON.stringify(plan)],
      descriptors,
      environment: supervisorEnvironment(process.env),
    };
  }
}

function endStray(role: ChildRole, pid: number, end: number): void {
  using handle = pidfdOpen(pid);
  if (handle === null || !holds(pid, end)) return;
  log(`ending a second ${role} (pid ${pid})`);
  handle.signal(constants.signals.SIGKILL);
}
