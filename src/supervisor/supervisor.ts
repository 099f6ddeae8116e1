// The supervisor's event loop: keeps the child processes running, forwards signals to them as orders, kills a child
// that hangs, replaces sockets that were shut down, and shuts everything down in order.
import { constants } from "node:os";
import { monotonicNow } from "../linux/clock.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { EPOLLET, EPOLLIN, Poll } from "../linux/epoll.ts";
import { createSealedFile } from "../linux/memfd.ts";
import { sleepAndRelease } from "../linux/own-memory.ts";
import { pidfdOpen } from "../linux/pidfd.ts";
import { isHungUp } from "../linux/poll.ts";
import { SignalDescriptor } from "../linux/signalfd.ts";
import { sendPacket } from "../linux/socketpair.ts";
import { copyHigh, FIRST_PASSED, type SpawnOptions } from "../linux/spawn.ts";
import { isTerminal } from "../linux/terminal.ts";
import { Timer } from "../linux/timerfd.ts";
import { type ChildEnd, type ChildRole, ChildSlot, UNKNOWN_END } from "./child-slot.ts";
import { CRASH_LIMIT, countEarlyCrashes } from "./crashes.ts";
import { holdersOf, holds } from "./descriptor-holders.ts";
import {
  type Environment,
  examinerEnvironment,
  reporterEnvironment,
  supervisorEnvironment,
  wardenEnvironment,
} from "./environment.ts";
import {
  AFTER_ANOTHER,
  AS_SUCCESSOR,
  encodeOrder,
  encodePids,
  handledSignals,
  type LinkedProcess,
  readControl,
  readWardenMessages,
  type SupervisorOrder,
} from "./inherited.ts";
import { KeptDescriptors, keepAndClose, NOTHING_KEPT } from "./kept-objects.ts";
import { LinkOffers } from "./link-offers.ts";
import { type LinkName, Links } from "./links.ts";
import { log } from "./log.ts";
import { Restarts } from "./restarts.ts";
import { ServiceNotifier } from "./service-notifier.ts";
import { StandbyUpdates } from "./standby-updates.ts";
import { StoppedProcesses } from "./stopped-processes.ts";
import { mapDescriptors, planArguments, type SupervisorPlan } from "./supervisor-plan.ts";
import { TerminalCopy } from "./terminal-copy.ts";
import { WardenHandover } from "./warden-handover.ts";
import { Watchdog } from "./watchdog.ts";

const MS = 1e6;
// A shutdown takes at most 2 s. The warden has to end first, then the reporter; each is killed at its deadline.
const wardenEndsWithin = 1200 * MS;
const reporterEndsWithin = 1800 * MS;
const hurriedWithin = 100 * MS;
// The standby starts 200 ms after the warden, so that it does not compete with the warden's start for CPU.
const standbyAfter = 200 * MS;
// One second after a takeover, every process that the dying supervisor was still starting is visible in /proc.
const orphanCheckAfter = 1000 * MS;
// The warden reads all of /proc before its first poll, so its start may take three watchdog intervals.
const startIntervals = 3;

// Exit code: the kernel or the permissions do not allow it.
const notAllowed = 3;

// A starved process is reported this often.
const starvedReportEvery = 60_000 * MS;
// The warden's share of the CPU where other programs take all of it: it has to see events before the kernel's buffer is
// full, and needs little CPU for it.
const wardenNice = -10;

const SIGNALS = 1;
const DEAD_MAN = 2;
const WARDEN = 3;
const REPORTER = 4;
const STANDBY = 5;
const EXAMINER = 6;
const TERMINAL = 7;
const WORK = 8;
const DEAD_MAN_OF_REPORTER = 9;
const DEAD_MAN_OF_EXAMINER = 10;
const OUTPUT = 11;
const ERRORS = 12;
const SUCCESSOR = 13;
const SUCCESSOR_CONTROL = 14;
/** And the next four. */
const LINKS = 16;

const STDOUT = 1;
const STDERR = 2;
/** Standard output, where the live view is printed. */
const LIVE_VIEW = STDOUT;

/** Which process is killed when one of its links was shut down. The warden goes on without reporter and examiner. */
const offenders = {
  report: "reporter",
  examiner: "examiner",
  controlWarden: "warden",
  controlReporter: "reporter",
  controlExaminer: "examiner",
} as const satisfies Readonly<Record<LinkName, ChildRole>>;

type WordOrder = Extract<SupervisorOrder, string>;

interface Stopping {
  readonly code: number;
  wardenBy: number;
  reporterBy: number;
  reporterStopSent: boolean;
}

export class Supervisor implements Disposable {
  private readonly plan: SupervisorPlan;
  private readonly poll = new Poll();
  private readonly signals = new SignalDescriptor(handledSignals);
  private readonly links: Links;
  private readonly warden: ChildSlot;
  private readonly reporter: ChildSlot;
  private readonly examiner: ChildSlot;
  private readonly standby: ChildSlot;
  private readonly slots: readonly ChildSlot[];
  private readonly watchdogs: ReadonlyMap<ChildSlot, Watchdog>;
  private readonly copies: ReadonlyMap<number, TerminalCopy>;
  private readonly terminals = [0, STDOUT, STDERR].filter((fd) => isTerminal(fd));
  private readonly offers = new LinkOffers();
  private readonly standbyUpdates = new StandbyUpdates();
  private readonly stopped: StoppedProcesses;
  private readonly notifier: ServiceNotifier;
  private readonly restarts = new Restarts();
  private readonly handover: WardenHandover;
  private kept: KeptDescriptors;
  /** Child slots whose process has ended, and how, so that the next start is a restart. */
  private readonly ended = new Map<ChildSlot, string>();
  /** The plan file of every standby that this supervisor starts; created with the first one and reused. */
  private standbyPlan: number | undefined;
  /** The file that describes to the last warden that was started what is kept. */
  private keptFile: number | undefined;
  /** The children's ends at a takeover: a child that the previous supervisor was starting then has one of them. */
  private orphanEnds: readonly (readonly [ChildSlot, number])[] = [];
  /** When to look for orphans of the previous supervisor; ns, CLOCK_MONOTONIC. */
  private orphanCheckAt: number | undefined;
  private starvedReportAt = 0;
  /** Early crashes of the warden in a row. */
  private earlyCrashes = 0;
  /** Why the warden is started without eBPF; undefined while it may use eBPF. */
  private ebpfRefusal: string | undefined;
  private stopping: Stopping | undefined;
  /** A child has ended for which the runtime's event loop has not had a turn. */
  private hasZombie = false;
  /** The pids that the warden was sent last. */
  private sentPids = "";

  /** The descriptors in `plan.descriptors` must be copies made by `copyHigh`. `kept`: of the warden that runs, if one does. */
  constructor(plan: SupervisorPlan, kept = new KeptDescriptors()) {
    this.plan = plan;
    this.kept = kept;
    const now = monotonicNow();
    const isFirstSupervisor = plan.standbyOf === undefined;
    const common = { poll: this.poll, failureEndsRun: isFirstSupervisor };
    this.links = new Links({
      descriptors: plan.descriptors,
      poll: this.poll,
      firstToken: LINKS,
      areFresh: isFirstSupervisor,
      onNew: (update) => {
        if (!this.standbyUpdates.send(update)) this.standby.kill();
      },
    });
    this.warden = new ChildSlot({
      ...common,
      role: "warden",
      token: WARDEN,
      startAt: now,
      command: () => {
        this.renewLinks(this.warden);
        return this.wardenCommand(this.links.descriptors.controlOfWarden, this.kept, []);
      },
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
      startAt: isFirstSupervisor ? now + standbyAfter : now,
      command: () => this.standbyCommand(),
    });
    this.examiner = new ChildSlot({
      ...common,
      role: "examiner",
      token: EXAMINER,
      startAt: now,
      command: () => this.examinerCommand(),
      // treewarden also works without an examiner.
      failureEndsRun: false,
    });
    this.handover = new WardenHandover({
      poll: this.poll,
      endToken: SUCCESSOR,
      controlToken: SUCCESSOR_CONTROL,
      command: (controlOfWarden) =>
        this.wardenCommand(controlOfWarden, new KeptDescriptors(), [AS_SUCCESSOR]),
      stopPresent: () => {
        if (this.warden.isRunning) this.send(this.warden, "stop");
      },
      killPresent: () => void this.warden.kill(),
    });
    this.slots = [this.warden, this.reporter, this.examiner, this.standby];
    const { deadMan, deadManOfReporter, deadManOfExaminer } = plan.descriptors;
    this.watchdogs = new Map([
      [this.warden, new Watchdog(new Timer(deadMan))],
      [this.reporter, new Watchdog(new Timer(deadManOfReporter))],
      [this.examiner, new Watchdog(new Timer(deadManOfExaminer))],
    ]);
    this.stopped = new StoppedProcesses(now);
    this.notifier = new ServiceNotifier(plan.serviceManager, now);
    this.poll.add(this.signals.fd, SIGNALS, EPOLLIN);
    this.poll.add(deadMan, DEAD_MAN, EPOLLIN | EPOLLET);
    this.poll.add(deadManOfReporter, DEAD_MAN_OF_REPORTER, EPOLLIN | EPOLLET);
    this.poll.add(deadManOfExaminer, DEAD_MAN_OF_EXAMINER, EPOLLIN | EPOLLET);
    this.copies = this.openCopies();
    // A terminal that is closed does not always send SIGHUP: under npm scripts, for example, it does not.
    if (isTerminal(LIVE_VIEW)) this.poll.add(LIVE_VIEW, TERMINAL, 0);
  }

  /** Runs until a stop signal, or until a child refuses its first start. Resolves with the exit code. */
  async run(): Promise<number> {
    // The runtime's event loop lets blocked signals through while it waits; what comes then is not lost.
    for (const name of handledSignals) process.on(name, () => this.onSignal(constants.signals[name]));
    if (this.plan.standbyOf !== undefined) this.takeOver();
    for (;;) {
      const now = monotonicNow();
      if (this.stopping === undefined) this.startMissing(now);
      this.sendPids();
      if (this.stopping !== undefined && this.continueShutdown(this.stopping, now)) {
        for (const copy of this.copies.values()) copy.work();
        return this.stopping.code;
      }
      const ready = this.poll.wait(this.waitMs());
      for (let i = 0; i < ready; i += 1) this.handle(this.poll.tokens[i]);
      // The runtime gives back what it holds of a child that has ended.
      if (this.hasZombie) await sleepAndRelease(5);
      this.hasZombie = false;
    }
  }

  [Symbol.dispose](): void {
    for (const slot of this.slots) slot[Symbol.dispose]();
    this.handover[Symbol.dispose]();
    for (const copy of this.copies.values()) copy[Symbol.dispose]();
    this.signals[Symbol.dispose]();
    this.poll[Symbol.dispose]();
  }

  private handle(token: number | undefined): void {
    if (token === SIGNALS) this.handleSignals();
    else if (token === DEAD_MAN) this.handleExpiration(this.warden);
    else if (token === DEAD_MAN_OF_REPORTER) this.handleExpiration(this.reporter);
    else if (token === DEAD_MAN_OF_EXAMINER) this.handleExpiration(this.examiner);
    else if (token === TERMINAL) this.handleHangUp();
    else if (token === WARDEN) this.onChildEnd(this.warden);
    else if (token === SUCCESSOR) this.handover.onSuccessorEnd();
    else if (token === SUCCESSOR_CONTROL) this.handover.onControl(monotonicNow());
    else if (token === REPORTER) this.onChildEnd(this.reporter);
    else if (token === EXAMINER) this.onChildEnd(this.examiner);
    else if (token === WORK) this.wakeExaminer();
    else if (token === STANDBY) this.onChildEnd(this.standby);
    else if (token === OUTPUT || token === ERRORS) this.copies.get(token)?.work();
    else if (token !== undefined) this.handleLink(token);
  }

  private startMissing(now: number): void {
    for (const slot of this.slots) {
      if (slot.isRunning || slot.asleep || slot.startAt > now) continue;
      this.watchdogs.get(slot)?.arm(this.plan.deadManMs * startIntervals);
      if (!slot.start()) this.stop(notAllowed);
      const ended = this.ended.get(slot);
      if (ended !== undefined && slot.isRunning && this.ended.delete(slot))
        this.restarts.add({ restarted: slot.role, ended });
      if (this.stopping !== undefined) return;
    }
    if (this.orphanCheckAt !== undefined && this.orphanCheckAt <= now) this.killOrphans();
    if (this.stopped.dueAt <= now) this.killStopped(now);
    if (this.offers.dueAt <= now) this.offers.send(this.links.descriptors);
    this.notifier.keepAlive(now);
    if (this.handover.dueAt <= now) this.handover.onOverdue();
    if (this.warden.isRunning)
      this.restarts.send((restarted) =>
        sendPacket(this.links.descriptors.controlWarden, encodeOrder(restarted)),
      );
  }

  /** Names the processes of the run to the warden, which measures what they cost. */
  private sendPids(): void {
    const pids = {
      supervisor: process.pid,
      ...Object.fromEntries(this.slots.flatMap(({ role, pid }) => (pid === undefined ? [] : [[role, pid]]))),
    };
    const key = Object.values(pids).join();
    if (key === this.sentPids || !this.warden.isRunning) return;
    this.sentPids = key;
    // If the socket is full, the warden misses what a process costs, and nothing else.
    sendPacket(this.links.descriptors.controlWarden, encodePids(pids));
  }

  private onChildEnd(slot: ChildSlot): void {
    const end = slot.ended();
    this.hasZombie = true;
    const { description, permanentFailure, finished } = end;
    // The timer was armed by the process that has ended; it must not expire for the next one.
    this.watchdogs.get(slot)?.disarm();
    if (slot === this.standby) this.standbyUpdates.close();
    if (this.stopping !== undefined) return;
    if (slot === this.warden && this.proceedWithSuccessor()) return;
    const linkLost = this.links.wasShutDown("examiner") || this.links.wasShutDown("controlExaminer");
    if (slot === this.examiner && finished && !linkLost) {
      this.letExaminerSleep();
      return;
    }
    this.ended.set(slot, end.shortly);
    if (slot === this.warden) this.restarts.onWardenEnd(end.livedMs);
    if (permanentFailure === undefined) {
      log(`the ${slot.role} ${description}; starting another`);
      if (slot === this.warden) this.notifier.status(`the warden ${description}; starting another`);
      if (slot === this.warden) this.considerFallback(end);
      return;
    }
    log(`the ${slot.role} ${description}, at its first start; stopping`);
    this.stop(permanentFailure);
  }

  /** The warden has ended; true if its successor is ready, and takes over. */
  private proceedWithSuccessor(): boolean {
    const successor = this.handover.finish(this.warden);
    if (successor === undefined) return false;
    const { pair, kept } = successor;
    // Before the standby gets the pair: it lets a successor proceed whose timer is set.
    this.watchdogs.get(this.warden)?.arm(this.plan.deadManMs * startIntervals);
    const isReloadUnread = this.hasUnreadReload();
    this.links.replace("controlWarden", { ...pair });
    this.kept.replace(NOTHING_KEPT);
    this.kept = kept;
    this.passKeptToStandby();
    this.send(this.warden, "proceed");
    if (isReloadUnread) this.send(this.warden, "reload");
    // They may have been replaced since the successor was started. Getting an end again changes nothing.
    for (const link of ["reporter", "examiner"] as const) this.offer(link, false);
    return true;
  }

  /** Gives up the eBPF sensor for the rest of this run once it seems to crash every warden that opens it. */
  private considerFallback({ signal, livedMs }: ChildEnd): void {
    this.earlyCrashes = countEarlyCrashes(this.earlyCrashes, signal, livedMs);
    // What is kept may be what crashes every warden that goes on with it.
    if (this.earlyCrashes > 1) {
      this.kept.replace(NOTHING_KEPT);
      this.passKeptToStandby();
    }
    if (!this.plan.sensorFallback || this.ebpfRefusal !== undefined || this.earlyCrashes < CRASH_LIMIT)
      return;
    this.ebpfRefusal = `the warden crashed ${this.earlyCrashes} times in a row soon after its start, last by ${signal}`;
    log(`${this.ebpfRefusal}; it is started without eBPF until treewarden is restarted`);
  }

  // An idle examiner ends to free its memory. Its request socket and its watch stay open here, and the examiner is
  // started again when one of them becomes readable.

  private letExaminerSleep(): void {
    this.examiner.asleep = true;
    this.poll.add(this.plan.descriptors.packages, WORK, EPOLLIN);
    this.links.watchInput("examiner", "wardenOfExaminer", true);
  }

  private wakeExaminer(): void {
    // Both descriptors may become ready in one poll; the second event has nothing left to do.
    if (!this.examiner.asleep) return;
    this.examiner.asleep = false;
    this.poll.remove(this.plan.descriptors.packages);
    this.links.watchInput("examiner", "wardenOfExaminer", false);
  }

  private handleSignals(): void {
    for (let signal = this.signals.read(); signal !== 0; signal = this.signals.read()) this.onSignal(signal);
  }

  private onSignal(signal: number): void {
    const { SIGHUP, SIGUSR1 } = constants.signals;
    if (signal === SIGUSR1) this.sendToBoth("request");
    else if (signal !== SIGHUP || this.terminals.some(isHungUp)) this.stop(0);
    else this.sendToBoth("reload");
  }

  /** The terminal of the live view was closed, so the run stops. */
  private handleHangUp(): void {
    this.poll.remove(LIVE_VIEW);
    if (this.stopping === undefined) this.stop(0);
  }

  // Processes that hang.

  private handleExpiration(slot: ChildSlot): void {
    const stall = slot.pid === undefined ? undefined : this.watchdogs.get(slot)?.onExpiration(slot.pid);
    if (stall === undefined || slot.isBeingKilled) return;
    const late = `the ${slot.role} has not come back to its poll for ${stall.lateMs} ms`;
    if (stall.kind === "hangs") {
      log(`${late}, and ${stall.how}; killing it`);
      slot.kill();
      return;
    }
    const now = monotonicNow();
    if (now < this.starvedReportAt) return;
    this.starvedReportAt = now + starvedReportEvery;
    log(`${late}, but it got only ${stall.cpuMs} ms of CPU: other programs take it; waiting`);
  }

  private killStopped(now: number): void {
    // Nobody waits for the examiner.
    const watched = [this.warden, this.reporter];
    const tooLong = this.stopped.look(
      watched.flatMap(({ pid }) => pid ?? []),
      now,
    );
    for (const slot of watched)
      if (slot.pid !== undefined && tooLong.includes(slot.pid) && slot.kill())
        log(`the ${slot.role} is stopped; killing it`);
  }

  // Links.

  private handleLink(token: number): void {
    const name = this.links.withToken(token);
    if (name === undefined) return;
    if (!this.links.noticeShutdown(name)) {
      if (name === "examiner") this.wakeExaminer();
      else if (name === "controlWarden") this.readFromWarden();
      return;
    }
    if (this.stopping !== undefined) return;
    const offender = offenders[name];
    log(`the link between ${this.links.between(name)} was shut down; replacing it and the ${offender}`);
    for (const slot of this.slots) if (slot.role === offender) slot.kill();
    if (offender === "examiner") this.wakeExaminer();
  }

  private readFromWarden(): void {
    const messages = readWardenMessages(this.links.descriptors.controlWarden);
    for (const message of messages) {
      if (typeof message !== "object" || !("keep" in message)) continue;
      keepAndClose(message.keep, this.stopping === undefined ? this.kept : undefined);
      this.passKeptToStandby();
    }
    if (this.stopping !== undefined) return;
    for (const message of messages)
      if (message === "successor") this.handover.begin(monotonicNow());
      else if (typeof message === "object" && "watching" in message) this.notifier.ready(message.watching);
  }

  /** The next supervisor must have what is kept, too. */
  private passKeptToStandby(): void {
    if (!this.standbyUpdates.sendKept(this.kept.value)) this.standby.kill();
  }

  /** Gives a child that is about to start its own links, which no other process has ever had. */
  private renewLinks(slot: ChildSlot): void {
    if (slot === this.warden) {
      const isReloadUnread = this.hasUnreadReload();
      this.links.renew("controlWarden");
      this.offers.clear();
      if (isReloadUnread) this.send(this.warden, "reload");
    } else if (slot === this.reporter) {
      const wasShutDown = this.links.wasShutDown("report") || this.links.wasShutDown("controlReporter");
      this.links.renew("controlReporter");
      if (this.links.renew("report")) this.offer("reporter", wasShutDown);
    } else if (slot === this.examiner) {
      const wasShutDown = this.links.wasShutDown("examiner");
      this.links.renew("controlExaminer");
      // Questions wait in the socket while no examiner runs, so it is kept as long as it is intact.
      if (wasShutDown && this.links.renew("examiner")) this.offer("examiner", wasShutDown);
    }
  }

  /**
   * Whether the warden that has ended has not read an order to reload, which the next one then gets. It reads requests
   * when it starts, and all other orders were meant for one process.
   */
  private hasUnreadReload(): boolean {
    return readControl(this.links.descriptors.controlOfWarden).includes("reload");
  }

  /** Passes the warden that runs its new end of a link. */
  private offer(link: LinkedProcess, wasShutDown: boolean): void {
    if (!this.warden.isRunning) return;
    this.offers.add(link, wasShutDown);
    this.offers.send(this.links.descriptors);
  }

  private openCopies(): ReadonlyMap<number, TerminalCopy> {
    const { output, errors } = this.plan.descriptors;
    const copies = new Map<number, TerminalCopy>();
    if (output !== undefined) copies.set(OUTPUT, new TerminalCopy(this.poll, OUTPUT, output, STDOUT));
    if (errors !== undefined) copies.set(ERRORS, new TerminalCopy(this.poll, ERRORS, errors, STDERR));
    return copies;
  }

  // Shutdown.

  /** Begins the shutdown; a second call shortens the deadlines of one that has begun. */
  private stop(code: number): void {
    const now = monotonicNow();
    if (this.stopping !== undefined) {
      this.stopping.wardenBy = Math.min(this.stopping.wardenBy, now + hurriedWithin);
      this.stopping.reporterBy = Math.min(this.stopping.reporterBy, now + 2 * hurriedWithin);
      return;
    }
    const [wardenBy, reporterBy] = [now + wardenEndsWithin, now + reporterEndsWithin];
    this.stopping = { code, wardenBy, reporterBy, reporterStopSent: false };
    this.notifier.stopping();
    // The standby goes first: it would take the end of this process for a crash and take over.
    this.standby.kill();
    // The examiner has no state to save.
    this.examiner.kill();
    this.handover.cancel();
    if (this.warden.isRunning) this.send(this.warden, "stop");
  }

  /** Takes the next step of the shutdown; true when every child has ended. */
  private continueShutdown(stopping: Stopping, now: number): boolean {
    if (this.warden.isRunning) {
      if (now >= stopping.wardenBy) this.killLate(this.warden);
      return false;
    }
    if (this.reporter.isRunning) {
      if (!stopping.reporterStopSent) this.send(this.reporter, "stop");
      stopping.reporterStopSent = true;
      if (now >= stopping.reporterBy) this.killLate(this.reporter);
      return false;
    }
    // An examiner blocked in a file system that does not answer cannot even be killed; init reaps it later.
    return !this.standby.isRunning && (!this.examiner.isRunning || now >= stopping.reporterBy);
  }

  private killLate(slot: ChildSlot): void {
    if (slot.kill()) log(`the ${slot.role} did not end in time; killed`);
  }

  /** Milliseconds until the next start or deadline, -1 if there is none. */
  private waitMs(): number {
    const deadline = this.stopping === undefined ? this.nextStart() : this.nextKill(this.stopping);
    return deadline === Number.POSITIVE_INFINITY
      ? -1
      : Math.max(0, Math.ceil((deadline - monotonicNow()) / MS));
  }

  private nextStart(): number {
    let earliest = Math.min(
      this.orphanCheckAt ?? Number.POSITIVE_INFINITY,
      this.stopped.dueAt,
      this.offers.dueAt,
      this.notifier.dueAt,
      this.handover.dueAt,
    );
    for (const slot of this.slots)
      if (!slot.isRunning && !slot.asleep) earliest = Math.min(earliest, slot.startAt);
    return earliest;
  }

  private nextKill(stopping: Stopping): number {
    const slot = this.warden.isRunning ? this.warden : this.reporter;
    if (!slot.isRunning && this.examiner.isRunning) return stopping.reporterBy;
    if (!slot.isRunning || slot.isBeingKilled) return Number.POSITIVE_INFINITY;
    return slot === this.warden ? stopping.wardenBy : stopping.reporterBy;
  }

  // Orders.

  private sendToBoth(order: WordOrder): void {
    this.send(this.warden, order);
    this.send(this.reporter, order);
  }

  private send(slot: ChildSlot, order: WordOrder): void {
    const { controlWarden, controlReporter } = this.links.descriptors;
    const socket = slot === this.warden ? controlWarden : controlReporter;
    // A full socket holds thousands of unread orders, so dropping this one loses nothing.
    if (!sendPacket(socket, encodeOrder(order)))
      log(`the ${slot.role} does not read its orders: ${order} not sent`);
  }

  // Taking over from a supervisor that died.

  private takeOver(): void {
    log(`supervisor ${this.plan.standbyOf} is gone; ${process.pid} takes over`);
    this.notifier.tookOver();
    this.restarts.add({ restarted: "supervisor", ended: UNKNOWN_END });
    for (const [slot, socket] of this.adoptable()) this.adopt(slot, socket);
    for (const [slot, watchdog] of this.watchdogs) if (!slot.isRunning) watchdog.disarm();
    // The warden may be a successor that waits for this order, because the previous supervisor died before it could send
    // it. That one has set the timer. Every other warden ignores the order.
    if (this.warden.isRunning) this.send(this.warden, "proceed");
    // The previous supervisor may have died before it could pass on an end. Getting it again changes nothing.
    for (const link of ["reporter", "examiner"] as const) this.offer(link, false);
    this.orphanEnds = this.adoptable().map(([slot, socket]) => [slot, copyHigh(socket)]);
    this.orphanCheckAt = monotonicNow() + orphanCheckAfter;
  }

  private adopt(slot: ChildSlot, controlSocket: number): void {
    for (const pid of holdersOf(controlSocket, this.users))
      if (!slot.isRunning) slot.adopt(pid, () => holds(pid, controlSocket, this.users));
  }

  /** Kills children that were not adopted: the previous supervisor was starting them when it died. */
  private killOrphans(): void {
    this.orphanCheckAt = undefined;
    const own = new Set(this.slots.map(({ pid }) => pid));
    for (const [slot, socket] of this.orphanEnds) {
      for (const pid of holdersOf(socket, this.users))
        if (!own.has(pid)) killOrphan(slot.role, pid, socket, this.users);
      closeDescriptor(socket);
    }
    this.orphanEnds = [];
  }

  /** The real users of children. The reporter's is this process's own until it has changed it. */
  private get users(): ReadonlySet<number> {
    const { reporterUid } = this.plan;
    return new Set([process.getuid?.() ?? 0, ...(reporterUid === undefined ? [] : [reporterUid])]);
  }

  /** The child slots whose processes survive a supervisor, each with the child's end of its control pair. */
  private adoptable(): readonly (readonly [ChildSlot, number])[] {
    const { controlOfWarden, controlOfReporter, controlOfExaminer } = this.links.descriptors;
    return [
      [this.warden, controlOfWarden],
      [this.reporter, controlOfReporter],
      [this.examiner, controlOfExaminer],
    ];
  }

  // Commands.

  /**
   * `controlOfWarden`: the warden's end of its control pair. `kept`: what it may go on with. `more`: arguments after the
   * reason to leave out eBPF.
   */
  private wardenCommand(
    controlOfWarden: number,
    kept: KeptDescriptors,
    more: readonly string[],
  ): SpawnOptions {
    const { reportOfWarden, deadMan, examinerOfWarden, wardenPlan } = this.links.descriptors;
    if (this.keptFile !== undefined) closeDescriptor(this.keptFile);
    const [keptFile, ...keptObjects] = kept.forWarden();
    this.keptFile = keptFile;
    const descriptors = [
      ...[reportOfWarden, controlOfWarden, deadMan, examinerOfWarden, keptFile],
      ...keptObjects,
    ];
    const command = this.command("warden", descriptors, wardenPlan, wardenEnvironment(process.env));
    const last = more.length === 0 && this.ebpfRefusal === undefined ? [] : [this.ebpfRefusal ?? "", ...more];
    return { ...command, args: [...command.args, ...last], nice: wardenNice };
  }

  private reporterCommand(): SpawnOptions {
    this.renewLinks(this.reporter);
    const {
      reportOfReporter,
      controlOfReporter,
      deadManOfReporter,
      reporterPlan,
      outputOfReporter,
      errorsOfReporter,
    } = this.links.descriptors;
    const descriptors = [reportOfReporter, controlOfReporter, deadManOfReporter];
    const command = this.command("reporter", descriptors, reporterPlan, reporterEnvironment(process.env));
    const isFirst = this.plan.standbyOf === undefined && !this.ended.has(this.reporter);
    const args = isFirst ? command.args : [...command.args, AFTER_ANOTHER];
    return { ...command, args, output: outputOfReporter, errors: errorsOfReporter };
  }

  private examinerCommand(): SpawnOptions {
    this.renewLinks(this.examiner);
    const { wardenOfExaminer, controlOfExaminer, packages, deadManOfExaminer, examinerPlan } =
      this.links.descriptors;
    const descriptors = [wardenOfExaminer, controlOfExaminer, packages, deadManOfExaminer];
    return this.command("examiner", descriptors, examinerPlan, examinerEnvironment(process.env));
  }

  private standbyCommand(): SpawnOptions {
    const descriptors: number[] = [];
    const numbers = mapDescriptors(this.links.descriptors, (fd) => FIRST_PASSED - 1 + descriptors.push(fd));
    const updates = FIRST_PASSED - 1 + descriptors.push(this.standbyUpdates.open());
    this.standbyUpdates.sendKept(this.kept.value);
    this.standbyPlan ??= createStandbyPlan({
      ...this.plan,
      descriptors: numbers,
      standbyOf: process.pid,
      updates,
    });
    return this.command("standby", descriptors, this.standbyPlan, supervisorEnvironment(process.env));
  }

  /** The child inherits `descriptors`, followed by the descriptor of its plan. */
  private command(
    role: ChildRole,
    descriptors: readonly number[],
    plan: number,
    environment: Environment,
  ): SpawnOptions {
    const args = [role, ...planArguments(this.plan.runId, FIRST_PASSED + descriptors.length)];
    return { args, descriptors: [...descriptors, plan], environment };
  }
}

function createStandbyPlan(plan: SupervisorPlan): number {
  const fd = createSealedFile("standby-plan", JSON.stringify(plan));
  const copy = copyHigh(fd);
  closeDescriptor(fd);
  return copy;
}

function killOrphan(role: ChildRole, pid: number, controlSocket: number, users: ReadonlySet<number>): void {
  using handle = pidfdOpen(pid);
  if (handle === null || !holds(pid, controlSocket, users)) return;
  log(`ending a second ${role} (pid ${pid})`);
  handle.signal(constants.signals.SIGKILL);
}
