import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventRecord } from "../../src/report/event-record.ts";
import { timestamp } from "../../src/report/stamp.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { JOURNAL_FILE } from "../../src/reporter/journal-reader.ts";

const NOBODY = 65_534;
const bounds = { maxAgeMs: 90 * 86_400_000, maxBytes: 1e9 };
let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-events-"));
  mkdirSync(join(folder, "report"));
  path = join(folder, JOURNAL_FILE);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function record(uid: string, ago = 0): EventRecord {
  const time = timestamp((Date.now() - ago) * 1e6);
  return { timestamp: time, "event.name": "policy.verdict", "log.record.uid": uid, "tree.path": "/a" };
}

function append(journal: Journal, first: number, records: readonly EventRecord[]): void {
  journal.append({ records: [{ run: "r", generation: 1, first, records }] });
}

function run(...args: string[]): Bun.SyncSubprocess<"pipe", "pipe"> {
  const code = `
    const { eventsCommand } = await import("${join(import.meta.dir, "../../src/cli/events.ts")}");
    try { await eventsCommand().parseAsync(${JSON.stringify([...args, "--state-dir", folder])}, { from: "user" }); }
    catch (error) { console.error(error.message, error.hint); process.exit(error.code); }`;
  return Bun.spawnSync([process.execPath, "-e", code], { stdout: "pipe", stderr: "pipe" });
}

describe("treewarden events", () => {
  test("prints what is there, oldest first, as one object a line", () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("a"), record("b")]);
    const result = run("--output", "json");
    const lines = result.stdout.toString().trim().split("\n");
    expect(lines.map((line) => JSON.parse(line)["log.record.uid"])).toEqual(["a", "b"]);
    expect(result.exitCode).toBe(0);
  });

  test("--since leaves out what is older", () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("old", 7_200_000), record("new", 60_000)]);
    expect(run("--since", "1h", "--output", "json").stdout.toString()).not.toContain('"old"');
    expect(run("--since", "3h", "--output", "json").stdout.toString()).toContain('"old"');
  });

  test("filters and --limit choose; all must hold, and the newest stay", () => {
    using journal = new Journal(path, bounds);
    const shell = { ...record("shell"), "process.unit": "nginx.service", "policy.severity": "high" };
    append(journal, 1, [record("a"), shell, { ...shell, "log.record.uid": "again" }]);
    const uids = (...args: string[]): string[] =>
      run(...args, "--output", "json")
        .stdout.toString()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line)["log.record.uid"]);
    expect(uids("--unit", "nginx", "--severity", "high,critical")).toEqual(["shell", "again"]);
    expect(uids("--severity", "critical")).toEqual([]);
    expect(uids("--limit", "2")).toEqual(["shell", "again"]);
    expect(uids("--until", "yesterday")).toEqual([]);
  });

  test("prints text with local date and zone unless asked for JSON, and no colour into a pipe", () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("a")]);
    const text = run().stdout.toString();
    expect(text).toMatch(/^a {18}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (?:UTC|[+-]\d\d:\d\d) /);
    expect(text).not.toContain("\u001b");
  });

  test("a filter that cannot be understood is refused with what it must be", () => {
    const refused = (...args: string[]): string => {
      const result = run(...args);
      expect(result.exitCode).not.toBe(0);
      return result.stderr.toString();
    };
    expect(refused("--since", "soon")).toContain('--since must be a duration or a time, not "soon"');
    expect(refused("--since", "1h", "--until", "2h")).toContain("--since 1h must be before --until 2h");
    expect(refused("--severity", "hihg")).toContain(
      'must be low, medium, high or critical, not "hihg": did you mean high?',
    );
    expect(refused("--action", "refuse")).toContain("must be allow, alert, deny, stop or kill");
    expect(refused("--pid", "0")).toContain("must be a process id");
    expect(refused("--rule", "a/b/c")).toContain("must be RULE or ROLE/RULE");
    expect(refused("--tree", "nginx")).toContain("a tree begins with a slash");
    expect(refused("--limit", "none")).toContain("must be a whole number from 1");
  });

  test("--follow goes on with what comes", async () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("before")]);
    const code = `
      const { eventsCommand } = await import("${join(import.meta.dir, "../../src/cli/events.ts")}");
      await eventsCommand().parseAsync(["--follow", "--output", "json", "--state-dir", "${folder}"], { from: "user" });`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe" });
    // It begins with what is the newest when it has started, whenever that is.
    let number = 1;
    const feed = setInterval(() => {
      number += 1;
      append(journal, number, [record("after")]);
    }, 100);
    const { value } = await child.stdout.getReader().read();
    clearInterval(feed);
    child.kill();
    await child.exited;
    expect(new TextDecoder().decode(value)).toContain('"after"');
    expect(new TextDecoder().decode(value)).not.toContain('"before"');
  });

  test("root reads as the owner, so that no file of root's locks the reporter out", () => {
    if (process.geteuid?.() !== 0) return expect(process.geteuid?.()).not.toBe(0);
    for (const each of [folder, join(folder, "report")]) chownSync(each, NOBODY, NOBODY);
    {
      using journal = new Journal(path, bounds);
      append(journal, 1, [record("a")]);
    }
    chownSync(path, NOBODY, NOBODY);
    const result = run("--output", "json");
    expect(result.stderr.toString()).toBe("");
    expect(result.stdout.toString()).toContain('"a"');
    for (const name of readdirSync(join(folder, "report"))) {
      expect([name, statSync(join(folder, "report", name)).uid]).toEqual([name, NOBODY]);
    }
  });

  test("a link in the place of the journal makes root read no file of root's", () => {
    if (process.geteuid?.() !== 0) return expect(process.geteuid?.()).not.toBe(0);
    const other = join(folder, "other.sqlite");
    {
      using journal = new Journal(other, bounds);
      append(journal, 1, [record("secret")]);
    }
    chmodSync(other, 0o600);
    symlinkSync(other, path);
    for (const each of [folder, join(folder, "report")]) chownSync(each, NOBODY, NOBODY);
    const result = run("--output", "json");
    expect(result.exitCode).toBe(3);
    expect(result.stdout.toString()).toBe("");
  });

  test("without a journal says so, and makes none", () => {
    const result = run();
    expect(result.exitCode).toBe(2);
    expect(result.stderr.toString()).toContain("there is no journal at");
    expect(existsSync(path)).toBe(false);
  });
});
