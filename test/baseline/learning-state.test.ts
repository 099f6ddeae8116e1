import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  afterLoss,
  afterRepair,
  atTime,
  countNewTree,
  formatState,
  isSettled,
  parseState,
  perHourAt,
  reasonNotToAccept,
  secondsLeft,
  seenWhole,
  startLearning,
  stopLearning,
} from "../../src/baseline/learning-state.ts";
import { NOON, RUN } from "./samples.ts";

const DAY = 86_400;

describe("a learning", () => {
  test("is finished after as long as was asked for", () => {
    const state = startLearning(NOON, DAY, RUN);
    expect(atTime(state, NOON + DAY - 1).phase).toBe("learning");
    expect(atTime(state, NOON + DAY)).toMatchObject({ phase: "finished", ended: NOON + DAY });
    expect(reasonNotToAccept(atTime(state, NOON + DAY))).toBeUndefined();
  });

  test("ends after its time although events were lost, and says what share of it was seen whole", () => {
    const lost = afterLoss(afterLoss(startLearning(NOON, 100, RUN), NOON + 40), NOON + 45);
    expect(secondsLeft(lost, NOON + 60)).toBe(40);
    expect(seenWhole(lost, NOON + 50)).toBe(0.8);
    const repaired = afterRepair(lost, NOON + 50);
    expect(afterRepair(repaired, NOON + 70)).toEqual(repaired);
    const finished = atTime(repaired, NOON + 100);
    expect(finished).toMatchObject({ phase: "finished", losses: 2 });
    expect(seenWhole(finished, NOON + 500)).toBe(0.9);
    expect(reasonNotToAccept(finished)).toBeUndefined();
  });

  test("a loss that is made up for at once still counts a second", () => {
    const state = afterRepair(afterLoss(startLearning(NOON, 100, RUN), NOON + 5), NOON + 5);
    expect(seenWhole(state, NOON + 10)).toBe(0.9);
  });

  test("until stopped never ends by itself", () => {
    expect(atTime(startLearning(NOON, null, RUN), NOON + 100 * DAY).phase).toBe("learning");
  });

  test("is accepted once it has ended", () => {
    const state = startLearning(NOON, null, RUN);
    expect(reasonNotToAccept(state)).toBe("the learning run has not ended");
    expect(reasonNotToAccept(stopLearning(state, NOON + 1))).toBeUndefined();
  });

  test("counts new trees hour by hour, and forgets what is a day old", () => {
    let state = startLearning(NOON, null, RUN);
    for (const second of [0, 1, 3600, 3601, 3602]) state = countNewTree(state, NOON + second);
    expect(perHourAt(state, NOON + 3700)).toEqual([3, 2]);
    expect(perHourAt(state, NOON + 3 * 3600)).toEqual([0, 0, 3, 2]);
    expect(perHourAt(state, NOON + 100 * DAY)).toEqual(Array(24).fill(0));
    expect(state.trees).toBe(5);
  });

  test("has settled after three hours without a new tree", () => {
    const state = countNewTree(startLearning(NOON, null, RUN), NOON);
    expect(isSettled(state, NOON + 2 * 3600)).toBe(false);
    expect(isSettled(state, NOON + 3 * 3600)).toBe(true);
  });

  test("a clock that is set back changes no hour that is over", () => {
    const state = countNewTree(countNewTree(startLearning(NOON, null, RUN), NOON), NOON - 7200);
    expect(perHourAt(state, NOON)).toEqual([2]);
  });
});

describe("the state's file", () => {
  test("is read as it was written", () => {
    const state = countNewTree(afterLoss(startLearning(NOON, DAY, RUN), NOON + 5), NOON + 7300);
    expect(parseState(formatState(state))).toEqual(state);
  });

  test("anything else is none", () => {
    expect(parseState("")).toBeUndefined();
    expect(parseState('{"version":1}')).toBeUndefined();
    expect(
      parseState(formatState(startLearning(NOON, null, RUN)).replace("learning", "dreaming")),
    ).toBeUndefined();
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseState(text)).toBeUndefined();
      }),
    );
  });
});
