// What junk kills can buy: nothing for the attacker's next program, nothing for that of another user.
import { describe, expect, test } from "bun:test";
import { KillBudget } from "../../src/enforcement/kill-budget.ts";
import { type Offender, offenderOf } from "../../src/enforcement/offender.ts";
import { smallHost, type World } from "../forest/world.ts";

const SECOND = 1e9;
const mallory: Offender["payers"] = [1000];
const alice: Offender["payers"] = [1001];
const root: Offender["payers"] = [];
const offender = (payers: Offender["payers"], key: string | number): Offender => ({
  payers,
  key: `${payers.join()} ${key}`,
});

describe("the kill budget", () => {
  test("after 10,000 junk kills of one program by one user, that user's next program is killed", () => {
    const budget = new KillBudget(10);
    const junk = offender(mallory, "junk");
    expect(budget.charge(junk, 0)).toBe("charged");
    for (let i = 1; i < 10_000; i += 1) expect(budget.charge(junk, i * 1e6)).toBe("free");
    expect(budget.charge(offender(mallory, "attack"), 10 * SECOND)).toBe("charged");
  });

  test("after junk kills of 10,000 different programs by one user, another user's are killed, and root's", () => {
    const budget = new KillBudget(10);
    let charged = 0;
    for (let i = 0; i < 10_000; i += 1)
      if (budget.charge(offender(mallory, i), i) === "charged") charged += 1;
    expect(charged).toBe(5);
    for (const i of [1, 2, 3, 4]) expect(budget.charge(offender(alice, i), SECOND)).toBe("charged");
    expect(budget.charge(offender(root, 1), SECOND)).toBe("charged");
    expect(budget.remaining(SECOND)).toBe(0);
    expect(budget.charge(offender(root, 2), SECOND)).toBe("refused");
  });

  test("root may use up all of it", () => {
    const budget = new KillBudget(10);
    for (let i = 0; i < 10; i += 1) expect(budget.charge(offender(root, i), 0)).toBe("charged");
    expect(budget.charge(offender(root, 10), 0)).toBe("refused");
  });

  test("a user who is charged along with another one takes from both shares", () => {
    const budget = new KillBudget(4);
    const both: Offender["payers"] = [1000, 1001];
    for (const i of [1, 2]) expect(budget.charge(offender(both, i), 0)).toBe("charged");
    expect(budget.charge(offender(mallory, 3), 0)).toBe("refused");
    expect(budget.charge(offender(alice, 3), 0)).toBe("refused");
  });

  test("an offender counts for a minute after its last kill", () => {
    const budget = new KillBudget(2);
    const first = offender(mallory, 1);
    budget.charge(first, 0);
    expect(budget.charge(first, 50 * SECOND)).toBe("free");
    expect(budget.charge(offender(mallory, 2), 100 * SECOND)).toBe("refused");
    expect(budget.charge(offender(mallory, 2), 110 * SECOND)).toBe("charged");
  });

  test("a budget of 1 kills one offender, whoever it is; one of 0 kills nobody", () => {
    expect(new KillBudget(1).charge(offender(mallory, 1), 0)).toBe("charged");
    expect(new KillBudget(0).charge(offender(root, 1), 0)).toBe("refused");
  });

  test("at no time are there more offenders than it allows, or more of one user than half (random kills)", () => {
    let state = 7;
    const dice = (sides: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >> 8) % sides;
    };
    const budget = new KillBudget(10);
    const last = new Map<string, { readonly user: number; readonly time: number }>();
    let now = 0;
    for (let i = 0; i < 20_000; i += 1) {
      now += dice(3) * SECOND;
      const user = dice(4);
      const one = offender(user === 0 ? root : [user], dice(12));
      const charge = budget.charge(one, now);
      const live = [...last].filter(([, { time }]) => time > now - 60 * SECOND);
      expect(charge === "free").toBe(live.some(([key]) => key === one.key));
      if (charge === "refused") continue;
      if (charge === "charged" && dice(5) === 0) budget.refund(one);
      else last.set(one.key, { user, time: now });
      const after = [...last.values()].filter(({ time }) => time > now - 60 * SECOND);
      expect(after.length).toBeLessThanOrEqual(10);
      for (const each of [1, 2, 3])
        expect(after.filter((entry) => entry.user === each).length).toBeLessThanOrEqual(5);
      expect(budget.remaining(now)).toBe(10 - after.length);
    }
  });
});

describe("the share that a kill is charged to", () => {
  const CONTAINER = "a".repeat(64);
  /** Each process runs as this user, the first one below init; the last one is killed. */
  function payersOf(users: readonly number[], realUid: number, cgroups: readonly string[] = []) {
    const world: World = smallHost();
    let parent = 1;
    for (const [i, uid] of users.entries()) {
      const cgroup = cgroups[i];
      world.spawn(parent, 500 + i, `p${i}`, cgroup === undefined ? { uid } : { uid, cgroup });
      parent = 500 + i;
    }
    const process = world.forest.get(parent);
    if (process === undefined) throw new Error("no process");
    return offenderOf(process.lineage, realUid, "web/shell").payers;
  }

  test("root's own programs are charged to nobody", () => expect(payersOf([0, 0], 0)).toEqual([]));

  test("a daemon's programs to the user that root gave it", () =>
    expect(payersOf([0, 33, 33], 33)).toEqual([33]));

  test("a set-user-id program to the user who ran it, whoever it runs as", () => {
    expect(payersOf([0, 1000, 0], 1000)).toEqual([1000]);
    expect(payersOf([0, 1000, 6], 1000)).toEqual([1000]);
  });

  test("what a user does with sudo to that user", () => expect(payersOf([0, 1000, 0, 0], 0)).toEqual([1000]));

  test("a daemon that an administrator started by hand to the daemon's user, not to the administrator", () =>
    expect(payersOf([0, 1000, 0, 33, 33], 33)).toEqual([33]));

  test("the many users of a user namespace to its maker too", () =>
    expect(payersOf([0, 1000, 100_001], 100_001)).toEqual([1000, 100_001]));

  test("a job that atd(8), which is root only in name, starts for a user, to that user too", () =>
    expect(payersOf([0, 1, 1000], 1000)).toEqual([1, 1000]));

  test("whatever runs in a container to the container, whose root can become any user in it", () => {
    const inside = `/system.slice/docker-${CONTAINER}.scope`;
    expect(payersOf([0, 0, 0], 0, ["/", inside, inside])).toEqual([CONTAINER]);
    expect(payersOf([0, 0, 1001], 1001, ["/", inside, inside])).toEqual([CONTAINER]);
  });
});
