import { expect, test } from "bun:test";
import fc from "fast-check";
import type { ProcessEvent, ProcessFacts } from "../../src/sensor/event.ts";
import type { Look } from "../../src/sensor/netlink/glances.ts";
import { Groups } from "../../src/sensor/netlink/groups.ts";
import { Queue } from "../../src/sensor/netlink/queue.ts";
import { Siblings } from "../../src/sensor/netlink/siblings.ts";
import { type FoundPlace, factsOf, type Glance, type Known } from "../../src/sensor/procfs/facts-reader.ts";

const glanceAt = (program: string): Glance => ({
  empty: false,
  executable: program,
  args: [program],
  argsTruncated: false,
  running: true,
  mode: 0o755,
  changed: 0,
  device: 1,
  inode: 1,
  uid: 0,
  gid: 0,
  mountNamespace: undefined,
  userMounts: false,
});

const placeAt = (cgroup: string, cwd = "/"): FoundPlace => ({
  startTicks: 1,
  parentPid: 1,
  tty: null,
  loginUid: null,
  sessionId: undefined,
  cgroup,
  cwd,
  realUid: undefined,
  pidNamespace: undefined,
});

/** A queue over pretended looks; `late` is what /proc says of a pid when it is read in the end. */
function rig(looks: readonly Look[] = [], late: Readonly<Record<number, string>> = {}) {
  const asked: number[] = [];
  const groups = new Groups({ threads: () => 0 });
  const queue = new Queue(
    "netlink",
    groups,
    { of: (pid, time) => looks.find((look) => look.pid === pid && look.time === time) },
    {
      read(pid: number, known: Known = factsOfNothing): ProcessFacts {
        asked.push(pid);
        return { ...factsOf(known), executable: late[pid] };
      },
      place(pid: number) {
        asked.push(pid);
        return late[pid] === undefined ? undefined : placeAt("/late");
      },
    },
  );
  return {
    asked,
    fork(pid: number, time: number, parentPid = 1) {
      groups.forked(pid, parentPid, time);
      queue.add({ kind: "fork", source: "netlink", time, pid, parentPid, startTicks: 1, startExact: false });
    },
    exec(pid: number, time: number) {
      groups.execed(pid, time);
      queue.addExec(pid, time, time);
    },
    exit(pid: number, time: number) {
      groups.exited(pid, pid, time);
      queue.add({ kind: "exit", source: "netlink", time, pid, status: 0 });
    },
    told() {
      const events: ProcessEvent[] = [];
      queue.complete();
      queue.tell((event) => events.push(event));
      return events;
    },
    executables() {
      return this.told().flatMap((event) => (event.kind === "exec" ? [event.facts.executable] : []));
    },
  };
}

const factsOfNothing: Known = {
  startTicks: undefined,
  seenTicks: undefined,
  parentPid: undefined,
  uid: undefined,
  realUid: undefined,
};

const look = (pid: number, time: number, program: string, end = time, place?: FoundPlace): Look => ({
  pid,
  time,
  glance: glanceAt(program),
  place,
  end,
});

test("an exec has what was seen when it rang, though the program is gone", () => {
  const queue = rig([look(10, 2, "/bin/true")]);
  queue.fork(10, 1);
  queue.exec(10, 2);
  queue.exit(10, 3);
  expect(queue.executables()).toEqual(["/bin/true"]);
  expect(queue.asked).toEqual([]);
});

test("a look that was over after the next exec is not the earlier program's", () => {
  const queue = rig([look(10, 2, "/second", 4), look(10, 3, "/second", 5)]);
  queue.fork(10, 1);
  queue.exec(10, 2);
  queue.exec(10, 3);
  queue.exit(10, 6);
  expect(queue.executables()).toEqual([undefined, "/second"]);
});

test("an exec that did not ring is read late, unless it is known to be over", () => {
  const queue = rig([], { 10: "/alive", 11: "/another" });
  queue.exec(10, 1);
  queue.exec(11, 2);
  queue.exit(11, 3);
  expect(queue.executables()).toEqual(["/alive", undefined]);
  expect(queue.asked).toEqual([10]);
});

test("a program that outlives the window has its own place read", () => {
  const queue = rig([look(10, 2, "/daemon")], { 10: "/daemon" });
  queue.fork(10, 1);
  queue.exec(10, 2);
  const [, exec] = queue.told();
  expect(exec?.kind === "exec" && exec.facts.cgroup).toBe("/late");
});

test("a short program is where its siblings were found, and nowhere if they tell nothing", () => {
  const looks = [10, 11, 12].map((pid) =>
    look(pid, pid, "/bin/true", pid, pid < 12 ? placeAt("/one") : undefined),
  );
  const queue = rig([...looks, look(13, 13, "/bin/true")]);
  for (const pid of [10, 11]) {
    queue.fork(pid, pid);
    queue.exec(pid, pid);
    queue.exit(pid, pid);
  }
  queue.told();
  queue.fork(12, 12);
  queue.exec(12, 12);
  queue.exit(12, 12);
  queue.fork(13, 13, 99);
  queue.exec(13, 13);
  queue.exit(13, 13);
  const places = queue.told().flatMap((event) => (event.kind === "exec" ? [event.facts.cgroup] : []));
  expect(places).toEqual(["/one", undefined]);
});

test("siblings that stand apart, or were found too long ago, tell nothing", () => {
  const siblings = new Siblings();
  siblings.found(1, placeAt("/one"), 0);
  expect(siblings.expected(1, 1)).toBeUndefined();
  siblings.found(1, placeAt("/one"), 1);
  expect(siblings.expected(1, 2)?.cgroup).toBe("/one");
  expect(siblings.expected(1, 1.1e9)).toBeUndefined();
  siblings.found(1, placeAt("/other"), 2);
  expect(siblings.expected(1, 3)).toBeUndefined();
});

test("of siblings in different folders all is told but the folder", () => {
  const siblings = new Siblings();
  for (const cwd of ["/a", "/b", "/b"]) siblings.found(1, placeAt("/one", cwd), 0);
  expect(siblings.expected(1, 1)).toMatchObject({ cgroup: "/one", cwd: undefined });
});

test("whatever the interleaving and whenever looks were over, a life is told in order and as what it was", () => {
  // Each life: a fork, some execs, an exit; `lags` how long after its exec a look was over.
  const life = fc.array(fc.nat(6), { minLength: 0, maxLength: 3 });
  const lives = fc.array(life, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(lives, fc.infiniteStream(fc.nat(50)), fc.nat(5), (all, choice, split) => {
      const left = all.map((lags, i) => ({ pid: i + 10, lags, at: 0 }));
      const looks: Look[] = [];
      const queue = rig(looks);
      const told: ProcessEvent[] = [];
      const made = new Map<number, string[]>();
      let time = 0;
      while (left.length > 0) {
        const at = choice.next().value % left.length;
        const one = left[at];
        if (one === undefined) break;
        time += 1;
        const kinds = made.get(one.pid) ?? [];
        made.set(one.pid, kinds);
        if (one.at === 0) {
          queue.fork(one.pid, time);
          kinds.push("fork");
        } else if (one.at <= one.lags.length) {
          looks.push(look(one.pid, time, `${one.pid}/${one.at}`, time + (one.lags[one.at - 1] ?? 0)));
          queue.exec(one.pid, time);
          kinds.push(`exec ${one.at}`);
        } else {
          queue.exit(one.pid, time);
          kinds.push("exit");
          left.splice(at, 1);
        }
        one.at += 1;
        if (split > 0 && time % split === 0) told.push(...queue.told());
      }
      told.push(...queue.told());
      expect(told.map((event) => event.time)).toEqual(told.map((_, i) => i + 1));
      for (const [pid, kinds] of made) {
        let execs = 0;
        const seen = told.flatMap((event) => {
          if (!("pid" in event) || event.pid !== pid) return [];
          if (event.kind !== "exec") return [event.kind];
          execs += 1;
          expect([undefined, `${pid}/${execs}`]).toContain(event.facts.executable);
          return [`exec ${execs}`];
        });
        expect(seen).toEqual(kinds);
      }
    }),
  );
});
