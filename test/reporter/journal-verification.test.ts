// A reporter that was taken over writes the journal as it likes. What `events verify` finds then.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { EventRecord } from "../../src/report/event-record.ts";
import { type ChainLink, type ChainOrigin, JournalChain } from "../../src/report/journal-chain.ts";
import { createRedaction } from "../../src/report/redact.ts";
import { isRedacted } from "../../src/report/redacted-fields.ts";
import { timeOfRecord } from "../../src/reporter/journal-schema.ts";
import { JournalVerification } from "../../src/reporter/journal-verification.ts";
import { isKeptRecord } from "../../src/reporter/kept-records.ts";
import { variableNames } from "../../src/vocabulary/variables.ts";

const key = new Uint8Array(32).fill(3);
const LIMIT = 64_000;
const first: ChainOrigin = { run: "a", generation: 1 };
const second: ChainOrigin = { run: "b", generation: 1 };

interface Row extends ChainOrigin {
  readonly record: EventRecord;
}

/** 26 characters, as a uid has. */
function uidOf(name: string): string {
  return name.toUpperCase().padStart(26, "0");
}

function verdict(uid: string, more: EventRecord = {}): EventRecord {
  return {
    timestamp: "2026-01-01T00:00:00.000000Z",
    "event.name": "policy.verdict",
    "log.record.uid": uidOf(uid),
    "policy.outcome": "alerted",
    "process.pid": 12,
    ...more,
  };
}

/** A warden's records as the journal has them, numbered from 1, and the end of the chain. */
function journalOf(
  count: number,
  origin: ChainOrigin = first,
  previous?: ChainLink,
): { rows: Row[]; head: ChainLink | undefined } {
  const chain = new JournalChain(key, origin, previous);
  const rows = Array.from({ length: count }, (_, i) =>
    rowOf(chain, origin, verdict(`${origin.run}${i + 1}`)),
  );
  return { rows, head: chain.head };
}

function rowOf(chain: JournalChain, origin: ChainOrigin, record: EventRecord): Row {
  return { ...origin, record: JSON.parse(chain.seal(chain.prepare(record, LIMIT))) };
}

function verified(rows: readonly Row[], head?: ChainLink, expected: readonly string[] = []) {
  const verification = new JournalVerification(key, head, expected);
  for (const row of rows) verification.take(storedRow(row));
  return verification.finish();
}

/** The row that the reporter would have written. */
function storedRow({ record, ...origin }: Row) {
  return {
    ...origin,
    time: timeOfRecord(record),
    kept: isKeptRecord(record) ? 1 : 0,
    body: JSON.stringify(record),
  };
}

function changed(row: Row, record: EventRecord): Row {
  return { ...row, record: { ...row.record, ...record } };
}

describe("a journal that nobody touched", () => {
  test("is genuine, across restarts of the warden", () => {
    const one = journalOf(5);
    const two = journalOf(3, second, one.head);
    const report = verified([...one.rows, ...two.rows], two.head);
    expect(report).toMatchObject({ genuine: 8, redacted: 0, rotated: 0, problems: [] });
  });

  test("is genuine when a warden was killed before it saved the end of its chain", () => {
    const one = journalOf(5);
    const saved = { ...first, number: 3, seal: String(one.rows[2]?.record["journal.seal"]) };
    const two = journalOf(3, second, saved);
    expect(verified([...one.rows, ...two.rows], two.head).problems).toEqual([]);
    expect(verified(one.rows, saved).problems).toEqual([]);
  });

  test("says of which warden the end is not sure: what it made last may be missing", () => {
    const one = journalOf(5);
    const saved = { ...first, number: 3, seal: String(one.rows[2]?.record["journal.seal"]) };
    const chain = new JournalChain(key, second, saved, false);
    const rows = [rowOf(chain, second, verdict("b1")), rowOf(chain, second, verdict("b2"))];
    for (const left of [one.rows, one.rows.slice(0, 3)])
      expect(verified([...left, ...rows], chain.head)).toMatchObject({ unconfirmed: 1, problems: [] });
    expect(verified([...one.rows.slice(0, 2), ...rows], chain.head).problems).toMatchObject([
      { kind: "missing", count: 1 },
    ]);
  });

  test("is genuine when a second warden was killed before it saved anything", () => {
    const one = journalOf(5);
    const two = journalOf(2, second, one.head);
    const three = journalOf(2, { run: "c", generation: 1 }, one.head);
    expect(verified([...one.rows, ...two.rows, ...three.rows], three.head).problems).toEqual([]);
  });

  test("says what the warden dropped from a full queue", () => {
    const chain = new JournalChain(key, first, undefined);
    const rows = [rowOf(chain, first, verdict("1"))];
    chain.skip();
    chain.skip();
    rows.push(rowOf(chain, first, verdict("4")));
    expect(verified(rows, chain.head)).toMatchObject({
      genuine: 2,
      problems: [{ kind: "dropped", count: 2, after: uidOf("1"), before: uidOf("4") }],
    });
  });

  test("says that older records were rotated away; what was killed is kept longer", () => {
    const chain = new JournalChain(key, first, undefined);
    const rows = [1, 2, 3, 4, 5, 6].map((n) =>
      rowOf(chain, first, verdict(String(n), { "policy.outcome": n === 2 ? "killed" : "alerted" })),
    );
    const left = rows.filter((_, i) => i === 1 || i >= 4);
    expect(verified(left, chain.head)).toMatchObject({ genuine: 3, rotated: 3, problems: [] });
  });

  test("has redacted arguments, and everything else is checked", () => {
    const chain = new JournalChain(key, first, undefined);
    const args = ["mysql", "--password=hunter2"];
    const { record, ...row } = rowOf(chain, first, verdict("1", { "process.command_args": args }));
    const redacted = createRedaction("redacted", [])(record);
    expect(redacted["process.command_args"]).not.toEqual(args);
    expect(verified([{ ...row, record: redacted }])).toMatchObject({ genuine: 1, redacted: 1, problems: [] });
    expect(verified([{ ...row, record }])).toMatchObject({ genuine: 1, redacted: 0, problems: [] });
    const forged = { ...redacted, "process.pid": 1 };
    expect(verified([{ ...row, record: forged }]).problems).toMatchObject([{ kind: "changed" }]);
  });

  test("contains the seals that a collector got", () => {
    const { rows, head } = journalOf(3);
    const seal = String(rows[1]?.record["journal.seal"]);
    expect(verified(rows, head, [seal, seal.slice(0, 12)]).problems).toEqual([]);
    expect(verified(rows.slice(2), head, [seal]).problems).toEqual([{ kind: "absent", count: 1 }]);
  });
});

describe("a reporter that was taken over is found when it", () => {
  const { rows, head } = journalOf(9);

  test("changes a value, adds a field, or removes one", () => {
    for (const edit of [{ "process.pid": 13 }, { "user.note": "x" }, JSON.parse('{"__proto__": "x"}')])
      expect(
        verified(rows.with(4, { ...changedRow(4, edit) }), head).problems.map(({ kind }) => kind),
      ).toContain("changed");
    const { "process.pid": _pid, ...less } = rows[4]?.record ?? {};
    expect(verified(rows.with(4, { ...first, record: less }), head).problems).toContainEqual({
      kind: "changed",
      count: 1,
      after: uidOf("a5"),
    });
  });

  /** `edit` may have a field that an object literal cannot have. */
  function changedRow(at: number, edit: EventRecord): Row {
    const text = JSON.stringify(rows[at]?.record);
    return { ...first, record: JSON.parse(`${text.slice(0, -1)},${JSON.stringify(edit).slice(1)}`) };
  }

  test("removes records: it says how many, and between which", () => {
    const report = verified(rows.toSpliced(3, 2), head);
    expect(report.problems).toEqual([{ kind: "missing", count: 2, after: uidOf("a3"), before: uidOf("a6") }]);
  });

  test("removes the newest records", () => {
    expect(verified(rows.slice(0, 6), head).problems).toEqual([
      { kind: "missing", count: 3, after: uidOf("a6") },
    ]);
    expect(verified([], head).problems).toEqual([{ kind: "missing", count: 9, isAtLeast: true, after: "" }]);
  });

  test("removes the newest records of a warden, before the next one starts", () => {
    const two = journalOf(2, second, head);
    const report = verified([...rows.slice(0, 6), ...two.rows], two.head);
    expect(report.problems).toEqual([
      { kind: "missing", count: 3, isAtLeast: true, after: uidOf("a6"), before: uidOf("b1") },
    ]);
  });

  test("puts an old copy back, and lets the warden go on", () => {
    const chain = new JournalChain(key, first, undefined);
    const all = Array.from({ length: 8 }, (_, i) => rowOf(chain, first, verdict(`a${i + 1}`)));
    const report = verified([...all.slice(0, 3), ...all.slice(6)], chain.head);
    expect(report.problems).toEqual([{ kind: "missing", count: 3, after: uidOf("a3"), before: uidOf("a7") }]);
  });

  test("reorders records, or repeats one", () => {
    const [a, b] = [rows[3], rows[4]];
    if (a === undefined || b === undefined) throw new Error("no such rows");
    const swapped = verified(rows.with(3, b).with(4, a), head);
    expect(swapped.problems.map(({ kind }) => kind)).toContain("moved");
    expect(verified([...rows, a], head).problems).toEqual([{ kind: "moved", count: 1, after: uidOf("a4") }]);
  });

  test("repeats a record of an earlier warden", () => {
    const two = journalOf(2, second, head);
    for (const i of [0, 4]) {
      const again = [...rows, ...two.rows, ...rows.slice(i, i + 1)];
      expect(verified(again, two.head).problems).toEqual([
        { kind: "moved", count: 1, after: uidOf(`a${i + 1}`) },
      ]);
    }
  });

  test("writes a record of its own, or one of another host", () => {
    const record = verdict("x");
    expect(verified([...rows, { ...first, record }], head).problems).toEqual([
      { kind: "changed", count: 1, after: uidOf("x") },
    ]);
    const foreign = new JournalChain(new Uint8Array(32).fill(4), first, undefined);
    const forged = rowOf(foreign, first, record);
    expect(verified([...rows, forged], head).problems).toEqual([
      { kind: "changed", count: 1, after: uidOf("x") },
    ]);
  });

  test("says that a record is of another warden", () => {
    const moved = rows.map((row, i) => (i === 4 ? { ...row, generation: 2 } : row));
    expect(verified(moved, head).problems).toContainEqual({ kind: "changed", count: 1, after: uidOf("a5") });
  });

  test("writes something beside the record by which a command finds it, or finds it not", () => {
    const [row] = rows.slice(4);
    if (row === undefined) throw new Error("no such row");
    const stored = storedRow(row);
    const spaced = stored.body.replace('"policy.outcome":"alerted"', '"policy.outcome": "alerted"');
    expect(spaced).not.toBe(stored.body);
    for (const edit of [{ time: 0 }, { kept: 1 }, { body: spaced }, { body: "no record" }]) {
      const verification = new JournalVerification(key, undefined);
      verification.take({ ...stored, ...edit });
      expect(verification.finish().problems).toMatchObject([{ kind: "changed" }]);
    }
    const hidden = new JournalVerification(key, undefined);
    hidden.takeHidden(2);
    hidden.takeForeign("index v\u001b[2J");
    expect(hidden.finish().problems).toEqual([
      { kind: "changed", count: 2, after: "" },
      { kind: "foreign", count: 1, after: expect.not.stringContaining("\u001b") },
    ]);
  });

  test("writes a uid that is none, or calls a verdict of its own a gap", () => {
    const gap = { ...verdict("x"), "event.name": "report.gap" };
    const forged = { ...verdict("x"), "log.record.uid": "\u001b[2J" };
    expect(verified([{ ...first, record: gap }]).problems).toEqual([
      { kind: "changed", count: 1, after: uidOf("x") },
    ]);
    expect(verified([{ ...first, record: forged }]).problems).toEqual([
      { kind: "changed", count: 1, after: "" },
    ]);
  });

  test("adds anything to its own record of verdicts that have no other one", () => {
    const own = {
      timestamp: "2026-01-01T00:00:00.000000Z",
      "event.name": "policy.verdict.unrecorded",
      "log.record.uid": uidOf("x"),
      "security_rule.ruleset.name": "web",
      "security_rule.name": "shell",
      "policy.action": "alert",
      "policy.outcome": "alerted",
      "policy.severity": "high",
      "policy.count": 3,
    };
    expect(verified([{ ...first, record: own }])).toMatchObject({ ofReporter: 1, problems: [] });
    expect(verified([{ ...first, record: { ...own, "tree.path": "/a" } }]).problems).toEqual([
      { kind: "changed", count: 1, after: uidOf("x") },
    ]);
  });

  test("writes any number of records: the first thousand are told, all are counted", () => {
    const many = Array.from({ length: 3_000 }, () => ({ ...first, record: verdict("x") }));
    expect(verified(many)).toMatchObject({ problemCount: 3_000, problems: { length: 1_000 } });
  });

  test("claims that something was redacted, beyond arguments", () => {
    const row = changed(rows[4] ?? { ...first, record: {} }, {
      "journal.redacted_seal": "0".repeat(32),
    });
    expect(verified(rows.with(4, row), head).problems).toContainEqual({
      kind: "changed",
      count: 1,
      after: uidOf("a5"),
    });
  });
});

test("any edit of any journal is found, whatever is removed, repeated or exchanged", () => {
  const places = fc.array(fc.nat(11), { minLength: 12, maxLength: 12 });
  const { rows, head } = journalOf(12);
  fc.assert(
    fc.property(places, (order) => {
      const written = order.flatMap((i) => rows[i] ?? []);
      const isIntact = order.every((from, to) => from === to);
      expect(verified(written, head).problems.length === 0).toBe(isIntact);
    }),
    { numRuns: 300 },
  );
});

test("redaction changes nothing but the fields that have a seal of their own", () => {
  const secret = ["mysql", "--password=hunter2", "https://user:hunter2@example.org"];
  for (const mode of ["redacted", "off"] as const) {
    const redact = createRedaction(mode, []);
    for (const name of [...variableNames, "process.environment_variable.TOKEN"] as const) {
      if (isRedacted(name) || name === "process.command_line") continue;
      for (const value of [secret, "TOKEN=hunter2 --password=hunter2", 7])
        expect(redact({ [name]: value })).toEqual({ [name]: value });
    }
  }
});
