import { describe, expect, test } from "bun:test";
import { sharedLayout } from "../../../src/sensor/ebpf/layout.ts";
import { ReadPosition } from "../../../src/sensor/ebpf/read-position.ts";

const page = (): Float64Array => new Float64Array(sharedLayout.size / 8);

describe("a reader of the ring", () => {
  test("begins where the one before has handled everything", () => {
    const numbers = page();
    const first = new ReadPosition(numbers, true);
    expect(first.first).toBe(0);
    first.begin(0);
    first.begin(48);
    first.end(96);
    first.begin(96);
    expect(new ReadPosition(numbers, false).first).toBe(96);
  });

  test("has what it reports sent before the records are given up", () => {
    const numbers = page();
    const position = new ReadPosition(numbers, true);
    let handled = -1;
    position.onHandled = () => {
      handled = new ReadPosition(numbers.slice(), false).first;
    };
    position.begin(0);
    position.end(48);
    expect([handled, new ReadPosition(numbers, false).first]).toEqual([0, 48]);
  });

  test("gets a record again at whose handling one has ended, and passes over it if two have", () => {
    const numbers = page();
    new ReadPosition(numbers, true).begin(0);
    const second = new ReadPosition(numbers, false);
    expect([second.first, second.begin(0), second.takeSkipped()]).toEqual([0, true, 0]);
    const third = new ReadPosition(numbers, false);
    expect([third.first, third.begin(0), third.begin(48)]).toEqual([0, false, true]);
    expect([third.takeSkipped(), third.takeSkipped()]).toEqual([1, 0]);
    third.end(96);
    expect(new ReadPosition(numbers, false).begin(96)).toBe(true);
  });

  test("passes over nothing because readers end between records", () => {
    const numbers = page();
    new ReadPosition(numbers, true).end(96);
    for (let restart = 0; restart < 3; restart += 1) new ReadPosition(numbers, false);
    expect(new ReadPosition(numbers, false).begin(96)).toBe(true);
  });

  test("knows marks of its own ring alone, and none of the future", () => {
    const numbers = page();
    const first = new ReadPosition(numbers, true);
    first.end(48);
    const { mark } = first;
    first.end(96);
    const second = new ReadPosition(numbers, false);
    expect(second.positionOf(mark)).toBe(48);
    expect(new ReadPosition(page(), true).positionOf(mark)).toBeUndefined();
    first.end(144);
    expect(second.positionOf(first.mark)).toBeUndefined();
  });
});
