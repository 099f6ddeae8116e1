// A child slot: one of the child processes that must always run, and the process that currently does.
import { constants } from "node:os";
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, type Poll } from "../linux/epoll.ts";
import { type PidDescriptor, pidfdOpen } from "../linux/pidfd.ts";
import { type SpawnOptions, spawnSelf } from "../linux/spawn.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { restartDelay } from "./backoff.ts";
import { log } from "./log.ts";

export type ChildRole = "warden" | "reporter" | "examiner" | "standby";

interface Child {
  readonly pid: number;
  readonly handle: PidDescriptor;
  /** ns, CLOCK_MONOTONIC. */
  readonly startedAt: number;
}

export interface ChildSlotOptions {
  readonly role: ChildRole;
  readonly poll: Poll;
  /** The token that `poll` reports when the process has ended. */
  readonly token: number;
  /** Returns the command that starts the process; called for each start. */
  readonly command: () => SpawnOptions;
  /** When to start the process for the first time; ns, CLOCK_MONOTONIC. */
  readonly startAt: number;
  /** Whether the run ends if the first start fails, see `ChildEnd.permanentFailure`. Later starts are retried. */
  readonly failureEndsRun: boolean;
}

export class ChildSlot implements Disposable {
  readonly role: ChildRole;
  /** When to start the next process if none runs; ns, CLOCK_MONOTONIC. */
  startAt: number;
  /** While true, no process is started, because there is no work for it. */
  asleep = false;
  private readonly options: ChildSlotOptions;
  private child: Child | undefined;
  private lastDelay: number | undefined;
  private failureEndsRun: boolean;
  private killed = false;

  constructor(options: ChildSlotOptions) {
    this.role = options.role;
    this.options = options;
    this.startAt = options.startAt;
    this.failureEndsRun = options.failureEndsRun;
  }

  get isRunning(): boolean {
    return this.child !== undefined;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /**
   * Starts a process. A failed start counts as a process that ended at once. Returns false if the failure ends the run,
   * because the next start would fail for the same reason.
   */
  start(): boolean {
    try {
      const pid = spawnSelf(this.options.command());
      // The pid cannot have been reused: the child has not been waited for yet.
      const handle = pidfdOpen(pid);
      if (handle !== null) this.occupy({ pid, handle, startedAt: monotonicNow() });
    } catch (problem) {
      log(`cannot start the ${this.role}: ${messageOf(problem)}`);
    }
    if (!this.isRunning) this.postpone(0);
    return this.isRunning || !this.failureEndsRun;
  }

  /**
   * Takes over a process that a previous supervisor started. `isChild` must check whether `pid` is still that process.
   * It is called while a pidfd is open, so that the check and the pidfd concern the same process.
   */
  adopt(pid: number, isChild: () => boolean): void {
    const handle = pidfdOpen(pid);
    if (handle === null) return;
    if (isChild()) this.occupy({ pid, handle, startedAt: monotonicNow() });
    else handle[Symbol.dispose]();
  }

  /** Takes over the process of another slot, which is empty afterwards. This slot must be empty. */
  take(other: ChildSlot): void {
    const { child } = other;
    if (child === undefined) return;
    other.options.poll.remove(child.handle.fd);
    other.child = undefined;
    this.occupy(child);
  }

  /** Sends SIGKILL. Returns false if it was sent before. */
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

  get isBeingKilled(): boolean {
    return this.killed;
  }

  /** Must be called when the process has ended: empties the slot and sets the time of the next start. */
  ended(): ChildEnd {
    const { child } = this;
    if (child === undefined) return { ...unknownEnd, description: "was not running" };
    this.options.poll.remove(child.handle.fd);
    // Undefined for a process that a previous supervisor started, which init reaps.
    const end = child.handle.end;
    child.handle[Symbol.dispose]();
    this.child = undefined;
    const livedMs = (monotonicNow() - child.startedAt) / 1e6;
    this.postpone(livedMs);
    const shortly = this.killed ? "killed" : UNKNOWN_END;
    const { failureEndsRun } = this;
    this.failureEndsRun = false;
    const after = `after ${(livedMs / 1000).toFixed(1)} s`;
    if (end === undefined) return { ...unknownEnd, livedMs, shortly };
    const { signal } = end;
    if (signal !== null)
      return {
        ...unknownEnd,
        description: `was ended by ${signal} ${after}`,
        livedMs,
        signal,
        shortly: this.killed ? "killed" : signal,
      };
    const code = end.exitCode ?? 0;
    const permanentFailure = failureEndsRun && (code === 2 || code === 3) ? code : undefined;
    const description = `ended with exit code ${code} ${after}`;
    return {
      ...unknownEnd,
      description,
      livedMs,
      permanentFailure,
      finished: code === 0,
      shortly: `exit ${code}`,
    };
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
   * The exit code, if it is 2 (usage or configuration error) or 3 (not permitted) at the first start of a run. A restart
   * would fail for the same reason.
   */
  readonly permanentFailure: number | undefined;
  /** The process exited with code 0, because it had no work left. */
  readonly finished: boolean;
  readonly livedMs: number;
  /** The signal that ended the process; null if it exited by itself, or if that is not known. */
  readonly signal: string | null;
  /** As `Restarted.ended` has it. */
  readonly shortly: string;
}

/** A process that a previous supervisor started is reaped by init, so its exit status is not known. */
export const UNKNOWN_END = "unknown";

/** The exit status of an adopted process is not known, because init reaps it. */
const unknownEnd: ChildEnd = {
  description: "ended",
  shortly: UNKNOWN_END,
  permanentFailure: undefined,
  finished: false,
  livedMs: 0,
  signal: null,
};
