import { expect, test } from "bun:test";
import type { EventRecord } from "../../src/report/event-record.ts";
import { UnreadableProcesses } from "../../src/warden/unreadable-processes.ts";

test("processes whose arguments cannot be read are recorded once a minute", () => {
  let now = 0;
  const recorded: EventRecord[] = [];
  const unreadable = new UnreadableProcesses({
    now: () => now,
    record: (details) => void recorded.push(details),
  });
  unreadable.add(7, 1001);
  unreadable.add(8, 1001);
  now = 59e9;
  unreadable.add(9, 1002);
  expect(recorded).toEqual([{ "process.pid": 7, "process.real_user.id": 1001, "policy.severity": "high" }]);
  now = 60e9;
  unreadable.add(10, undefined);
  expect(recorded.at(-1)).toEqual({ "process.pid": 10, "policy.severity": "high" });
});
