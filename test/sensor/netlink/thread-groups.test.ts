import { expect, test } from "bun:test";
import fc from "fast-check";
import { ThreadGroups } from "../../../src/sensor/netlink/thread-groups.ts";
import { nothingKnown } from "../../../src/sensor/procfs/facts-reader.ts";

/** Groups over a pretended /proc: what lives, by pid. */
function groups(live: Record<number, number> = {}) {
  const asked: number[] = [];
  const made = new ThreadGroups({
    threads(pid) {
      asked.push(pid);
      return live[pid] ?? 0;
    },
  });
  return { made, asked, live };
}

test("a process of one thread ends with it, and /proc is not asked", () => {
  const { made, asked } = groups();
  made.forked(10, 1, 100);
  expect(made.exited(10, 10, 101)).toBe(true);
  expect(made.size).toBe(0);
  expect(asked).toEqual([]);
});

test("the exit of the leader is not the end while other threads live", () => {
  const { made, asked } = groups();
  made.forked(10, 1, 100);
  made.threadStarted(10);
  made.threadStarted(10);
  expect(made.exited(10, 10, 101)).toBe(false);
  expect(made.exited(11, 10, 102)).toBe(false);
  expect(made.exited(12, 10, 103)).toBe(true);
  expect(asked).toEqual([]);
});

test("an exec from another thread goes on under the leader's pid", () => {
  const { made } = groups();
  made.forked(10, 1, 100);
  made.threadStarted(10);
  made.threadStarted(10);
  // The kernel ends the others, the leader among them; the exec'ing thread never exits under its old id.
  expect(made.exited(12, 10, 101)).toBe(false);
  expect(made.exited(10, 10, 101)).toBe(false);
  made.execed(10, 101);
  expect(made.exited(10, 10, 102)).toBe(true);
});

test("a process that was there before ends when /proc says so", () => {
  const { made, live } = groups({ 10: 2 });
  expect(made.exited(10, 10, 101)).toBe(false);
  live[10] = 1;
  expect(made.exited(12, 10, 101)).toBe(false);
  live[10] = 0;
  expect(made.exited(11, 10, 102)).toBe(true);
});

test("a process that was there before, and is gone, ends with its leader", () => {
  const { made } = groups();
  expect(made.exited(10, 10, 101)).toBe(true);
  expect(made.size).toBe(0);
});

test("a thread of a process that nobody knows tells nothing", () => {
  const { made } = groups();
  expect(made.exited(11, 10, 101)).toBe(false);
});

test("after a loss no count is believed", () => {
  const { made, live } = groups({ 10: 1 });
  made.forked(10, 1, 100);
  made.lost();
  // The start of a thread was lost: by the count this would be the end.
  expect(made.exited(11, 10, 101)).toBe(false);
  live[10] = 0;
  expect(made.exited(10, 10, 102)).toBe(true);
});

test("after a loss a scan forgets what is gone and keeps what was born since", () => {
  const { made } = groups();
  made.forked(10, 1, 100);
  made.forked(20, 1, 100);
  made.lost();
  made.forked(30, 1, 200);
  made.reconcile([{ pid: 20, threads: 3, leaderEnded: false, facts: nothingKnown }]);
  expect(made.known(10, 300)).toBeUndefined();
  expect(made.known(20, 300)).toBeDefined();
  expect(made.known(30, 300)).toBeDefined();
});

test("a scan makes a process known whose leader has ended already", () => {
  const { made } = groups();
  made.reconcile([{ pid: 10, threads: 2, leaderEnded: true, facts: nothingKnown }]);
  expect(made.exited(11, 10, 101)).toBe(true);
});

test("a child has its parent's users, until they change", () => {
  const { made } = groups();
  made.forked(10, 1, 100);
  expect(made.usersChanged(10, 10, 0, 1000)).toBe(true);
  made.forked(20, 10, 110);
  expect(made.known(20, 120)).toMatchObject({
    uid: 0,
    realUid: 1000,
    parentPid: 10,
    startTicks: 110,
    seenTicks: 120,
  });
  made.usersChanged(10, 10, 33, 33);
  expect(made.known(20, 130)).toMatchObject({ uid: 0, realUid: 1000 });
});

test("while a process has several threads, changes of users leave its users unknown", () => {
  const { made } = groups();
  made.forked(10, 1, 100);
  made.usersChanged(10, 10, 0, 0);
  made.threadStarted(10);
  expect(made.usersChanged(11, 10, 33, 33)).toBe(false);
  expect(made.known(10, 101)).toMatchObject({ uid: undefined, realUid: undefined });
  expect(made.usersChanged(10, 10, 33, 33)).toBe(true);
  expect(made.known(10, 102)).toMatchObject({ uid: undefined, realUid: undefined });
  made.execed(10, 103);
  made.usersChanged(10, 10, 44, 44);
  expect(made.known(10, 104)).toMatchObject({ uid: 44, realUid: 44 });
});

test("users found in /proc do not outrank those that events told", () => {
  const { made } = groups();
  made.forked(10, 1, 100);
  made.usersFound(10, 5, 5);
  made.usersFound(10, 6, 6);
  expect(made.known(10, 101)).toMatchObject({ uid: 5, realUid: 5 });
});

test("a pid that is used again begins anew", () => {
  const { made } = groups();
  made.forked(10, 1, 100);
  made.threadStarted(10);
  made.forked(10, 2, 200);
  expect(made.known(10, 200)).toMatchObject({ startTicks: 200, parentPid: 2 });
  expect(made.exited(10, 10, 201)).toBe(true);
});

test("however threads come and go, a process ends exactly once, with its last thread", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 50 }), fc.boolean(), (steps, leaderFirst) => {
      const { made, asked } = groups();
      made.forked(1000, 1, 100);
      const threads = leaderFirst ? [] : [1000];
      let next = 1001;
      let ends = 0;
      if (leaderFirst) {
        made.threadStarted(1000);
        threads.push(next++);
        if (made.exited(1000, 1000, 101)) ends += 1;
      }
      for (const starts of steps) {
        if (starts) {
          made.threadStarted(1000);
          threads.push(next++);
        } else if (threads.length > 1 && made.exited(threads.pop() ?? 0, 1000, 101)) ends += 1;
      }
      expect(ends).toBe(0);
      for (const thread of threads) if (made.exited(thread, 1000, 102)) ends += 1;
      expect(ends).toBe(1);
      expect(made.size).toBe(0);
      expect(asked).toEqual([]);
    }),
  );
});
