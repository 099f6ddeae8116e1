// Thread groups, counted from the connector's events, which are about threads: when does a process really end, and
// which users does it have? Pure: what only /proc can tell is asked through `GroupInputs`.
//
// The leader's exit is not the end of the process: other threads may live on, and an exec from another thread first
// ends the leader and then goes on under its pid. The end is the exit of the last thread.
import type { Known } from "../procfs/facts-reader.ts";

/** What is known of one process. */
interface Group extends Known {
  readonly startTicks: number | undefined;
  readonly seenTicks: number | undefined;
  readonly parentPid: number | undefined;
  uid: number | undefined;
  realUid: number | undefined;
  /** Threads that have not ended. */
  threads: number;
  leaderEnded: boolean;
  /** Every fork and exit of its threads was counted; else /proc is asked whether it has ended. */
  exact: boolean;
  /** The users of one thread were changed: which of them an exec will have cannot be told. */
  mixed: boolean;
}

export interface GroupInputs {
  /** Threads of `pid` that live now, 0 if it is gone or a process that started after `seenTicks` has its pid. */
  threads(pid: number, seenTicks: number | undefined): number;
}

/** What a look at /proc says of a group. */
export interface SeenGroup {
  readonly pid: number;
  readonly threads: number;
  readonly leaderEnded: boolean;
  readonly facts: Omit<Known, "seenTicks">;
}

export class Groups {
  private readonly groups = new Map<number, Group>();
  private readonly inputs: GroupInputs;

  constructor(inputs: GroupInputs) {
    this.inputs = inputs;
  }

  get size(): number {
    return this.groups.size;
  }

  /** A new process. It has its parent's users. Whoever had the pid before is gone, seen or not. */
  forked(pid: number, parentPid: number, ticks: number): void {
    const parent = this.groups.get(parentPid);
    const users = parent === undefined || parent.mixed ? undefined : parent;
    this.groups.set(pid, {
      startTicks: ticks,
      seenTicks: ticks,
      parentPid,
      uid: users?.uid,
      realUid: users?.realUid,
      threads: 1,
      leaderEnded: false,
      exact: true,
      mixed: false,
    });
  }

  threadStarted(pid: number): void {
    const group = this.groups.get(pid);
    if (group !== undefined) group.threads += 1;
  }

  /** After an exec one thread is left, whatever was before, and it is the leader. */
  execed(pid: number, ticks: number): void {
    const group = this.groups.get(pid);
    if (group === undefined) {
      this.groups.set(pid, unseen(ticks, 1, true));
      return;
    }
    group.threads = 1;
    group.leaderEnded = false;
    group.exact = true;
    if (group.mixed) {
      group.uid = undefined;
      group.realUid = undefined;
      group.mixed = false;
    }
  }

  /** True if these users are those of the process, and not of one of its threads only. */
  usersChanged(thread: number, pid: number, uid: number, realUid: number): boolean {
    const group = this.groups.get(pid);
    if (thread !== pid) {
      if (group !== undefined) group.mixed = true;
      return false;
    }
    if (group !== undefined) {
      group.uid = uid;
      group.realUid = realUid;
    }
    return true;
  }

  /** Effective and real user found in /proc at an exec: news only for whom no event told of. */
  usersFound(pid: number, uid: number | undefined, realUid: number | undefined): void {
    const group = this.groups.get(pid);
    if (group === undefined || group.uid !== undefined || group.mixed) return;
    group.uid = uid;
    group.realUid = realUid;
  }

  /** True if the process has ended with this thread. `ticks`: the time of the event. */
  exited(thread: number, pid: number, ticks: number): boolean {
    let group = this.groups.get(pid);
    if (group === undefined) {
      // A thread of a process that was there before: nothing is known of the others.
      if (thread !== pid) return false;
      const threads = this.inputs.threads(pid, ticks);
      if (threads === 0) return true;
      group = unseen(ticks, threads, false);
      group.leaderEnded = true;
      this.groups.set(pid, group);
      return false;
    }
    group.threads -= 1;
    if (thread === pid) group.leaderEnded = true;
    if (!group.exact && (group.leaderEnded || group.threads <= 0)) {
      group.threads = this.inputs.threads(pid, group.seenTicks);
    }
    if (group.threads > 0) return false;
    this.groups.delete(pid);
    return true;
  }

  /** What is known of `pid` now, for a look at /proc; `ticks`: the time of the event that asks. */
  known(pid: number, ticks: number): Known | undefined {
    const group = this.groups.get(pid);
    if (group === undefined) return undefined;
    const { startTicks, parentPid, uid, realUid } = group;
    return { startTicks, seenTicks: ticks, parentPid, uid, realUid };
  }

  /** Events were lost: no count and no user is to be believed any more. */
  lost(): void {
    for (const group of this.groups.values()) {
      group.exact = false;
      group.uid = undefined;
      group.realUid = undefined;
    }
  }

  /**
   * Takes over what a look at /proc found, and forgets what it did not find. Groups whose every event was seen since
   * the last loss stay as they are: they know better.
   */
  reconcile(seen: readonly SeenGroup[]): void {
    const found = new Set<number>();
    for (const { pid, threads, leaderEnded, facts } of seen) {
      const known = this.groups.get(pid);
      found.add(pid);
      if (known?.exact === true) continue;
      const live = leaderEnded ? threads - 1 : threads;
      if (live <= 0) this.groups.delete(pid);
      else {
        this.groups.set(pid, {
          startTicks: facts.startTicks,
          seenTicks: facts.startTicks,
          parentPid: facts.parentPid,
          uid: facts.uid,
          realUid: facts.realUid,
          threads: live,
          leaderEnded,
          exact: false,
          mixed: false,
        });
      }
    }
    for (const [pid, group] of this.groups) if (!group.exact && !found.has(pid)) this.groups.delete(pid);
  }
}

/** A process whose fork was not seen, but which lived at `ticks`. */
function unseen(ticks: number, threads: number, exact: boolean): Group {
  return {
    startTicks: undefined,
    seenTicks: ticks,
    parentPid: undefined,
    uid: undefined,
    realUid: undefined,
    threads,
    leaderEnded: false,
    exact,
    mixed: false,
  };
}
