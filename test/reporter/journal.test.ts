import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LearnedTree } from "../../src/baseline/learned.ts";
import { sealUpdate, verifyRow } from "../../src/baseline/learned-seal.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { timestamp } from "../../src/report/stamp.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { JournalReader, type JournalRow, parseJournalRecord } from "../../src/reporter/journal-reader.ts";
import { LEARNED_TABLE } from "../../src/reporter/learned-table.ts";

const bounds = { maxAgeMs: 90 * 86_400_000, maxBytes: 1e9 };
let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-journal-"));
  path = join(folder, "journal.sqlite");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function record(uid: string, ago = 0): EventRecord {
  const time = timestamp((Date.now() - ago) * 1e6);
  return { timestamp: time, "event.name": "policy.verdict", "log.record.uid": uid, "tree.path": "/a" };
}

function append(journal: Journal, first: number, records: readonly EventRecord[]): void {
  journal.append({ records: [{ run: "r", generation: 1, first, records }] });
}

function uids(): string[] {
  using reader = new JournalReader(path);
  return [...reader.rows()].map((row) => String(row.record["log.record.uid"]));
}

describe("the journal", () => {
  test("stays below its size: the oldest go first, and those that no output has got yet are handed over", () => {
    using journal = new Journal(path, { ...bounds, maxBytes: 1e6 });
    const long = "x".repeat(1_000);
    const undelivered: number[] = [];
    for (let i = 0; i < 100; i += 1) {
      append(
        journal,
        i * 100 + 1,
        Array.from({ length: 100 }, (_, n) => ({ ...record(`${i * 100 + n}`), long })),
      );
      if (journal.wantsPrune) journal.prune(Date.now(), 100, ({ id }) => undelivered.push(id));
    }
    const left = uids();
    expect(left.length).toBeGreaterThan(100);
    expect(left.at(-1)).toBe("9999");
    const deleted = 10_000 - left.length;
    expect(undelivered).toEqual(Array.from({ length: deleted - 100 }, (_, i) => 101 + i));
    expect(statSync(path).size).toBeLessThan(3e6);
  });

  test("keeps what treewarden did, and its own changes, however many alerts there are", () => {
    using journal = new Journal(path, { ...bounds, maxBytes: 1e6 });
    const evidence = [
      { ...record("kill"), "policy.outcome": "killed" },
      { ...record("loss"), "event.name": "sensor.loss" },
      { ...record("change"), "event.name": "policy.loaded" },
    ] as const;
    append(journal, 1, evidence);
    const args = ["x".repeat(1_000)];
    for (let i = 0; i < 100; i += 1) {
      const outcome = i % 2 === 0 ? "alerted" : "withheld";
      const alerts = Array.from({ length: 100 }, (_, n) => ({
        ...record(`alert ${i * 100 + n}`),
        "policy.outcome": outcome,
        "process.command_args": args,
      }));
      append(journal, 4 + i * 100, alerts);
      if (journal.wantsPrune) journal.prune(Date.now(), 0, () => undefined);
    }
    const left = uids();
    expect(left.slice(0, 3)).toEqual(["kill", "loss", "change"]);
    expect(left.at(-1)).toBe("alert 9999");
    expect(left.length).toBeLessThan(1_500);
  });

  test("keeps no more than a share of it for them: a flood of changes displaces the oldest", () => {
    const flood = (journal: Journal, first: number): void => {
      for (let i = 0; i < 60; i += 1) {
        const changes = Array.from({ length: 100 }, (_, n) => ({
          ...record(`change ${first + i * 100 + n}`),
          "event.name": "policy.rejected" as const,
          "policy.errors": ["x".repeat(500)],
        }));
        append(journal, first + i * 100, changes);
        if (journal.wantsPrune) journal.prune(Date.now(), 0, () => undefined);
      }
    };
    {
      using journal = new Journal(path, { ...bounds, maxBytes: 1e6 });
      flood(journal, 1);
      expect(uids()).not.toContain("change 1");
    }
    // The size of the share is known again after a restart.
    using journal = new Journal(path, { ...bounds, maxBytes: 1e6 });
    append(journal, 10_000, [record("alert")]);
    flood(journal, 20_000);
    expect(uids()).not.toContain("alert");
    expect(statSync(path).size).toBeLessThan(3e6);
  });

  test("that cannot be written hands out what waits, and writes it under the same ids when it can", () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("a")]);
    const ids = (): readonly string[] =>
      journal.after(0, 100, 1e6).map(({ id, record }) => `${id} ${record["log.record.uid"]}`);
    {
      using other = new Database(path);
      // Until the lock is released no write is possible, as on a full disk.
      other.run("BEGIN IMMEDIATE");
      append(journal, 2, [record("b")]);
      append(journal, 3, [record("c")]);
      expect(journal.isWritable).toBe(false);
      expect(ids()).toEqual(["1 a", "2 b", "3 c"]);
      expect(journal.newest()).toBe(3);
      expect(uids()).toEqual(["a"]);
      other.run("ROLLBACK");
    }
    expect(journal.writeUnwritten()).toBe(true);
    expect(journal.isWritable).toBe(true);
    expect(ids()).toEqual(["1 a", "2 b", "3 c"]);
    expect(uids()).toEqual(["a", "b", "c"]);
  });

  test("drops what is too old", () => {
    using journal = new Journal(path, { ...bounds, maxAgeMs: 3_600_000 });
    append(journal, 1, [record("old", 7_200_000), record("new")]);
    const undelivered: string[] = [];
    const onUndelivered = ({ record }: JournalRow) => undelivered.push(String(record["log.record.uid"]));
    expect(journal.prune(Date.now(), 0, onUndelivered)).toBe(1);
    expect(undelivered).toEqual(["old"]);
    expect(uids()).toEqual(["new"]);
  });

  test("drops records in the order in which they came, so that none is missing between those that stay", () => {
    using journal = new Journal(path, { ...bounds, maxAgeMs: 3_600_000 });
    const [old, young] = [7_200_000, 60_000];
    append(journal, 1, [
      record("a", old),
      record("of a clock that was ahead", -1e9),
      record("b", old),
      record("c", young),
      record("of a late answer", old),
      record("d", young),
    ]);
    expect(journal.prune(Date.now(), 0, () => undefined)).toBe(3);
    expect(uids()).toEqual(["c", "of a late answer", "d"]);
  });

  test("drops more old records than one statement deletes", () => {
    using journal = new Journal(path, { ...bounds, maxAgeMs: 3_600_000 });
    const old = Array.from({ length: 2_500 }, (_, i) => record(`old ${i}`, 7_200_000));
    append(journal, 1, [...old, record("new")]);
    expect(journal.prune(Date.now(), 0, () => undefined)).toBe(2_500);
    expect(uids()).toEqual(["new"]);
  });

  test("takes each number of a warden once", () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("a"), record("b")]);
    append(journal, 2, [record("b again"), record("c")]);
    expect(uids()).toEqual(["a", "b", "c"]);
  });

  test("of a version without shares is read on, and its records can be displaced", () => {
    {
      using journal = new Journal(path, bounds);
      append(journal, 1, [record("a")]);
      using old = new Database(path);
      old.run("DROP INDEX records_kept");
      old.run("ALTER TABLE records DROP COLUMN kept");
    }
    using journal = new Journal(path, bounds);
    append(journal, 2, [record("b")]);
    expect(uids()).toEqual(["a", "b"]);
  });

  test("of an older version forgets learned trees that lack a column, and keeps new ones", () => {
    using old = new Database(path, { create: true });
    old.run(LEARNED_TABLE.replace(" change TEXT,", ""));
    old.run(
      "INSERT INTO learned VALUES ('o', 'i', 'l', '-', '/a', '/a', '/a', '/a', 1, 0, 1, 1, 1, '-', NULL, '-', '-', 's', 's', 's')",
    );
    using journal = new Journal(path, bounds);
    const tree: LearnedTree = {
      ...{ id: "0".repeat(32), scope: "-", exact: "/b", habit: "/b", path: "/b" },
      ...{ tree: "/b", complete: true, fromMain: false },
      ...{ first: 1, last: 1, count: 1, users: "-", executables: "-", contents: "-" },
      ...{ arguments: null, change: null },
    };
    const { id } = tree;
    const origin = { learning: "1".repeat(32), warden: "r:1", started: 1 };
    const key = new Uint8Array(32);
    const updates = [
      sealUpdate({ kind: "tree", started: 1, tree }, key, origin),
      sealUpdate(
        { kind: "executables", started: 1, id, executables: "/b,!,-", contents: "packaged" },
        key,
        origin,
      ),
    ];
    journal.append({ records: [], learned: { run: "r", generation: 1, updates } });
    const rows = old.query("SELECT * FROM learned ORDER BY exact").all();
    expect(rows).toMatchObject([
      { exact: "/b", executables: "/b,!,-", contents: "packaged", origin: "r:1:1" },
    ]);
    expect(verifyRow(JSON.stringify(rows[0]), key)?.tree).toEqual({
      ...tree,
      executables: "/b,!,-",
      contents: "packaged",
    });
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
