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
  return reader.rows(0, 0, 1_000_000).map((row) => String(row.record["log.record.uid"]));
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

  test("drops what is too old", () => {
    using journal = new Journal(path, { ...bounds, maxAgeMs: 3_600_000 });
    append(journal, 1, [record("old", 7_200_000), record("new")]);
    const undelivered: string[] = [];
    const onUndelivered = ({ record }: JournalRow) => undelivered.push(String(record["log.record.uid"]));
    expect(journal.prune(Date.now(), 0, onUndelivered)).toBe(1);
    expect(undelivered).toEqual(["old"]);
    expect(uids()).toEqual(["new"]);
  });

  test("takes each number of a warden once", () => {
    using journal = new Journal(path, bounds);
    append(journal, 1, [record("a"), record("b")]);
    append(journal, 2, [record("b again"), record("c")]);
    expect(uids()).toEqual(["a", "b", "c"]);
  });

  test("of an older version forgets learned trees that have no seals, and keeps new ones with theirs", () => {
    using old = new Database(path, { create: true });
    old.run(LEARNED_TABLE.replaceAll(/ \w+_seal TEXT NOT NULL,/g, "").replace("learning TEXT NOT NULL,", ""));
    old.run("INSERT INTO learned VALUES ('o', 'i', '-', '/a', '/a', '/a', 1, 1, 1, 1, '-', NULL, '-')");
    using journal = new Journal(path, bounds);
    const tree: LearnedTree = {
      ...{ id: "0".repeat(32), scope: "-", exact: "/b", path: "/b", tree: "/b", complete: true },
      ...{ first: 1, last: 1, count: 1, users: "-", executables: "-", arguments: null },
    };
    const { id } = tree;
    const origin = { learning: "1".repeat(32), warden: "r:1", started: 1 };
    const key = new Uint8Array(32);
    const updates = [
      sealUpdate({ kind: "tree", started: 1, tree }, key, origin),
      sealUpdate({ kind: "executables", started: 1, id, executables: "/b,!,-" }, key, origin),
    ];
    journal.append({ records: [], learned: { run: "r", generation: 1, updates } });
    const rows = old.query("SELECT * FROM learned ORDER BY exact").all();
    expect(rows).toMatchObject([{ exact: "/b", executables: "/b,!,-", origin: "r:1:1" }]);
    expect(verifyRow(JSON.stringify(rows[0]), key)?.tree).toEqual({ ...tree, executables: "/b,!,-" });
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
