// `treewarden show`, run as a command on a journal that the test wrote.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventRecord } from "../../src/report/event-record.ts";
import { recordUids, timestamp } from "../../src/report/stamp.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { JOURNAL_FILE } from "../../src/reporter/journal-reader.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-show-"));
  mkdirSync(join(folder, "report"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const now = Math.floor(Date.now() / 1_000) * 1_000;
const uidOf = recordUids(new Uint8Array([1, 2, 3, 4, 5]));

/** A record `seconds` ago. */
function record(seconds: number, fields: EventRecord): EventRecord {
  const ns = (now - seconds * 1_000) * 1e6;
  return { timestamp: timestamp(ns), "event.name": "policy.verdict", "log.record.uid": uidOf(ns), ...fields };
}

function uid(record: EventRecord): string {
  return String(record["log.record.uid"]);
}

const ancestors: readonly EventRecord[] = [
  { "process.pid": 1, "process.user.name": "root", "process.runnable.path": "/usr/lib/systemd/systemd" },
  {
    "process.pid": 812,
    "process.creation.time": "2026-01-31T12:00:00.000000Z",
    "process.user.name": "root",
    "process.runnable.path": "/usr/sbin/nginx",
    "process.command_args": ["nginx: master"],
    "process.tty": null,
    "process.login_user.id": null,
  },
];
const verdict = {
  "policy.action": "kill",
  "policy.outcome": "killed",
  "policy.severity": "critical",
  "policy.tags": ["attack.t1059"],
  "policy.count": 1,
  "security_rule.name": "shop-shell",
  "security_rule.ruleset.name": "shop",
  "process.pid": 2_000_000_000,
  "process.creation.time": "2026-01-31T12:00:01.000000Z",
  "process.user.name": "www-data",
  "process.command_args": ["sh", "-c", "echo hi;id"],
  "process.executable.path": "/usr/bin/dash",
  "process.tty": "pts/0",
  "process.login_user.id": 1000,
  "process.ancestors": ancestors.map((each) => JSON.stringify(each)),
  "process.ancestor_pids": [1, 812],
  "tree.path": "/nginx/base",
  "tree.exact": "/nginx/dash",
  "tree.known": false,
} satisfies EventRecord;

function written(...records: readonly EventRecord[]): void {
  using journal = new Journal(join(folder, JOURNAL_FILE), { maxAgeMs: 1e12, maxBytes: 1e9 });
  journal.append({ records: [{ run: "r", generation: 1, first: 1, records }] });
}

function show(...args: string[]): { readonly code: number; readonly out: string; readonly err: string } {
  const main = join(import.meta.dir, "../../src/main.ts");
  const run = Bun.spawnSync([process.execPath, main, "show", ...args, "--state-dir", folder]);
  return { code: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}

test("shows who started whom, what followed, how often it was, and how to go on", () => {
  const first = record(7_200, verdict);
  const shown = record(60, verdict);
  const after = record(50, {
    "event.name": "tree.new",
    "process.pid": 9,
    "process.ancestor_pids": [1, 2_000_000_000],
  });
  written(first, shown, after, record(40, { ...verdict, "tree.exact": "/cron/dash" }));
  const { code, out, err } = show(uid(shown));
  expect([code, err]).toEqual([0, ""]);
  expect(out).toStartWith("CRITICAL KILLED shop/shop-shell  20");
  expect(out).toContain("attack.t1059");
  expect(out).toContain("  1  root  /usr/lib/systemd/systemd\n");
  expect(out).toContain("start not known, terminal not known, login not known, arguments not known");
  expect(out).toContain("└ 812  root  nginx: master\n");
  expect(out).toMatch(/since 2026-01-31 .*, no terminal, no login, \/usr\/sbin\/nginx, /);
  expect(out).toContain("└ 2000000000  www-data  sh -c echo hi;id\n");
  expect(out).toContain("terminal pts/0, login user 1000");
  expect(out).toMatch(/\nafterwards\n {2}20\d\d-.* new {7}9 /);
  expect(out).toContain("1 in the last hour by this rule on this tree");
  expect(out).toContain("2 in the whole journal, the first 20");
  expect(out).toContain("treewarden events --under 2000000000 --since 20");
  expect(out).toContain("treewarden baseline exclude add /nginx/dash --for 1h --reason '...'");
  expect(out).toContain("treewarden silence shop/shop-shell --tree /nginx/dash --for 1h --reason '...'");
});

test("shows with whom the process and its descendants talked, each endpoint once", () => {
  const shown = record(60, verdict);
  const peer = {
    "network.transport": "tcp",
    "network.peer.address": "2001:db8::7",
    "network.peer.port": 443,
  };
  const child = { "process.pid": 9, "process.ancestor_pids": [1, 2_000_000_000] };
  const connect = { ...child, ...peer, "event.name": "network.connect" };
  const denied = {
    ...child,
    ...peer,
    "event.kind": "connect",
    "policy.outcome": "denied",
    "policy.count": 4,
  };
  const listen = {
    ...child,
    "event.name": "network.listen",
    "network.transport": "udp",
    "network.local.address": "0.0.0.0",
    "network.local.port": 53,
  };
  const other = { ...connect, "process.ancestor_pids": [1], "network.peer.port": 80 };
  written(shown, record(50, connect), record(40, denied), record(30, listen), record(20, other));
  const { out } = show(uid(shown));
  expect(out).toContain(
    "\nconnections\n  connect tcp [2001:db8::7]:443, 5 times, 4 refused\n  listen udp 0.0.0.0:53\n",
  );
  expect(out).not.toContain(":80");
});

test("takes any beginning of a uid that is unambiguous, in small letters too", () => {
  const shown = record(60, verdict);
  written(record(120, verdict), shown);
  expect(show(uid(shown).slice(0, 10)).code).toBe(0);
  expect(show(uid(shown).slice(0, 10).toLowerCase()).out).toContain(uid(shown));
});

test("of a verdict and a new tree at the same moment it shows the verdict", () => {
  const shown = record(60, verdict);
  written(record(60, { ...verdict, "event.name": "tree.new" }), shown);
  expect(show(uid(shown).slice(0, 10)).out).toContain(uid(shown));
});

test("a beginning of several uids is an error that lists them, and one of none has the exit code 1", () => {
  const [a, b] = [record(60, verdict), record(61, verdict)];
  written(a, b);
  const { code, err } = show(uid(a).slice(0, 5));
  expect(code).toBe(2);
  for (const each of [a, b]) expect(err).toContain(uid(each));
  expect(show("0000000000")).toMatchObject({ code: 1, out: "" });
  expect(show("0000000000").err).toContain("the journal has no record 0000000000");
  expect(show("ILLEGAL").err).toContain("the uid of a record must be");
});

test("repeated verdicts have the lineage of the first", () => {
  const first = record(60, verdict);
  const { "process.pid": _pid, "process.ancestors": _ancestors, ...shared } = verdict;
  const repeated = record(10, {
    ...shared,
    "event.name": "policy.verdict.repeated",
    "policy.count": 399,
    "policy.first_uid": uid(first),
  });
  written(first, repeated);
  const { out } = show(uid(repeated));
  expect(out).toContain(`of the first of them, ${uid(first)}`);
  expect(out).toContain("└ 812  root  nginx: master");
  expect(out).toContain("400 in the last hour");
});

test("what a hostile process chose cannot act in the terminal, nor in a command that is pasted", () => {
  const shown = record(60, {
    ...verdict,
    "process.command_args": ["\u001b[2J"],
    "process.executable.path": "/tmp/$(id)'x",
    "tree.exact": "/nginx/$(id);'x'",
    "process.ancestors": ['{"process.command_args":["\\u001b[2J"]}', "no JSON", '{"a":{}}'],
  });
  written(shown);
  const { out } = show(uid(shown));
  expect(out).not.toContain("\u001b");
  expect(out).toContain("\\x1b[2J");
  expect(out).toContain(`explain --exe '/tmp/$(id)'\\''x'`);
  expect(out).toContain(`--tree '/nginx/$(id);'\\''x'\\'''`);
});

test("--output json prints the record and those that followed, one a line", () => {
  const shown = record(60, verdict);
  const after = record(50, { ...verdict, "process.pid": 9, "process.parent_pid": 2_000_000_000 });
  written(shown, after);
  const lines = show(uid(shown), "--output", "json").out.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line)["log.record.uid"])).toEqual([uid(shown), uid(after)]);
});
