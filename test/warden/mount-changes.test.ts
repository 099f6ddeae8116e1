// Changes of mounts are looked at soon, and never for much of the time.
import { expect, test } from "bun:test";
import { EPOLLPRI } from "../../src/linux/epoll.ts";
import { MountChanges } from "../../src/warden/mount-changes.ts";

/** Each look takes `lookNs` and finds what `waiting` has. */
function start(lookNs: number) {
  const clock = { now: 1e12 };
  const waiting = new Set<string>();
  const seen: string[][] = [];
  const added: number[][] = [];
  const changes = new MountChanges({
    open: () => ({
      fd: 9,
      takeChanges: () => {
        clock.now += lookNs;
        const found = new Set(waiting);
        waiting.clear();
        return found;
      },
    }),
    poll: { add: (...descriptor) => void added.push(descriptor) },
    token: 6,
    now: () => clock.now,
    onChanges: (mountPoints) => void seen.push([...mountPoints]),
  });
  return { clock, waiting, seen, added, changes };
}

test("nothing is due until the kernel reports a change, which is looked at at once", () => {
  const { clock, waiting, seen, added, changes } = start(1e5);
  expect(added).toEqual([[9, 6, EPOLLPRI]]);
  changes.work(clock.now);
  expect([changes.dueIn(clock.now), seen]).toEqual([undefined, []]);
  waiting.add("/opt");
  changes.onEvent();
  expect(changes.dueIn(clock.now)).toBe(0);
  changes.work(clock.now);
  expect([changes.dueIn(clock.now), seen]).toEqual([undefined, [["/opt"]]]);
});

test("somebody who mounts all the time takes a fiftieth of it", () => {
  const { clock, changes } = start(2e6);
  let looks = 0;
  const end = clock.now + 10e9;
  while (clock.now < end) {
    changes.onEvent();
    const before = clock.now;
    changes.work(clock.now);
    if (clock.now !== before) looks += 1;
    else clock.now += 1e6;
  }
  expect(looks).toBeWithin(95, 100);
});

test("mounts that cannot be read change all paths; where none can, that is said and nothing is due", () => {
  const seen: string[][] = [];
  const inputs = {
    poll: { add: () => undefined },
    token: 6,
    now: () => 0,
    onChanges: (mountPoints: ReadonlySet<string>) => void seen.push([...mountPoints]),
  };
  const failing = (): never => {
    throw new Error("not permitted");
  };
  const changes = new MountChanges({ ...inputs, open: () => ({ fd: 9, takeChanges: failing }) });
  changes.onEvent();
  changes.work(0);
  expect([changes.problem, seen]).toEqual([undefined, [["/"]]]);
  const none = new MountChanges({ ...inputs, open: failing });
  expect([none.problem, none.dueIn(0)]).toEqual([
    "changes of mounts are not noticed: not permitted",
    undefined,
  ]);
});
