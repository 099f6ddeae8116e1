import { expect, test } from "bun:test";
import { ShownCounts } from "../../src/reporter/shown-counts.ts";

test("the last line of a live view says what there was, repeated verdicts included", () => {
  const counts = new ShownCounts();
  counts.add({ "event.name": "tree.new" });
  counts.add({ "event.name": "policy.verdict", "policy.outcome": "alerted", "policy.count": 1 });
  counts.add({ "event.name": "policy.verdict.repeated", "policy.outcome": "alerted", "policy.count": 399 });
  counts.add({ "event.name": "policy.verdict", "policy.outcome": "killed", "policy.count": 1 });
  counts.add({ "event.name": "policy.loaded" });
  expect(counts.line()).toMatch(/^since 20.* UTC: 400 alerted, 1 killed, 1 new tree\n$/);
});
