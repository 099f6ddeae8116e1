// Reads files in /proc of processes that may be hostile. For /proc/PID/cmdline the kernel takes the lock on the process's
// memory, and its user can hold that lock for ever: one thread reads a page of a FUSE file through /proc/self/mem, another
// waits in mmap(2). For /proc/PID/stat it takes the one that execve(2) holds (see `mayBeInExec`). So each read has a
// time limit, and nobody can use up the time or the threads of other users.
import { monotonicNow } from "../../linux/clock.ts";
import { closeDescriptor } from "../../linux/descriptor.ts";
import { EBUSY, EINVAL, ENOSYS, ETIMEDOUT } from "../../linux/libc.ts";
import { ROOT_UID } from "../../linux/root-file.ts";
import { TimedRead } from "../../linux/timed-read.ts";

/** Stands for root in all containers that have no user namespace. */
export const CONTAINED_ROOT = -1;
/** Stands for the users of processes that ended before their user could be read. */
export const UNKNOWN_USER = -2;
/** SUB_UID_MIN, SUB_UID_MAX and SUB_UID_COUNT of login.defs(5): newuidmap(1) gives a range to everybody. */
const SUBORDINATE = { first: 100_000, last: 600_100_000, count: 65_536 } as const;

/** When arguments are read: by a scan, between whose reads events are judged, or at an exec, where other programs wait. */
export type Occasion = "scan" | "exec";

/**
 * All in ns. `patience`: how long a read is waited for, a thousand times as long as one takes. `slow`: how much of 10 s is
 * spent on slow reads of one user; then no more are made. On a host without CPU to spare ordinary reads are slow, too.
 */
const limits: Readonly<Record<Occasion, { readonly patience: number; readonly slow: number }>> = {
  scan: { patience: 50e6, slow: 2e9 },
  exec: { patience: 5e6, slow: 40e6 },
};
/** A read that takes longer than 1 ms (in ns) is slow. */
const SLOW_NS = 1e6;
const WINDOW_NS = 10e9;
/**
 * How long one of a process that is root's on the host is waited for, in ns: nobody holds that, it waits for a CPU. But
 * whoever has a cgroup of his own with the cpu controller can withhold the CPU from `sudo` while it has the lock.
 */
const PATIENCE_WITH_ROOT = 1e9;
/** How much of 10 s is spent on slow reads of root's, in ns; beyond it root's are limited as any user's are. */
const SPENT_ON_ROOT = 2e9;
/** Each read that hangs holds a thread, a descriptor and a buffer. glibc makes 20 threads at most, for all readers. */
export const HANGING = { arguments: 16, stat: 4 } as const;
/** So one user holds at most half of them: a quarter himself, and a quarter by the subordinate users of one range. */
const SHARE_OF_USER = 1 / 4;

interface HangingRead {
  readonly read: TimedRead;
  readonly user: number;
}

const nothingRead = new Uint8Array();

/**
 * One read at a time: `begin` starts it in another thread and `end` waits for it. Its caller reads other files meanwhile,
 * and then seldom has to wait.
 */
export class LimitedReads {
  private readonly capacity: number;
  private readonly maxHanging: number;
  private readonly payer: () => number;
  private current: TimedRead | undefined;
  private isImpossible = false;
  /** Of the read that has begun: why it was not made, as -errno, or 0; and its occasion. */
  private failure = -EINVAL;
  private occasion: Occasion = "scan";
  private hanging: readonly HangingRead[] = [];
  private windowEnd = 0;
  /** Nanoseconds spent on slow reads of root's since the window began, up to `SPENT_ON_ROOT`. */
  private spentOnRoot = 0;
  /** Nanoseconds spent on other slow reads since the window began, by user. */
  private readonly slow: Readonly<Record<Occasion, Map<number, number>>> = {
    scan: new Map(),
    exec: new Map(),
  };

  /**
   * `capacity`: the most bytes of one read. `payer`: who is charged for the read that begins or has begun, as `chargedUser`
   * has it; called only while reads are slow, because it costs more than the read. `maxHanging`: how many may hang at once.
   */
  constructor(capacity: number, payer: () => number, maxHanging: number = HANGING.arguments) {
    this.capacity = capacity;
    this.maxHanging = maxHanging;
    this.payer = payer;
  }

  /** Begins with the bytes that were read, after `end` and until the next `begin`. */
  get data(): Uint8Array {
    return this.current?.data ?? nothingRead;
  }

  /** Begins to read up to `limit` bytes from the start of `fd`, which it closes; a negative `fd` is the -errno of its open. */
  begin(fd: number, limit: number, occasion: Occasion): void {
    this.occasion = occasion;
    this.failure = fd < 0 ? fd : this.beginOpen(fd, limit);
  }

  /**
   * Waits for the read that has begun. Returns the number of bytes in `data`, or -errno: -ETIMEDOUT if the read hangs,
   * -EBUSY if too many of that user do, -ENOSYS if this system cannot limit the time of a read.
   */
  end(): number {
    const { current: read, occasion, failure } = this;
    this.failure = -EINVAL;
    if (failure < 0 || read === undefined) return failure;
    const begin = monotonicNow();
    let result = read.wait(limits[occasion].patience);
    if (result === undefined || monotonicNow() - begin > SLOW_NS) {
      const user = this.payer();
      if (this.hasRootsShare(user))
        result ??= read.wait(Math.min(PATIENCE_WITH_ROOT, SPENT_ON_ROOT - this.spentOnRoot));
      this.addSlow(user, occasion, monotonicNow() - begin);
      if (result === undefined) this.giveUp(read, user);
    }
    return result ?? -ETIMEDOUT;
  }

  private beginOpen(fd: number, limit: number): number {
    const read = this.mayRead() ? this.nextRead() : -EBUSY;
    if (typeof read !== "number") return read.begin(fd, limit);
    closeDescriptor(fd);
    return read;
  }

  private nextRead(): TimedRead | number {
    if (this.isImpossible) return -ENOSYS;
    try {
      this.current ??= new TimedRead(this.capacity);
      return this.current;
    } catch {
      this.isImpossible = true;
      return -ENOSYS;
    }
  }

  private mayRead(): boolean {
    const { scan, exec } = this.slow;
    if (this.hanging.length === 0 && !this.hasWindow()) return true;
    if (monotonicNow() >= this.windowEnd) {
      this.spentOnRoot = 0;
      scan.clear();
      exec.clear();
    }
    const { occasion } = this;
    const user = this.payer();
    this.hanging = this.hanging.filter(({ read }) => read.wait(0) === undefined);
    const ofUser = this.hanging.filter((each) => each.user === user).length;
    const slow = this.slow[occasion].get(user) ?? 0;
    if (this.hanging.length >= this.maxHanging) return false;
    const isBelowShare = ofUser < this.maxHanging * SHARE_OF_USER && slow < limits[occasion].slow;
    return this.hasRootsShare(user) || isBelowShare;
  }

  private hasRootsShare(user: number): boolean {
    return user === ROOT_UID && this.spentOnRoot < SPENT_ON_ROOT;
  }

  /** Whether some read was slow since the window began. */
  private hasWindow(): boolean {
    return this.spentOnRoot > 0 || this.slow.scan.size > 0 || this.slow.exec.size > 0;
  }

  private addSlow(user: number, occasion: Occasion, spent: number): void {
    if (!this.hasWindow()) this.windowEnd = monotonicNow() + WINDOW_NS;
    if (this.hasRootsShare(user)) this.spentOnRoot += spent;
    else this.slow[occasion].set(user, (this.slow[occasion].get(user) ?? 0) + spent);
  }

  private giveUp(read: TimedRead, user: number): void {
    this.hanging = [...this.hanging, { read, user }];
    this.current = undefined;
  }
}

/**
 * Whose share a process of the real user `uid`, as the host numbers it, uses. `isHosts`: it is in the host's user namespace
 * and in no container. In another user namespace a user is himself or one of his subordinate users, whose shares are one.
 */
export function chargedUser(uid: number | undefined, isHosts: boolean): number {
  if (uid === undefined) return UNKNOWN_USER;
  if (uid === ROOT_UID) return isHosts ? ROOT_UID : CONTAINED_ROOT;
  const { first, last, count } = SUBORDINATE;
  return uid < first || uid > last ? uid : uid - ((uid - first) % count);
}
