// A post: one of the processes that must always be there, and who fills it now.
import { constants } from "node:os";
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, type Poll } from "../linux/epoll.ts";
import { type PidDescriptor, pidfdOpen } from "../linux/pidfd.ts";
import { type Spawned, type SpawnOptions, spawnSelf } from "../linux/spawn.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { restartDelay } from "./backoff.ts";
import { log } from "./log.ts";

export type ChildRole = "warden" | "reporter" | "examiner" | "standby";

interface Holder {
  readonly pid: number;
  readonly handle: PidDescriptor;
  readonly since: number;
  /** Null for a process that another supervisor started: init waits for it, not we. */
  readonly spawned: Spawned | null;
}

export interface ChildSlotOptions {
  readonly role: ChildRole;
  readonly poll: Poll;
  /** Becomes ready in `poll` when the process has ended. */
  readonly token: number;
  /** How to start one; asked anew each time. */
  readonly command: () => SpawnOptions;
  /** Nanoseconds of the monotonic clock from which it is to be filled. */
  readonly startAt: number;
  /** The run begins: see `End.refused`. */
  readonly isFirstStart: boolean;
}

export class ChildSlot implements Disposable {
  readonly role: ChildRole;
  /** Nanoseconds of the monotonic clock from which an empty post is to be filled. */
  startAt: number;
  /** Left empty until somebody has a use for it. */
  asleep = false;
  private readonly options: ChildSlotOptions;
  private holder: Holder | undefined;
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
    return this.holder !== undefined;
  }

  get pid(): number | undefined {
    return this.holder?.pid;
  }

  /**
   * Starts a process. One that cannot be started counts as one that ended at once; false if that is the first of the
   * run, because what forbids it will forbid the next.
   */
  start(): boolean {
    try {
      const spawned = spawnSelf(this.options.command());
      // The pid cannot have passed to another process: nobody has waited for this one yet.
      const handle = pidfdOpen(spawned.pid);
      if (handle !== null) this.fill({ pid: spawned.pid, handle, since: monotonicNow(), spawned });
    } catch (problem) {
      log(`cannot start the ${this.role}: ${messageOf(problem)}`);
    }
    if (!this.isRunning) this.postpone(0);
    return this.isRunning || !this.mayRefuse;
  }

  /** Takes over a process that another supervisor started; `check` is asked once it can no longer be another. */
  adopt(pid: number, check: () => boolean): void {
    const handle = pidfdOpen(pid);
    if (handle === null) return;
    if (check()) this.fill({ pid, handle, since: monotonicNow(), spawned: null });
    else handle[Symbol.dispose]();
  }

  /** Sends SIGKILL; false if that was done already. */
  kill(): boolean {
    if (this.killed) return false;
    this.killed = true;
    try {
      this.holder?.handle.signal(constants.signals.SIGKILL);
    } catch (problem) {
      log(`cannot kill the ${this.role}: ${messageOf(problem)}`);
    }
    return true;
  }

  get beingKilled(): boolean {
    return this.killed;
  }

  /** To be called when the process has ended: empties the post and sets when to fill it again. */
  async ended(): Promise<ChildEnd> {
    const { holder } = this;
    if (holder === undefined) return { ...unknownEnd, how: "was not there" };
    this.options.poll.remove(holder.handle.fd);
    holder.handle[Symbol.dispose]();
    this.holder = undefined;
    const livedMs = (monotonicNow() - holder.since) / 1e6;
    this.postpone(livedMs);
    const { spawned } = holder;
    await spawned?.exited;
    const { mayRefuse } = this;
    this.mayRefuse = false;
    const after = `after ${(livedMs / 1000).toFixed(1)} s`;
    if (spawned === null) return { ...unknownEnd, livedMs };
    const { signalCode: signal } = spawned;
    if (signal !== null) return { ...unknownEnd, how: `was ended by ${signal} ${after}`, livedMs, signal };
    const code = spawned.exitCode ?? 0;
    const refused = mayRefuse && (code === 2 || code === 3) ? code : undefined;
    const how = `ended with exit code ${code} ${after}`;
    return { ...unknownEnd, how, livedMs, refused, byItself: code === 0 };
  }

  [Symbol.dispose](): void {
    this.holder?.handle[Symbol.dispose]();
  }

  private fill(holder: Holder): void {
    this.holder = holder;
    this.killed = false;
    this.options.poll.add(holder.handle.fd, this.options.token, EPOLLIN);
  }

  private postpone(livedMs: number): void {
    this.lastDelay = restartDelay(this.lastDelay, livedMs);
    this.startAt = monotonicNow() + this.lastDelay * 1e6;
  }
}

export interface ChildEnd {
  /** For a person: "was ended by SIGKILL after 3.2 s". */
  readonly how: string;
  /**
   * The exit code 2 (wrong use, bad configuration) or 3 (not allowed) of the first process of a run: another would
   * say the same.
   */
  readonly refused: number | undefined;
  /** It ended because it had nothing more to do. */
  readonly byItself: boolean;
  readonly livedMs: number;
  /** What ended it, null if that was no signal or is not known. */
  readonly signal: string | number | null;
}

/** Of a process that init waits for, only its end is seen. */
const unknownEnd: ChildEnd = { how: "ended", refused: undefined, byItself: false, livedMs: 0, signal: null };
