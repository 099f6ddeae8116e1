import { expect, test } from "bun:test";
import { recordedKinds, recordKinds, SIGNAL_RECORD } from "../../../src/sensor/ebpf/layout.ts";

test("no two kinds of records have one number", () => {
  const numbers = [...recordedKinds.map((kind) => recordKinds[kind]), SIGNAL_RECORD];
  expect(new Set(numbers).size).toBe(numbers.length);
});
