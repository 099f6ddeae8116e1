// Where the programs that one process starts stand: in a storm of short programs it is not read for each of them.
// Pure.
import type { Place } from "../procfs/facts-reader.ts";

/** So many children in a row must have been found in one place before another is believed to have been there. */
const ENOUGH = 2;
/** And the last of them no longer ago than this, ns. */
const FRESH_NS = 1e9;
/** Storms have few parents; more than so many are forgotten together. */
const PARENTS = 256;

interface Seen {
  readonly place: Place;
  readonly count: number;
  readonly time: number;
}

export class Siblings {
  private readonly seen = new Map<number, Seen>();

  /** A child of `parentPid` was found at `place`; `time` in ns. A folder that changes from child to child is nobody's. */
  found(parentPid: number, place: Place, time: number): void {
    const before = this.seen.get(parentPid);
    const again = before !== undefined && time - before.time <= FRESH_NS && isSame(before.place, place);
    if (before === undefined && this.seen.size >= PARENTS) this.seen.clear();
    const { tty, loginUid, sessionId, cgroup } = place;
    const cwd = again && before.place.cwd !== place.cwd ? undefined : place.cwd;
    const count = again ? before.count + 1 : 1;
    this.seen.set(parentPid, { place: { tty, loginUid, sessionId, cgroup, cwd }, count, time });
  }

  /** Where a child of `parentPid` that ran at `time` must have been, if its siblings tell. */
  expected(parentPid: number, time: number): Place | undefined {
    const seen = this.seen.get(parentPid);
    return seen !== undefined && seen.count >= ENOUGH && time - seen.time <= FRESH_NS
      ? seen.place
      : undefined;
  }
}

function isSame(one: Place, other: Place): boolean {
  return (
    one.cgroup === other.cgroup &&
    one.sessionId === other.sessionId &&
    one.tty === other.tty &&
    one.loginUid === other.loginUid
  );
}
