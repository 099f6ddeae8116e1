// `treewarden policy impact`, run as a command on what a host is known to run.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chownSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { recordUids, timestamp } from "../../src/report/stamp.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { entry } from "../baseline/samples.ts";
import { asRoot, NOBODY, StateDirectory } from "../baseline/state-directory.ts";

let directory: StateDirectory;
let state = "";
let policy = "";
beforeEach(() => {
  directory = new StateDirectory();
  state = directory.path;
  policy = join(state, "shop.json");
  const under = { under: ["nginx"] };
  writeFileSync(
    policy,
    JSON.stringify({
      role: "shop",
      rules: [
        {
          id: "shell",
          when: { and: [under, { in: [{ var: "process.executable.name" }, ["dash"]] }] },
          action: "kill",
          severity: "critical",
        },
        { id: "tmp", when: { starts_with: [{ var: "process.working_directory" }, "/tmp"] }, action: "alert" },
      ],
    }),
  );
});
afterEach(() => directory[Symbol.dispose]());

const uidOf = recordUids(new Uint8Array(5));
const DAY_MS = 86_400_000;

function record(ageMs: number, fields: EventRecord): EventRecord {
  const ns = (Math.floor(Date.now() / 1_000) * 1_000 - ageMs) * 1e6;
  return { timestamp: timestamp(ns), "event.name": "policy.verdict", "log.record.uid": uidOf(ns), ...fields };
}

const shell: EventRecord = {
  "process.pid": 300,
  "process.executable.path": "/usr/bin/dash",
  "process.runnable.path": "/usr/bin/dash",
  "process.command_args": ["sh", "-c", "id"],
  "process.working_directory": "/srv",
  "process.linux.cgroup": "/system.slice/nginx.service",
  "process.unit": "nginx.service",
  "container.id": null,
  "tree.path": "/nginx/base",
  "tree.exact": "/nginx/dash",
  "tree.habit": "/nginx/dash",
  "tree.labels": ["nginx", "base"],
  "tree.complete": true,
};

function knownHost(accepted: readonly BaselineEntry[] | undefined, ...records: readonly EventRecord[]): void {
  directory.collected();
  if (accepted !== undefined) {
    const file = directory.file("accepted", ...accepted);
    mkdirSync(join(state, "baseline"), { recursive: true, mode: 0o700 });
    renameSync(file, join(state, "baseline/in-force"));
  }
  const report = join(state, "report");
  {
    using journal = new Journal(join(report, "journal.sqlite"), { maxAgeMs: 1e12, maxBytes: 1e9 });
    journal.append({ records: [{ run: "r", generation: 1, first: 1, records }] });
  }
  if (asRoot) for (const name of readdirSync(report)) chownSync(join(report, name), NOBODY, NOBODY);
}

function impact(...args: string[]): { readonly code: number; readonly out: string; readonly err: string } {
  const main = join(import.meta.dir, "../../src/main.ts");
  const words = [process.execPath, main, "policy", "impact", policy, "--state-dir", state, ...args];
  const { exitCode, stdout, stderr } = Bun.spawnSync(words);
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

const dash = { path: "/usr/bin/dash", package: "dash", modified: false, digest: undefined };
const knownShell = entry("/nginx/dash", {
  scope: "nginx.service",
  path: "/usr/bin/dash",
  count: 1_200,
  executables: [dash],
});

test("a tree of the baseline that would be killed is shown by rule and unit, with the exit code 1", () => {
  knownHost([knownShell], record(60_000, shell), record(50_000, { ...shell, "policy.count": 4 }));
  const { code, out, err } = impact();
  expect(code).toBe(1);
  expect(out.split("\n").slice(0, 2)).toEqual([
    "ACTION  SEVERITY  RULE        RECORDS  LEARNED  BASELINE  UNIT           TREE",
    "kill    critical  shop/shell  5        1200     known     nginx.service  /nginx/dash",
  ]);
  expect(err).toContain("judged 2 records of the last 30 d and 1 learned trees");
  expect(err).toContain("the policy would disturb what is in the baseline");
});

test("what is not in the baseline may be killed: it is shown, with the exit code 0", () => {
  knownHost([entry("/cron/backup", { scope: "cron.service" })], record(60_000, shell));
  const { code, out, err } = impact();
  expect(code).toBe(0);
  expect(out).toMatch(/kill +critical +shop\/shell +1 +0 +not known +nginx\.service +\/nginx\/dash/);
  expect(err).toContain("nothing that is known would draw an alert or a kill");
});

test("without a baseline all that ran counts as known", () => {
  knownHost(undefined, record(60_000, shell));
  const { code, out, err } = impact();
  expect(code).toBe(1);
  expect(out).toMatch(/shop\/shell +1 +0 +none /);
  expect(err).toContain("there is no baseline");
});

test("--since leaves out older records, and a new tree and its verdict are one exec", () => {
  const verdict = record(60_000, shell);
  knownHost(undefined, record(3 * DAY_MS, shell), { ...verdict, "event.name": "tree.new" }, verdict);
  expect(impact().out).toMatch(/shop\/shell +2 /);
  expect(impact("--since", "2d").out).toMatch(/shop\/shell +1 /);
  expect(impact("--since", "soon").code).toBe(2);
});

test("--limit judges the newest records only, and shows how far back they go", () => {
  knownHost(undefined, record(5 * DAY_MS, shell), record(3 * DAY_MS, shell), record(2 * DAY_MS, shell));
  const { out, err } = impact("--limit", "2");
  expect(out).toMatch(/shop\/shell +2 /);
  expect(err).toContain("judged 2 records of the last 3 d ");
  expect(impact("--limit", "3").err).toContain("judged 3 records of the last 30 d ");
  expect(impact("--limit", "0").code).toBe(2);
});

test("a verdict that was repeated counts as the first one of its kind", () => {
  const first = record(60_000, shell);
  const repeated = record(30_000, {
    "event.name": "policy.verdict.repeated",
    "policy.first_uid": first["log.record.uid"] ?? "",
    "policy.count": 7,
  });
  knownHost([knownShell], first, repeated);
  expect(impact().out).toMatch(/shop\/shell +8 /);
});

test("what was not recorded leaves a rule undecided, which is said", () => {
  const { "process.working_directory": _cwd, ...rest } = shell;
  knownHost([], record(60_000, { ...rest, "process.executable.path": "/usr/bin/id" }));
  const { code, out, err } = impact();
  expect([code, out]).toEqual([0, ""]);
  expect(err).toContain("undecided, because they name something that is not recorded: tmp (1)");
});

describe("--rule", () => {
  const ofShell = ["--rule", "shop/shell"];

  test("shows what the rule alone would do if it were armed, everywhere or in a unit", () => {
    knownHost([knownShell], record(60_000, { ...shell, "process.working_directory": "/tmp" }));
    expect(impact().out).toMatch(/shop\/shell/);
    const { code, out, err } = impact(...ofShell);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("shop/shell would disturb what is in the baseline"),
    ]);
    expect(out.trim().split("\n")).toHaveLength(2);
    expect(impact(...ofShell, "--unit", "nginx.service").code).toBe(1);
    expect(impact(...ofShell, "--unit", "cron.service")).toMatchObject({ code: 0, out: "" });
  });

  test("given several times shows what these rules would do, and names those that would disturb", () => {
    knownHost([knownShell], record(60_000, shell));
    const shop = JSON.parse(readFileSync(policy, "utf8"));
    const other = { id: "render", when: { under: ["render"] }, action: "kill" };
    writeFileSync(policy, JSON.stringify({ ...shop, rules: [...shop.rules, other] }));
    expect(impact("--rule", "render")).toMatchObject({ code: 0, out: "" });
    const { code, out, err } = impact("--rule", "render", ...ofShell);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("treewarden: shop/shell would disturb what is in the baseline"),
    ]);
    expect(out.trim().split("\n")).toHaveLength(2);
  });

  test("shows nothing for a rule that kills nothing", () => {
    knownHost(undefined, record(60_000, { ...shell, "process.working_directory": "/tmp" }));
    expect(impact("--rule", "tmp")).toMatchObject({ code: 0, out: "" });
  });

  test("must be a rule of the policy, and --unit needs it", () => {
    knownHost([]);
    expect(impact("--rule", "shop/shel").err).toContain("did you mean shop/shell?");
    expect(impact("--unit", "nginx.service").code).toBe(2);
  });
});

test("--output json has one flat object for each rule, unit and tree", () => {
  knownHost([knownShell], record(60_000, shell));
  const lines = impact("--output", "json").out.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({
      "event.name": "policy.impact",
      "policy.action": "kill",
      "security_rule.name": "shell",
      "security_rule.ruleset.name": "shop",
      "policy.count": 1,
      "tree.count": 1_200,
      "tree.known": true,
      "tree.exact": "/nginx/dash",
      "baseline.scope": "nginx.service",
    }),
  ]);
});

test("a broken policy has the exit code 2, and nothing is judged", () => {
  knownHost([], record(60_000, shell));
  writeFileSync(policy, readFileSync(policy, "utf8").replace('"kill"', '"kil"'));
  expect(impact()).toMatchObject({ code: 2, out: "" });
});

test("what a hostile process chose is escaped", () => {
  knownHost(undefined, record(60_000, { ...shell, "process.unit": "\u001b[2J.service" }));
  expect(impact().out).not.toContain("\u001b");
});
