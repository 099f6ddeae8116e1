// Reads /proc/PID/cmdline of processes that may be hostile. The kernel takes the lock on the process's memory for
// that, and its user can hold that lock for ever: one thread reads a page of a FUSE file through /proc/self/mem, another
// waits in mmap(2). So each read has a time limit, and nobody can use up the time or the threads of other users.
import { monotonicNow } from "../../linux/clock.ts";
import { closeDescriptor } from "../../linux/descriptor.ts";
import { EBUSY, ENOSYS, ETIMEDOUT } from "../../linux/libc.ts";
import { TimedRead } from "../../linux/timed-read.ts";

/**
 * Stands for all users that another user can become without being root on the host: those of other user namespaces, root
 * in a container, and the subordinate ones, of which newuidmap(1) gives 65,536 to everybody.
 */
export const SUBORDINATE_USERS = -1;
/** SUB_UID_MIN and SUB_UID_MAX of login.defs(5). */
const SUBORDINATE = { first: 100_000, last: 600_100_000 } as const;

/**
 * How long a read is waited for, in ns: a thousand times as long as one takes. While a scan is made nothing else waits; at
 * an exec other programs do, which end before they are read.
 */
export const patience = { scan: 20e6, exec: 5e6 } as const;
/** A read that takes longer than 1 ms (in ns) counts against the process's user. */
const SLOW_NS = 1e6;
/** In 10 s (in ns) at most 40 ms (in ns) are spent on slow reads of one user; then no more are made. */
const WINDOW_NS = 10e9;
const SLOW_TIME_NS = 40e6;
/** Each read that hangs holds a thread, a descriptor and a buffer. glibc makes 20 threads at most. */
const MAX_HANGING = 16;
/** So one user holds at most half of them: a quarter himself, and a quarter by the users that he can become. */
const HANGING_OF_USER = MAX_HANGING / 4;

interface HangingRead {
  readonly read: TimedRead;
  readonly user: number;
}

export class ArgumentReads {
  private readonly capacity: number;
  private readonly userOf: () => number;
  private current: TimedRead | undefined;
  private isImpossible = false;
  private hanging: readonly HangingRead[] = [];
  private windowEnd = 0;
  /** Nanoseconds spent on slow reads since the window began, by user. */
  private readonly slow = new Map<number, number>();

  /**
   * `capacity`: the most bytes of one read. `userOf`: who is charged for the process that is to be read, as `chargedUser`
   * has it; called only while some read hangs or was slow.
   */
  constructor(capacity: number, userOf: () => number) {
    this.capacity = capacity;
    this.userOf = userOf;
  }

  /**
   * Reads the start of `fd`, which it closes, into `data`, and waits up to `patienceNs` for it. Returns the number of bytes, or -errno: -ETIMEDOUT if the read
   * hangs, -EBUSY if too many of that user do, -ENOSYS if this system cannot limit the time of a read.
   */
  read(fd: number, data: Uint8Array, limit: number, patienceNs: number): number {
    const begin = monotonicNow();
    if (!this.mayRead(begin)) {
      closeDescriptor(fd);
      return -EBUSY;
    }
    const read = this.nextRead();
    if (read === undefined) {
      closeDescriptor(fd);
      return -ENOSYS;
    }
    const failure = read.begin(fd, limit);
    if (failure < 0) return failure;
    const result = read.wait(patienceNs);
    const spent = monotonicNow() - begin;
    if (spent > SLOW_NS) this.onSlowRead(spent, result === undefined ? read : undefined);
    if (result === undefined) return -ETIMEDOUT;
    if (result > 0) data.set(read.data.subarray(0, result));
    return result;
  }

  private nextRead(): TimedRead | undefined {
    if (this.current !== undefined || this.isImpossible) return this.current;
    try {
      this.current = new TimedRead(this.capacity);
    } catch {
      this.isImpossible = true;
    }
    return this.current;
  }

  private mayRead(now: number): boolean {
    if (this.hanging.length === 0 && this.slow.size === 0) return true;
    if (now >= this.windowEnd) this.slow.clear();
    this.hanging = this.hanging.filter(({ read }) => read.wait(0) === undefined);
    const user = this.userOf();
    const ofUser = this.hanging.filter((each) => each.user === user).length;
    return (
      this.hanging.length < MAX_HANGING &&
      ofUser < HANGING_OF_USER &&
      (this.slow.get(user) ?? 0) < SLOW_TIME_NS
    );
  }

  private onSlowRead(spent: number, hanging: TimedRead | undefined): void {
    const user = this.userOf();
    if (this.slow.size === 0) this.windowEnd = monotonicNow() + WINDOW_NS;
    this.slow.set(user, (this.slow.get(user) ?? 0) + spent);
    if (hanging === undefined) return;
    this.hanging = [...this.hanging, { read: hanging, user }];
    this.current = undefined;
  }
}

/**
 * Whose share a process of the real user `uid` uses. `isHosts`: it is in the host's user namespace, and root's ones are
 * in no container either.
 */
export function chargedUser(uid: number | undefined, isHosts: boolean): number {
  const isOwn = uid !== undefined && (uid < SUBORDINATE.first || uid > SUBORDINATE.last);
  return isHosts && isOwn ? uid : SUBORDINATE_USERS;
}
