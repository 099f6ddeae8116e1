// Verdicts that a killed warden had counted and not reported: the sum of policy.count is treewarden_verdicts_total.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { EventRecord } from "../../src/report/event-record.ts";
import { recordUids, timestamp } from "../../src/report/stamp.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { JournalReader } from "../../src/reporter/journal-reader.ts";
import { OutageNote } from "../../src/reporter/outage-note.ts";
import { ReporterState } from "../../src/reporter/reporter-state.ts";

const bounds = { maxAgeMs: 90 * 86_400_000, maxBytes: 1e9 };
const uid = recordUids(new Uint8Array(5));
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-recorded-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A reporter's life with the journal in the folder. */
class Life implements Disposable {
  readonly state: ReporterState;
  private readonly journal: Journal;
  private readonly note: OutageNote;

  constructor(run = "run-1", journal = new Journal(join(folder, "journal.sqlite"), bounds)) {
    this.journal = journal;
    this.note = new OutageNote(join(folder, "outage.json"));
    this.state = new ReporterState({
      journal: this.journal,
      note: this.note,
      run,
      ownSeries: [],
      uid,
      onJournalError: () => undefined,
    });
  }

  /** A new warden says hello; returns the records that are made for those before it. */
  hello(generation: number): readonly EventRecord[] {
    return this.state.onHello(generation) === "next" ? this.state.compareVerdicts() : [];
  }

  /** The warden's counter of a rule has this value. */
  counts(rule: string, value: number, outcome = "alerted"): void {
    const values = ["web", rule, outcome === "allowed" ? "allow" : "alert", outcome, "high"];
    this.state.totals.apply([{ instrument: "verdicts", values, value, kept: false }], false);
  }

  counted(): number {
    let sum = 0;
    for (const { instrument, value } of this.state.exposedSeries())
      if (instrument === "verdicts") sum += Number(value);
    return sum;
  }

  [Symbol.dispose](): void {
    this.journal[Symbol.dispose]();
    this.note[Symbol.dispose]();
  }
}

function verdict(rule: string, count = 1): EventRecord {
  const now = Date.now() * 1e6;
  return {
    timestamp: timestamp(now),
    "event.name": count === 1 ? "policy.verdict" : "policy.verdict.repeated",
    "log.record.uid": uid(now),
    "security_rule.ruleset.name": "web",
    "security_rule.name": rule,
    "policy.action": "alert",
    "policy.outcome": "alerted",
    "policy.severity": "high",
    "policy.count": count,
  };
}

function journaled(): readonly EventRecord[] {
  using reader = new JournalReader(join(folder, "journal.sqlite"));
  return [...reader.rows()].map(({ record }) => record);
}

function sumOfCounts(records = journaled()): number {
  return records.reduce((sum, record) => sum + Number(record["policy.count"] ?? 0), 0);
}

test("what a killed warden had counted and not reported gets one record for each rule and outcome", () => {
  using life = new Life();
  life.hello(1);
  life.state.appendRecords(1, [verdict("shell"), verdict("shell", 5), verdict("tool")]);
  life.counts("shell", 106);
  life.counts("tool", 1);
  life.counts("rest", 5_000, "allowed");
  const [record, ...others] = life.hello(2);
  expect(others).toEqual([]);
  expect(record).toMatchObject({
    "event.name": "policy.verdict.unrecorded",
    "security_rule.ruleset.name": "web",
    "security_rule.name": "shell",
    "policy.action": "alert",
    "policy.outcome": "alerted",
    "policy.severity": "high",
    "policy.count": 100,
  });
  expect(sumOfCounts()).toBe(107);
  expect(life.hello(3)).toEqual([]);
});

test("a warden that reported everything gets none, also if the reporter is replaced meanwhile", () => {
  {
    using life = new Life();
    life.hello(1);
    life.state.appendRecords(1, [verdict("shell"), verdict("shell", 9)]);
    life.counts("shell", 10);
    expect(life.counted()).toBe(10);
  }
  using life = new Life();
  life.hello(1);
  life.state.appendRecords(3, [verdict("shell", 7)]);
  life.counts("shell", 17);
  expect(life.hello(2)).toEqual([]);
  expect(journaled()).toHaveLength(3);
});

test("a verdict that has a record is counted, if the warden was killed before it sent the counter", () => {
  using life = new Life();
  life.hello(1);
  life.counts("shell", 2);
  life.state.appendRecords(1, [verdict("shell"), verdict("shell"), verdict("shell")]);
  expect(life.hello(2)).toEqual([]);
  expect(life.counted()).toBe(3);
  life.counts("shell", 4);
  expect(life.counted()).toBe(7);
});

test("if the whole service was killed, the next run reports it; what that counts starts at 0", () => {
  {
    using life = new Life("run-1");
    life.hello(1);
    life.state.appendRecords(1, [verdict("shell")]);
    life.counts("shell", 41);
    life.counted();
  }
  using life = new Life("run-2");
  expect(sumOfCounts()).toBe(41);
  expect(life.counted()).toBe(0);
  life.hello(1);
  expect(life.hello(2)).toEqual([]);
});

test("a journal that was lost, or is of an earlier version, makes no records of verdicts that had one", () => {
  {
    using life = new Life();
    life.hello(1);
    life.state.appendRecords(1, [verdict("shell"), verdict("shell")]);
    life.counts("shell", 2);
  }
  writeFileSync(join(folder, "journal.sqlite"), "no database ".repeat(1_000));
  using life = new Life();
  life.hello(1);
  life.counts("shell", 2);
  expect(life.hello(2)).toEqual([]);
  life.counts("shell", 30);
  expect(life.hello(3)).toMatchObject([{ "policy.count": 30 }]);
});

test("whatever is killed whenever: the records stand for as many verdicts as the counters have", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("judge" as const), rule: fc.constantFrom("a", "b"), count: fc.nat(20) }),
    fc.constant({ kind: "report" as const }),
    fc.constant({ kind: "count" as const }),
    fc.constant({ kind: "kill warden" as const }),
    fc.constant({ kind: "kill reporter" as const }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      using journal = new Journal(":memory:", bounds);
      let life = new Life("run-1", journal);
      let generation = 1;
      let sent = 0;
      const judged = new Map<string, number>();
      const reported = new Map<string, number>();
      const killWarden = (): void => {
        generation += 1;
        sent = 0;
        judged.clear();
        reported.clear();
        life.hello(generation);
      };
      life.hello(generation);
      for (const each of steps) {
        if (each.kind === "judge") judged.set(each.rule, (judged.get(each.rule) ?? 0) + each.count);
        else if (each.kind === "report")
          for (const [rule, count] of judged) {
            const due = count - (reported.get(rule) ?? 0);
            if (due === 0) continue;
            sent += 1;
            life.state.appendRecords(sent, [verdict(rule, due)]);
            reported.set(rule, count);
          }
        else if (each.kind === "count") for (const [rule, count] of judged) life.counts(rule, count);
        else if (each.kind === "kill warden") killWarden();
        else {
          life = new Life("run-1", journal);
          life.hello(generation);
          for (const [rule, count] of judged) life.counts(rule, count);
        }
      }
      killWarden();
      const records = journal.after(0, 1_000, 1e9).map(({ record }) => record);
      expect(sumOfCounts(records)).toBe(life.counted());
    }),
    { numRuns: 60 },
  );
});
