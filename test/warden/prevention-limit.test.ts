// What is reported when too many different programs were ended in the kernel.
import { expect, test } from "bun:test";
import type { Payer } from "../../src/vocabulary/shares.ts";
import { PreventionLimit } from "../../src/warden/prevention-limit.ts";

const SECOND = 1e9;
const CONTAINER = "0123456789abcdef";

/** The kernel's counters, and what is reported of them. */
function rig(before = 0) {
  const ofPayers = new Map<Payer, number>();
  const kernel = {
    refused: before,
    refusals: () => ({ count: kernel.refused, ofPayers: new Map(ofPayers) }),
  };
  const records: unknown[] = [];
  const counted = { times: 0 };
  const limit = new PreventionLimit({
    recordChange: (event, details) => records.push([event, details["prevention.limited_for"]]),
    limited: {
      add: (count) => {
        counted.times += count;
      },
    },
  });
  const refuse = (count: number, payer?: Payer): void => {
    kernel.refused += count;
    if (payer !== undefined) ofPayers.set(payer, (ofPayers.get(payer) ?? 0) + count);
  };
  return { kernel, records, counted, limit, refuse };
}

test("a user whose share is used up is named once, until a minute has passed without a refusal", () => {
  const { kernel, records, counted, limit, refuse } = rig();
  limit.look(kernel, 0);
  expect(limit.problemAt(0)).toBeUndefined();
  refuse(3, 33);
  limit.look(kernel, 2 * SECOND);
  refuse(2, 33);
  limit.look(kernel, 50 * SECOND);
  limit.look(kernel, 109 * SECOND);
  expect(records).toEqual([["prevention.limited", ["user 33"]]]);
  expect(counted.times).toBe(5);
  expect(limit.problemAt(109 * SECOND)).toBe(
    "too many different programs of user 33 were ended before their first instruction: further ones are killed once they have begun",
  );
  expect(limit.problemAt(110 * SECOND)).toBeUndefined();
  limit.look(kernel, 110 * SECOND);
  expect(records.at(-1)).toEqual(["prevention.resumed", undefined]);
});

test("another user, and a container, are named when they come to it", () => {
  const { kernel, records, limit, refuse } = rig();
  limit.look(kernel, 0);
  refuse(1, 33);
  limit.look(kernel, 2 * SECOND);
  refuse(1, CONTAINER);
  limit.look(kernel, 4 * SECOND);
  expect(records).toEqual([
    ["prevention.limited", ["user 33"]],
    ["prevention.limited", ["user 33", "container 0123456789ab"]],
  ]);
});

test("where the host's share is used up nobody is named, and thousands of users make few records", () => {
  const { kernel, records, limit, refuse } = rig();
  limit.look(kernel, 0);
  refuse(7);
  limit.look(kernel, 2 * SECOND);
  expect(records).toEqual([["prevention.limited", []]]);
  for (let uid = 100_000; uid < 102_000; uid += 1) {
    refuse(1, uid);
    limit.look(kernel, 4 * SECOND);
  }
  expect(records.length).toBe(9);
});

test("what an earlier warden has reported is not reported again", () => {
  const { kernel, records, counted, limit } = rig(500);
  limit.look(kernel, 0);
  limit.look(kernel, 2 * SECOND);
  expect([records, counted.times]).toEqual([[], 0]);
});
