import { expect, test } from "bun:test";
import fc from "fast-check";
import type { EventRecord } from "../../src/report/event-record.ts";
import { SelfRecords } from "../../src/warden/self-records.ts";

const MINUTE = 60e9;

function watched() {
  const clock = { now: 0 };
  const recorded: EventRecord[] = [];
  const records = new SelfRecords({
    now: () => clock.now,
    record: (_event, details) => recorded.push(details),
  });
  return { clock, recorded, records };
}

test("the first is recorded at once, with what only it has; the others once a minute, as a number", () => {
  const { clock, recorded, records } = watched();
  for (let pid = 1; pid <= 5; pid += 1)
    records.add("self.signaled", { "self.signal": "SIGSTOP" }, { "self.by.pid": pid });
  expect(recorded).toEqual([{ "self.signal": "SIGSTOP", "self.by.pid": 1, "self.count": 1 }]);
  expect(records.dueIn(clock.now)).toBe(MINUTE);
  clock.now = MINUTE;
  records.work(clock.now);
  expect(recorded.slice(1)).toEqual([{ "self.signal": "SIGSTOP", "self.count": 4 }]);
});

test("what was quiet for a minute is recorded at once again", () => {
  const { clock, recorded, records } = watched();
  records.add("self.signaled", { "self.signal": "SIGSTOP" });
  clock.now = MINUTE;
  records.work(clock.now);
  expect(records.dueIn(clock.now)).toBeUndefined();
  records.add("self.signaled", { "self.signal": "SIGSTOP" });
  expect(recorded.length).toBe(2);
});

test("what is counted when the warden ends is recorded", () => {
  const { recorded, records } = watched();
  for (let i = 0; i < 3; i += 1)
    records.add("self.file_changed", { "self.file": "/etc/treewarden/config.yaml" });
  records.flush();
  expect(recorded.map((record) => record["self.count"])).toEqual([1, 2]);
});

test("whatever is done, a minute has at most 64 kinds, and nothing is left uncounted", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 600 }), (files) => {
      const { clock, recorded, records } = watched();
      for (const file of files) records.add("self.file_changed", { "self.file": `/etc/${file}` });
      expect(recorded.length).toBeLessThanOrEqual(64);
      clock.now = MINUTE;
      records.work(clock.now);
      clock.now = 2 * MINUTE;
      records.work(clock.now);
      records.add("self.file_changed", { "self.file": "/etc/last" });
      const sum = (field: "self.count" | "self.omitted") =>
        recorded.reduce((total, record) => total + Number(record[field] ?? 0), 0);
      expect(sum("self.count") + sum("self.omitted")).toBe(files.length + 1);
    }),
    { numRuns: 50 },
  );
});
