import { expect, test } from "bun:test";
import type { EventRecord } from "../../src/report/event-record.ts";
import { prettyLine } from "../../src/report/pretty.ts";

const commonFields = { timestamp: "2026-01-31T12:00:00.250000Z", "log.record.uid": "u" };
const processFields = {
  ...commonFields,
  "process.pid": 300,
  "process.user.name": "www",
  "process.command_args": ["sh", "-c", "id"],
  "tree.path": "/nginx/base",
};

function line(record: EventRecord): string {
  return prettyLine(record, false);
}

test("an exec, a new tree, an exit and a loss are shown on one line each", () => {
  expect(line({ ...processFields, "event.name": "process.exec" })).toBe(
    "2026-01-31 12:00:00.250 UTC         300 www      /nginx/base  sh -c id\n",
  );
  expect(line({ ...processFields, "event.name": "tree.new" })).toBe(
    "2026-01-31 12:00:00.250 UTC new     300 www      /nginx/base  sh -c id\n",
  );
  expect(line({ ...processFields, "event.name": "process.exit", "process.exit.code": 3 })).toBe(
    "2026-01-31 12:00:00.250 UTC         300 www      /nginx/base  exit 3\n",
  );
  expect(line({ ...commonFields, "event.name": "sensor.loss", "sensor.loss.count": 7 })).toBe(
    "2026-01-31 12:00:00.250 UTC sensor.loss sensor.loss.count=7\n",
  );
});

test("a verdict shows its outcome, the reason and the rule", () => {
  const verdict = {
    ...processFields,
    "event.name": "policy.verdict",
    "policy.action": "kill",
    "policy.outcome": "withheld",
    "policy.reason": "rate_limited",
    "security_rule.name": "shell",
    "security_rule.ruleset.name": "web",
  };
  expect(line(verdict)).toBe(
    "2026-01-31 12:00:00.250 UTC WITHHELD (rate_limited) web/shell     300 www      /nginx/base  sh -c id\n",
  );
});

test("a record that stands for several verdicts says how many, and of how many arguments", () => {
  const { "process.pid": _pid, ...shared } = processFields;
  const repeated = {
    ...shared,
    "event.name": "policy.verdict.repeated",
    "policy.action": "alert",
    "policy.outcome": "alerted",
    "policy.count": 399,
    "security_rule.name": "shell",
    "security_rule.ruleset.name": "web",
  };
  expect(line(repeated)).toBe(
    "2026-01-31 12:00:00.250 UTC ALERTED web/shell 399 times more       - www      /nginx/base  sh -c id\n",
  );
  expect(line({ ...repeated, "policy.distinct_arguments": 42 })).toEndWith("42 different arguments\n");
});

test("any other record shows its event name and all of its values", () => {
  expect(line({ ...commonFields, "event.name": "policy.loaded", "security_rule.version": "1a" })).toBe(
    "2026-01-31 12:00:00.250 UTC policy.loaded security_rule.version=1a\n",
  );
});

test("times are local, with date and zone", () => {
  const before = process.env.TZ;
  try {
    for (const [zone, shown] of [
      ["Europe/Berlin", "2026-01-31 13:00:00.250 +01:00"],
      ["America/St_Johns", "2026-01-31 08:30:00.250 -03:30"],
      ["Pacific/Kiritimati", "2026-02-01 02:00:00.250 +14:00"],
      ["UTC", "2026-01-31 12:00:00.250 UTC"],
    ] as const) {
      process.env.TZ = zone;
      expect(line({ ...commonFields, "event.name": "policy.loaded" })).toStartWith(`${shown} `);
    }
  } finally {
    process.env.TZ = before ?? "UTC";
  }
});
