import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { compileTreeGlob } from "../../src/policy/glob.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { timestamp } from "../../src/report/stamp.ts";
import { type EventFilter, isWanted } from "../../src/reporter/event-filter.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { JournalReader } from "../../src/reporter/journal-reader.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-filter-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const T0 = Date.UTC(2026, 0, 31, 12);

function record(uid: string, seconds: number, fields: EventRecord): EventRecord {
  const time = timestamp((T0 + seconds * 1_000) * 1e6);
  return { timestamp: time, "event.name": "policy.verdict", "log.record.uid": uid, ...fields };
}

const shell = record("shell", 0, {
  "security_rule.name": "shell",
  "security_rule.ruleset.name": "web",
  "policy.action": "kill",
  "policy.severity": "critical",
  "policy.matched_rules": ["shell", "writable"],
  "process.pid": 471,
  "process.parent_pid": 47,
  "process.ancestor_pids": [1, 40, 47],
  "process.unit": "nginx.service",
  "tree.path": "/nginx/base",
  "tree.exact": "/nginx/sh",
  "tree.labels": ["nginx", "base"],
});
const pip = record("pip", 10, {
  "security_rule.name": "writable",
  "security_rule.ruleset.name": "base",
  "policy.action": "alert",
  "policy.severity": "low",
  "policy.matched_rules": ["writable"],
  "process.pid": 4,
  "process.unit": "cron.service",
  "tree.path": "/random/cron/pip",
  "tree.exact": "/cron/pip",
  "tree.labels": ["cron", "pip"],
  "process.command_args": ["pip", '"process.pid":471,', "/nginx/base"],
});
const loaded = record("loaded", 20, { "event.name": "policy.loaded", "security_rule.ruleset.name": "web" });

function found(filter: EventFilter): string[] {
  using journal = new Journal(join(folder, "journal"), { maxAgeMs: 1e15, maxBytes: 1e9 });
  journal.append({ records: [{ run: "r", generation: 1, first: 1, records: [shell, pip, loaded] }] });
  using reader = new JournalReader(join(folder, "journal"));
  return [...reader.rows(filter)].map((row) => String(row.record["log.record.uid"]));
}

const cases: readonly [string, EventFilter, readonly string[]][] = [
  ["nothing", {}, ["shell", "pip", "loaded"]],
  ["since", { since: T0 + 10_000 }, ["pip", "loaded"]],
  ["until", { until: T0 + 10_000 }, ["shell", "pip"]],
  ["the rule that decided or matched", { rule: { ruleset: undefined, name: "writable" } }, ["shell", "pip"]],
  ["the rule of a role", { rule: { ruleset: "base", name: "writable" } }, ["pip"]],
  ["an action", { actions: ["kill"] }, ["shell"]],
  ["severities", { severities: ["low", "critical"] }, ["shell", "pip"]],
  ["a pid, not one that begins with it or stands in an argument", { pid: 4 }, ["pip"]],
  ["a pid", { pid: 471 }, ["shell"]],
  ["an ancestor", { under: 40 }, ["shell"]],
  ["the parent, the process", { under: 4 }, ["pip"]],
  ["a unit", { unit: "nginx.service" }, ["shell"]],
  ["a tree", { tree: { pattern: "/nginx/*", matches: compileTreeGlob("/nginx/*") } }, ["shell"]],
  ["an exact tree", { tree: { pattern: "/**/sh", matches: compileTreeGlob("/**/sh") } }, ["shell"]],
  [
    "a tree with and without its prefix",
    { tree: { pattern: "{/random/cron,/cron}/*", matches: (labels) => labels.at(-1) === "pip" } },
    ["pip"],
  ],
  ["a uid's beginning", { uid: "pi" }, ["pip"]],
  ["all of them together", { pid: 471, actions: ["alert"] }, []],
];
for (const [name, filter, wanted] of cases)
  test(`a filter by ${name}`, () => expect(found(filter)).toEqual([...wanted]));

test("the newest rows, oldest first", () => {
  expect(found({})).toHaveLength(3);
  using reader = new JournalReader(join(folder, "journal"));
  const newest = reader.newestRows({ severities: ["low", "critical"] }, reader.newest(), 1);
  expect(newest.map((row) => row.record["log.record.uid"])).toEqual(["pip"]);
});

test("SQL passes over no row that is wanted, whatever the texts are", () => {
  using journal = new Journal(join(folder, "journal"), { maxAgeMs: 1e15, maxBytes: 1e9 });
  const word = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom('"', "\\", "\\x0a", "a/b", "é"));
  let first = 1;
  fc.assert(
    fc.property(word, word, fc.nat(60), (rule, unit, pid) => {
      const fields = { "security_rule.name": rule, "process.unit": unit, "process.pid": pid };
      const wanted = record(`u${first}`, 0, fields);
      journal.append({ records: [{ run: "r", generation: 1, first, records: [wanted] }] });
      first += 1;
      const filter = { rule: { ruleset: undefined, name: rule }, unit, pid, uid: `u${first - 1}` };
      expect(isWanted(filter, wanted)).toBe(true);
      using reader = new JournalReader(join(folder, "journal"));
      expect([...reader.rows(filter)]).toHaveLength(1);
    }),
    { numRuns: 60 },
  );
});
