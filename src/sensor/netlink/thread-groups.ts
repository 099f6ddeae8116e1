// The live processes as the connector's events show them. Those events are about threads; this says when a process has
// really ended and which users it has. Pure: what only /proc can tell is asked through `ThreadGroupInputs`.
//
// The exit of the first thread is not the end of its process: other threads may live on, and an exec in another thread
// first ends the first one and then continues under its id. A process ends with its last thread.
import type { KnownFacts } from "../procfs/facts-reader.ts";

/** What is known of one process. */
interface ThreadGroup extends KnownFacts {
  uid: number | undefined;
  realUid: number | undefined;
  /** Threads that have not ended. */
  threads: number;
  leaderEnded: boolean;
  /** Every fork and exit of its threads was counted; otherwise /proc is asked whether the process has ended. */
  exact: boolean;
}

export interface ThreadGroupInputs {
  /** Threads of `pid` that live now; 0 if it is gone or its pid belongs to a process that started after `seenTicks`. */
  threads(pid: number, seenTicks: number | undefined): number;
}

/** A process as a scan of /proc found it. */
export interface ScannedThreadGroup {
  readonly pid: number;
  readonly threads: number;
  readonly leaderEnded: boolean;
  readonly facts: Omit<KnownFacts, "seenTicks">;
}

export class ThreadGroups {
  private readonly groups = new Map<number, ThreadGroup>();
  private readonly inputs: ThreadGroupInputs;

  constructor(inputs: ThreadGroupInputs) {
    this.inputs = inputs;
  }

  get size(): number {
    return this.groups.size;
  }

  /** A new process, with its parent's users. An earlier owner of the pid is gone, even if its exit was not seen. */
  forked(pid: number, parentPid: number, ticks: number): void {
    const parent = this.groups.get(parentPid);
    const facts = { startTicks: ticks, parentPid, uid: parent?.uid, realUid: parent?.realUid };
    this.groups.set(pid, newGroup(facts, ticks, 1, true));
  }

  threadStarted(pid: number): void {
    const group = this.groups.get(pid);
    if (group !== undefined) group.threads += 1;
  }

  /** An exec ends every other thread; the one that is left has the id of the first. */
  execed(pid: number, ticks: number): void {
    const group = this.groups.get(pid);
    if (group === undefined) this.groups.set(pid, newGroup({}, ticks, 1, true));
    else {
      group.threads = 1;
      group.leaderEnded = false;
      group.exact = true;
    }
  }

  /**
   * True if the event is about the first thread, whose users are those of the process. While there are others, each
   * with users of its own, it is not known which of them will exec or fork: until then the users are unknown.
   */
  usersChanged(thread: number, pid: number, uid: number, realUid: number): boolean {
    const group = this.groups.get(pid);
    if (group !== undefined) {
      const known = thread === pid && group.threads === 1 && group.exact;
      group.uid = known ? uid : undefined;
      group.realUid = known ? realUid : undefined;
    }
    return thread === pid;
  }

  /** Records the users that /proc showed at an exec, unless events have reported them. */
  usersFound(pid: number, uid: number | undefined, realUid: number | undefined): void {
    const group = this.groups.get(pid);
    if (group === undefined || group.uid !== undefined) return;
    group.uid = uid;
    group.realUid = realUid;
  }

  /** True if the process has ended with this thread. `ticks`: the time of the event. */
  exited(thread: number, pid: number, ticks: number): boolean {
    let group = this.groups.get(pid);
    if (group === undefined) {
      // A process that ran before the first event: the number of its other threads is unknown.
      if (thread !== pid) return false;
      group = newGroup({}, ticks, 1, false);
      this.groups.set(pid, group);
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

  /** What is known of `pid` at an event; `ticks`: the time of that event. Undefined: nothing. */
  known(pid: number, ticks: number): KnownFacts | undefined {
    const group = this.groups.get(pid);
    if (group === undefined) return undefined;
    const { startTicks, parentPid, uid, realUid } = group;
    return { startTicks, seenTicks: ticks, parentPid, uid, realUid };
  }

  /** Events were lost: every count and every user may be wrong. */
  lost(): void {
    for (const group of this.groups.values()) {
      group.exact = false;
      group.uid = undefined;
      group.realUid = undefined;
    }
  }

  /**
   * Takes over what a scan found and forgets what it did not find. Processes whose every event was seen since the last
   * loss stay as they are.
   */
  reconcile(scan: readonly ScannedThreadGroup[]): void {
    const found = new Set<number>();
    for (const { pid, threads, leaderEnded, facts } of scan) {
      found.add(pid);
      if (this.groups.get(pid)?.exact === true) continue;
      const live = leaderEnded ? threads - 1 : threads;
      if (live <= 0) this.groups.delete(pid);
      else this.groups.set(pid, { ...newGroup(facts, facts.startTicks, live, false), leaderEnded });
    }
    for (const [pid, group] of this.groups) if (!group.exact && !found.has(pid)) this.groups.delete(pid);
  }
}

function newGroup(
  facts: Partial<Omit<KnownFacts, "seenTicks">>,
  seenTicks: number | undefined,
  threads: number,
  exact: boolean,
): ThreadGroup {
  const { startTicks, parentPid, uid, realUid } = facts;
  return { startTicks, seenTicks, parentPid, uid, realUid, threads, leaderEnded: false, exact };
}
