// Long work does not hold the warden's loop: it is done a millisecond at a time.
import { expect, test } from "bun:test";
import type { Steps } from "../../src/vocabulary/steps.ts";
import { SlicedWork } from "../../src/warden/sliced-work.ts";

/** Work of `count` steps of a millisecond each; `done` gets the name at the end. */
function steps(name: string, count: number, done: string[]): () => Steps<void> {
  return function* () {
    for (let i = 0; i < count; i++) {
      Bun.sleepSync(1);
      yield;
    }
    done.push(name);
  };
}

test("a turn does a part, and the turns together all of it, one work after the other", () => {
  const work = new SlicedWork();
  const done: string[] = [];
  work.add("policy", steps("policy", 5, done));
  work.add("baseline", steps("baseline", 5, done));
  work.run();
  expect(done).toEqual([]);
  let turns = 1;
  for (; work.isBusy; turns++) work.run();
  expect(done).toEqual(["policy", "baseline"]);
  expect(turns).toBeGreaterThan(5);
});

test("the same work is not done twice if it has not begun", () => {
  const work = new SlicedWork();
  const done: string[] = [];
  for (let i = 0; i < 3; i++) work.add("policy", steps(`policy ${i}`, 1, done));
  work.finish();
  expect(done).toEqual(["policy 2"]);
});

test("work that has begun is done again if it is asked for meanwhile", () => {
  const work = new SlicedWork();
  const done: string[] = [];
  work.add("policy", steps("first", 3, done));
  work.run();
  work.add("policy", steps("second", 1, done));
  work.finish();
  expect(done).toEqual(["first", "second"]);
});

test("work is waiting until it has begun", () => {
  const work = new SlicedWork();
  work.add("policy", steps("policy", 3, []));
  expect([work.isWaiting("policy"), work.isWaiting("baseline")]).toEqual([true, false]);
  work.run();
  expect([work.isWaiting("policy"), work.isBusy]).toEqual([false, true]);
});
