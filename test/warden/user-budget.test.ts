// A user who makes new names of programs faster than a limit gets them folded only; nobody else does.
import { expect, test } from "bun:test";
import { nameBudget, UserBudget } from "../../src/warden/user-budget.ts";

function budget() {
  const clock = { now: 1e9 };
  const refused = { count: 0 };
  const counter = {
    add: (n: number) => {
      refused.count += n;
    },
  };
  return { clock, refused, names: new UserBudget({ ...nameBudget, now: () => clock.now, refused: counter }) };
}

/** How many of `n` names at once are scored. */
function taken(names: UserBudget, uid: number | undefined, n: number): number {
  let scored = 0;
  for (let i = 0; i < n; i++) if (names.take(uid)) scored += 1;
  return scored;
}

test("5,000 names at once are scored, then 500 a second", () => {
  const { clock, names, refused } = budget();
  expect(taken(names, 1000, 8_000)).toBe(5_000);
  expect(refused.count).toBe(3_000);
  clock.now += 2e9;
  expect(taken(names, 1000, 8_000)).toBe(1_000);
});

test("one user's flood takes nothing from another's", () => {
  const { names } = budget();
  taken(names, 1000, 8_000);
  expect(taken(names, 33, 100)).toBe(100);
  expect(taken(names, undefined, 100)).toBe(100);
});

test("many users are bounded: the one that came first is forgotten", () => {
  const { names } = budget();
  taken(names, 1, 5_000);
  for (let uid = 2; uid < 2_000; uid++) names.take(uid);
  expect(names.take(1)).toBe(true);
});
