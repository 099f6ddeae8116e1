// A child slot: one of the child processes that must always run, and the process that currently does.
import { constants } from "node:os";
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, type Poll } from "../linux/epoll.ts";
import { type PidDescriptor, pidfdOpen } from "../linux/pidfd.ts";
import { type Spawned, type SpawnOptions, spawnSelf } from "../linux/spawn.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { restartDelay } from "./backoff.ts";
import { log } from "./log.ts";

export type ChildRole = "warden" | "reporter" | "examiner" | "standby";

interface Child {
  readonly pid: number;
  readonly handle: PidDescriptor;
  /** ns, CLOCK_MONOTONIC. */
  readonly startedAt: number;
  /** Null for a process that a previous supervisor started: init reaps it. */
  readonly spawned: Spawned | null;
}

export interface ChildSlotOptions {
  readonly role: ChildRole;
  readonly poll: Poll;
  /** Becomes ready in `poll` when the process has ended. */
  readonly token: number;
  /** Gives the command that starts the process; called for each start. */
  readonly command: () => SpawnOptions;
  /** When to start the process for the first time; ns, CLOCK_MONOTONIC. */
  readonly startAt: number;
  /** This is the first start of a run, see `ChildEnd.refused`. */
  readonly isFirstStart: boolean;
}

export class ChildSlot implements Disposable {
  readonly role: ChildRole;
  /** When to start the next process if none runs; ns, CLOCK_MONOTONIC. */
  startAt: number;
  /** No process is started until there is work for it. */
  asleep = false;
  private readonly options: ChildSlotOptions;
  private child: Child | undefined;
  private lastDelay: number | undefined;
  private mayRefuse: boolean;
  private killed = false;

  constructor(options: ChildSlotOptions) {
    this.role = options.role;
    this.options = options;
    this.startAt = options.startAt;
    this.mayRefuse = options.isFirstStart;
  }

  get isRunning(): boolean {
    return this.child !== undefined;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /**
   * Starts a process. A failed start counts as a process that ended at once. False if the first start of the run has
   * failed, because the next one would fail for the same reason.
   */
  start(): boolean {
    try {
      const spawned = spawnSelf(this.options.command());
      // The pid cannot have been reused: the child has not been waited for yet.
      const handle = pidfdOpen(spawned.pid);
      if (handle !== null) this.occupy({ pid: spawned.pid, handle, startedAt: monotonicNow(), spawned });
    } catch (problem) {
      log(`cannot start the ${this.role}: ${messageOf(problem)}`);
    }
    if (!this.isRunning) this.postpone(0);
    return this.isRunning || !this.mayRefuse;
  }

  /**
   * Takes over a process that a previous supervisor started. `isChild` is called when a pidfd on `pid` is open, and
   * must say whether the process is that child: only then the pid cannot be reused any more.
   */
  adopt(pid: number, isChild: () => boolean): void {
    const handle = pidfdOpen(pid);
    if (handle === null) return;
    if (isChild()) this.occupy({ pid, handle, startedAt: monotonicNow(), spawned: null });
    else handle[Symbol.dispose]();
  }

  /** Sends SIGKILL; false if it was sent before. */
  kill(): boolean {
    if (this.killed) return false;
    this.killed = true;
    try {
      this.child?.handle.signal(constants.signals.SIGKILL);
    } catch (problem) {
      log(`cannot kill the ${this.role}: ${messageOf(problem)}`);
    }
    return true;
  }

  get beingKilled(): boolean {
    return this.killed;
  }

  /** Must be called when the process has ended: empties the slot and sets the time of the next start. */
  async ended(): Promise<ChildEnd> {
    const { child } = this;
    if (child === undefined) return { ...unknownEnd, description: "was not there" };
    this.options.poll.remove(child.handle.fd);
    child.handle[Symbol.dispose]();
    this.child = undefined;
    const livedMs = (monotonicNow() - child.startedAt) / 1e6;
    this.postpone(livedMs);
    const { spawned } = child;
    await spawned?.exited;
    const { mayRefuse } = this;
    this.mayRefuse = false;
    const after = `after ${(livedMs / 1000).toFixed(1)} s`;
    if (spawned === null) return { ...unknownEnd, livedMs };
    const { signalCode: signal } = spawned;
    if (signal !== null)
      return { ...unknownEnd, description: `was ended by ${signal} ${after}`, livedMs, signal };
    const code = spawned.exitCode ?? 0;
    const refused = mayRefuse && (code === 2 || code === 3) ? code : undefined;
    const description = `ended with exit code ${code} ${after}`;
    return { ...unknownEnd, description, livedMs, refused, byItself: code === 0 };
  }

  [Symbol.dispose](): void {
    this.child?.handle[Symbol.dispose]();
  }

  private occupy(child: Child): void {
    this.child = child;
    this.killed = false;
    this.options.poll.add(child.handle.fd, this.options.token, EPOLLIN);
  }

  private postpone(livedMs: number): void {
    this.lastDelay = restartDelay(this.lastDelay, livedMs);
    this.startAt = monotonicNow() + this.lastDelay * 1e6;
  }
}

export interface ChildEnd {
  /** Text for the log: "was ended by SIGKILL after 3.2 s". */
  readonly description: string;
  /**
   * The exit code 2 (wrong use, bad configuration) or 3 (not allowed) of the first process of a run: a restart would
   * fail for the same reason.
   */
  readonly refused: number | undefined;
  /** The process exited with code 0, because it had no work left. */
  readonly byItself: boolean;
  readonly livedMs: number;
  /** The signal that ended the process; null if it exited by itself, or if that is not known. */
  readonly signal: string | number | null;
}

/** The exit status of an adopted process is not known: init reaps it. */
const unknownEnd: ChildEnd = {
  description: "ended",
  refused: undefined,
  byItself: false,
  livedMs: 0,
  signal: null,
};
