import { expect, test } from "bun:test";
import type { EventRecord } from "../../src/report/event-record.ts";
import { AlarmGroups, isAlarm } from "../../src/reporter/alarms.ts";
import { formatMail } from "../../src/reporter/mail-text.ts";

function alert(more: EventRecord = {}): EventRecord {
  return {
    timestamp: "2026-02-03T04:05:06.000000Z",
    "event.name": "policy.verdict",
    "log.record.uid": "u",
    "policy.action": "alert",
    "policy.outcome": "alerted",
    "policy.severity": "high",
    "security_rule.name": "shell",
    "security_rule.ruleset.name": "web",
    "tree.path": "/nginx/base",
    "tree.exact": "/nginx/dash",
    "process.runnable.path": "/usr/bin/dash",
    "process.unit": "nginx.service",
    "process.user.name": "www-data",
    "process.command_args": ["sh", "-c", "id"],
    ...more,
  };
}

function groups(records: readonly EventRecord[], limit = 100): AlarmGroups {
  const made = new AlarmGroups(limit);
  for (const record of records) made.add(record);
  return made;
}

function mail(
  records: readonly EventRecord[],
  more: { limit?: number; unread?: number; host?: string; roles?: readonly string[] } = {},
) {
  const { limit, unread = 0, host = "web1", roles = ["web"] } = more;
  const to = ["root", "a@example.org"];
  return formatMail({ to, host, roles, alarms: groups(records, limit), unread });
}

test.each([
  ["a verdict that alerts", alert(), true],
  ["a verdict that kills", alert({ "policy.action": "kill" }), true],
  [
    "a record that stands for several verdicts",
    alert({ "event.name": "policy.verdict.repeated", "policy.count": 7 }),
    true,
  ],
  ["a verdict that allows", alert({ "policy.action": "allow" }), false],
  ["a tree that the baseline does not know", { "event.name": "tree.new", "tree.known": false }, true],
  ["a tree that is new while nothing is known", { "event.name": "tree.new" }, false],
  ["an exec", { "event.name": "process.exec", "tree.known": false }, false],
  ["a loss", { "event.name": "sensor.loss" }, false],
])("%s: is it an alarm? %#", (_, record: EventRecord, expected) => {
  expect(isAlarm(record)).toBe(expected);
});

test("a record that stands for several verdicts counts as as many alarms of the same kind", () => {
  const repeated = alert({ "event.name": "policy.verdict.repeated", "policy.count": 399 });
  const made = groups([alert({ "policy.count": 1 }), repeated]);
  expect(made.total).toBe(400);
  expect(made.list().map(({ count }) => count)).toEqual([400]);
});

test("the same rule, tree, scope and runnable is one alarm with a count", () => {
  const made = groups([
    alert(),
    alert({ timestamp: "2026-02-03T04:06:00.000000Z" }),
    alert({ "process.unit": "apache2.service" }),
    alert({ "security_rule.name": "other" }),
    alert({ "tree.exact": "/nginx/bash" }),
    alert({ "process.runnable.path": "/tmp/dash" }),
  ]);
  expect(made.list().map(({ count }) => count)).toEqual([2, 1, 1, 1, 1]);
  const [first] = made.list();
  expect(first).toMatchObject({ first: "2026-02-03T04:05:06.000000Z", last: "2026-02-03T04:06:00.000000Z" });
});

test("kinds beyond the bound are counted, and the mail says how many", () => {
  const many = Array.from({ length: 30 }, (_, i) => alert({ "tree.exact": `/nginx/${i}` }));
  const made = groups(many, 10);
  expect([made.list().length, made.overLimit, made.total]).toEqual([10, 20, 30]);
  expect(mail(many, { limit: 10 })).toContain("Not listed here: 20 further alarms.");
  const sixty = Array.from({ length: 60 }, (_, i) => alert({ "tree.exact": `/nginx/${i}` }));
  expect(mail(sixty)).toContain("Not listed here: 10 further alarms.");
});

test("the most severe comes first", () => {
  const text = mail([
    alert({ "policy.severity": "low" }),
    alert({ "policy.severity": "critical", "security_rule.name": "x" }),
  ]);
  expect(text.indexOf("critical")).toBeLessThan(text.indexOf("low"));
});

test("a mail names the roles in force, also where the rule that spoke is inherited", () => {
  const inherited = alert({ "security_rule.ruleset.name": "base" });
  expect(mail([inherited])).toContain("  role       web\n");
  expect(mail([inherited], { roles: ["web+bastion"] })).toContain("  role       web+bastion\n");
  expect(mail([inherited], { roles: [] })).toContain("  role       -\n");
});

test("a mail says who, where, what, when and how often", () => {
  const text = mail([alert(), alert()], { unread: 7 });
  expect(text.split("\n\n")[0]).toBe(
    [
      "To: root, a@example.org",
      "Subject: [treewarden] web1: 2 alarms",
      "Auto-Submitted: auto-generated",
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
      "Content-Transfer-Encoding: 8bit",
    ].join("\n"),
  );
  const says = [
    "host       web1",
    "role       web",
    "ALERTED (high): web/shell, 2 times",
    "tree       /nginx/base",
  ];
  says.push(
    "exact      /nginx/dash",
    "scope      nginx.service",
    "user       www-data",
    "arguments  sh -c id",
  );
  says.push("first      2026-02-03T04:05:06.000000Z", "Not read: 7 further records of the journal.");
  for (const each of says) expect(text).toContain(each);
});

test("nothing that a process or a host is called becomes a header, a line of its own or a line too long", () => {
  const hostile = "x\r\nBcc: evil@example.org\r\n.\r\n\u001b[2J\u202e";
  const text = mail(
    [
      alert({
        "tree.path": hostile,
        "tree.exact": hostile,
        "process.runnable.path": hostile,
        "process.unit": hostile,
        "process.user.name": hostile,
        "security_rule.name": hostile,
        "policy.severity": hostile,
        "policy.outcome": hostile,
        timestamp: hostile,
        "process.command_args": [hostile, "\u{1f600}".repeat(5_000), "y".repeat(5_000)],
      }),
    ],
    { host: hostile },
  );
  const [headers = "", ...body] = text.split("\n\n");
  expect(headers.split("\n").map((line) => line.split(":")[0])).toEqual([
    "To",
    "Subject",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
  ]);
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
  const lines = body.join("\n\n").split("\n");
  expect(lines.filter((line) => line.startsWith("Bcc") || line === ".")).toEqual([]);
  expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThan(998);
  expect(Buffer.byteLength(text)).toBeLessThan(20_000);
});
