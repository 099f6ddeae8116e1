import { expect, test } from "bun:test";
import type { EventRecord } from "../../src/report/event-record.ts";
import { Totals } from "../../src/report/totals.ts";
import { Heartbeat } from "../../src/warden/heartbeat.ts";
import type { WardenStatus } from "../../src/warden/warden-status.ts";

const MINUTE = 60e9;

const status: WardenStatus = {
  version: "1.2.3",
  run: "run-1",
  started: 0,
  runStarted: 0,
  sensor: { source: "ebpf", reason: "" },
  enforcement: "kill",
  armedSinceHours: 0,
  mayAct: true,
  rules: [
    {
      rule: "web/a",
      action: "kill",
      severity: "high",
      inherited: false,
      armed: "everywhere",
      byConfiguration: true,
      held: null,
    },
    {
      rule: "web/b",
      action: "kill",
      severity: "high",
      inherited: false,
      armed: "nowhere",
      byConfiguration: true,
      held: null,
    },
  ],
  policy: { role: "web", version: "v7", digest: "abc", since: 0, rules: 2 },
  baseline: { digest: "sha256:base", trees: 3, since: 0 },
  configuration: { file: null, digest: "sha256:config", since: 0 },
  degraded: ["OTLP is off: ..."],
  stopped: [],
  prevention: null,
  lost: 5,
  backlog: 1,
  waiting: [],
  killBudget: 10,
  epoch: 42,
};

function heartbeatOf(change: Partial<WardenStatus> = {}): { records: EventRecord[]; heartbeat: Heartbeat } {
  const totals = new Totals();
  totals.counter("events", { event: "exec" }).add(7);
  totals.counter("events", { event: "fork" }).add(3);
  const records: EventRecord[] = [];
  const heartbeat = new Heartbeat({
    now: 0,
    status: () => ({ ...status, ...change }),
    sumOf: (name) => totals.sumOf(name),
    record: (fields) => records.push(fields),
  });
  return { records, heartbeat };
}

function recordWith(change: Partial<WardenStatus>): EventRecord | undefined {
  const { records, heartbeat } = heartbeatOf(change);
  heartbeat.work(5 * MINUTE);
  return records[0];
}

test("every five minutes the warden records what is in force and what it has counted", () => {
  const { records, heartbeat } = heartbeatOf();
  heartbeat.work(4.9 * MINUTE);
  expect(records).toEqual([]);
  expect(heartbeat.dueIn(4 * MINUTE)).toBe(MINUTE);
  heartbeat.work(5 * MINUTE);
  expect(records).toEqual([
    {
      "sensor.source": "ebpf",
      "status.version": "1.2.3",
      "policy.enforcement": "kill",
      "status.may_act": true,
      "security_rule.ruleset.name": "web",
      "security_rule.version": "v7",
      "status.policy.digest": "sha256:abc",
      "status.configuration.digest": "sha256:config",
      "status.baseline.digest": "sha256:base",
      "status.arming.digest": expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      "status.degraded": ["OTLP is off: ..."],
      "status.epoch": 42,
      "status.lost": 5,
      "status.backlog": 1,
      "status.count.events": 10,
      "status.count.verdicts": 0,
      "status.count.unattributed": 0,
      "status.count.dropped": 0,
      "status.count.resyncs": 0,
    },
  ]);
});

test("after a suspension there is one heartbeat, not one for each interval", () => {
  const { records, heartbeat } = heartbeatOf();
  for (const minute of [600, 601, 604]) heartbeat.work(minute * MINUTE);
  expect(records.length).toBe(1);
  heartbeat.work(605 * MINUTE);
  expect(records.length).toBe(2);
});

test("the digest of the arming is another one as soon as another rule may act", () => {
  const digestOf = (change: Partial<WardenStatus>) => recordWith(change)?.["status.arming.digest"];
  const [a, b] = status.rules;
  expect(digestOf({})).toBe(digestOf({ lost: 6, epoch: 43 }));
  expect(digestOf({ rules: status.rules.toReversed() })).toBe(digestOf({}));
  expect(digestOf({ enforcement: "observe" })).not.toBe(digestOf({}));
  if (a !== undefined && b !== undefined)
    expect(digestOf({ rules: [a, { ...b, armed: "somewhere" }] })).not.toBe(digestOf({}));
});

test("what there is not is absent", () => {
  const record = recordWith({ baseline: null, configuration: { file: null, digest: null, since: 0 } }) ?? {};
  expect(Object.keys(record)).not.toContain("status.baseline.digest");
  expect(Object.keys(record)).not.toContain("status.configuration.digest");
});
