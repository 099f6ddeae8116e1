import { Database } from "bun:sqlite";
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
import {
  LEARNED_TABLE,
  learnedEvent,
  learnedFields,
  lookedEvent,
  lookedFields,
} from "../../src/baseline/learned.ts";
import { startOf } from "../../src/cli/events.ts";
import { CommandError } from "../../src/cli/output.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { timestamp } from "../../src/report/stamp.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { JOURNAL_FILE, JournalReader, parseJournalRecord } from "../../src/reporter/journal-reader.ts";

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
  journal.append([{ run: "r", generation: 1, first, records }]);
}

function uids(): string[] {
  using reader = new JournalReader(path);
  return reader.rows(0, 0, 1_000_000).map((row) => String(row.record["log.record.uid"]));
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

  test("--follow goes on with what comes", async () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("before")]);
    const code = `
      const { eventsCommand } = await import("${join(import.meta.dir, "../../src/cli/events.ts")}");
      await eventsCommand().parseAsync(["--follow", "--output", "json", "--state-dir", "${folder}"], { from: "user" });`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe" });
    await Bun.sleep(700);
    append(journal, 2, [record("after")]);
    const { value } = await child.stdout.getReader().read();
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
    expect(result.stderr.toString()).toContain("no journal at");
    expect(existsSync(path)).toBe(false);
  });

  test("--since takes durations and times, nothing else", () => {
    expect(startOf("90s", 1_000_000)).toBe(910_000);
    expect(startOf("2w", 2 * 604_800_000)).toBe(0);
    expect(startOf("2026-01-31T12:00:00Z", 0)).toBe(Date.UTC(2026, 0, 31, 12));
    for (const wrong of ["", "1", "1 hour", "h", "-1h", "99999999999h", "yesterday"]) {
      expect(() => startOf(wrong, 0)).toThrow(CommandError);
    }
  });
});

describe("the journal", () => {
  test("stays below its size: the oldest go first, and those not yet exported are counted", () => {
    using journal = new Journal(path, { ...bounds, maxBytes: 1e6 });
    const long = "x".repeat(1_000);
    let unexported = 0;
    for (let i = 0; i < 100; i += 1) {
      append(
        journal,
        i * 100 + 1,
        Array.from({ length: 100 }, (_, n) => ({ ...record(`${i * 100 + n}`), long })),
      );
      if (journal.wantsPrune) unexported += journal.prune(Date.now(), 100).unexported;
    }
    const left = uids();
    expect(left.length).toBeGreaterThan(100);
    expect(left.at(-1)).toBe("9999");
    expect(unexported).toBe(10_000 - left.length - 100);
    expect(statSync(path).size).toBeLessThan(3e6);
  });

  test("drops what is too old", () => {
    using journal = new Journal(path, { ...bounds, maxAgeMs: 3_600_000 });
    append(journal, 1, [record("old", 7_200_000), record("new")]);
    expect(journal.prune(Date.now(), 1)).toEqual({ deleted: 1, unexported: 0 });
    expect(uids()).toEqual(["new"]);
  });

  test("takes each number of a warden once", () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("a"), record("b")]);
    append(journal, 2, [record("b again"), record("c")]);
    expect(uids()).toEqual(["a", "b", "c"]);
  });

  test("of an older version gets the column for executables, and what is learned is kept with it", () => {
    using old = new Database(path, { create: true });
    old.run(LEARNED_TABLE.replace("executables TEXT", "package TEXT, digest TEXT"));
    old.run(
      "INSERT INTO learned VALUES ('o', 'i', '-', '/a', '/a', '/a', 1, 1, 1, 1, '-', NULL, NULL, NULL)",
    );
    using journal = new Journal(path, bounds);
    const candidate = {
      ...{ id: "0".repeat(32), scope: "-", exact: "/b", path: "/b", tree: "/b", complete: true },
      ...{ first: 1, last: 1, count: 1, users: [], executables: [], arguments: undefined },
    };
    const executables = [{ path: "/b", package: null, modified: false, digest: undefined }];
    append(journal, 1, [
      { ...record("a"), "event.name": learnedEvent, ...learnedFields(candidate) },
      { ...record("b"), "event.name": lookedEvent, ...lookedFields({ id: candidate.id, executables }) },
    ]);
    expect(old.query("SELECT exact, executables FROM learned ORDER BY exact").values()).toEqual([
      ["/a", null],
      ["/b", "/b,!,-"],
    ]);
  });

  test("written by somebody else shows nothing that moves a terminal", () => {
    const body = JSON.stringify({ "tree.path": "\u001b[2J/a", "process.command_args": ["\u009b31m", "ok"] });
    expect(parseJournalRecord(body)).toEqual({
      "tree.path": "\\x1b[2J/a",
      "process.command_args": ["\\xc2\\x9b31m", "ok"],
    });
    expect(parseJournalRecord("nonsense")).toEqual({});
  });
});
