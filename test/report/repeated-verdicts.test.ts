// What is reported of verdicts that repeat. No verdict is left out of the counts, whatever is offered.
import { describe, expect, test } from "bun:test";
import type { Outcome, Reason } from "../../src/enforcement/outcome.ts";
import { decide, type Policy } from "../../src/policy/policy.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { createRedaction } from "../../src/report/redact.ts";
import { RepeatedVerdicts } from "../../src/report/repeated-verdicts.ts";
import { recordUids } from "../../src/report/stamp.ts";
import { policyOf } from "../policy/helpers.ts";

const SECOND = 1e9;
const MINUTE = 60 * SECOND;
/** 2026-01-31T12:00:00Z */
const NOON_MS = Date.UTC(2026, 0, 31, 12);

const everything = policyOf([{ id: "seen", when: true, action: "alert", severity: "high" }]);
const naming = policyOf([
  { id: "seen", when: { contains: [{ var: "process.command_line" }, "x"] }, action: "alert" },
]);

interface Offered {
  /** ns */
  readonly at: number;
  readonly program?: string;
  readonly args?: readonly string[];
  /** LD_PRELOAD */
  readonly preload?: string | null;
  readonly outcome?: Outcome;
  readonly reason?: Reason;
  readonly policy?: Policy;
}

/** A warden's half of reporting, with a clock of the test's own. */
class Desk {
  readonly records: EventRecord[] = [];
  /** When each record was queued, ns. */
  readonly times: number[] = [];
  verdicts = 0;
  /** Which part of the queue each record may use. */
  readonly rooms: string[] = [];
  dropped = 0;
  /** Whether the queue has room for full verdicts, which are dropped otherwise. */
  hasRoomForFull = true;
  /** Whether it has room for what can wait. */
  hasRoom = true;
  private readonly repeated = new RepeatedVerdicts({
    report: (record, room) => {
      if (this.hasRoomForFull) this.queue(record, room);
      else this.dropped += 1;
      return this.hasRoomForFull;
    },
    offer: (record, room) => {
      if (this.hasRoom) this.queue(record, room);
      return this.hasRoom;
    },
    stamp: recordUids(new Uint8Array(5)),
    seed: 4711,
  });

  offer({
    at,
    program = "/usr/bin/curl",
    args = ["x"],
    preload = null,
    outcome = "alerted",
    reason,
    policy = everything,
  }: Offered) {
    this.wait(at);
    const lineage = [
      {
        "process.executable.path": program,
        "process.runnable.changed": true,
        "process.command_args": [...args],
        "process.environment_variable.LD_PRELOAD": preload,
      },
    ];
    const subject = { ...testSubject({ lineage }), time: at, wallTime: NOON_MS + at / 1e6 };
    const decision = decide(policy, subject);
    this.repeated.onVerdict({ subject, decision, outcome, reason, policy });
    this.verdicts += 1;
  }

  /** As the loop does: woken when something is due, until `at`. */
  wait(at: number): void {
    for (let due = this.dueBefore(at); due !== undefined; due = this.dueBefore(at))
      this.repeated.flushDue(due);
    this.now = at;
  }

  end(): void {
    this.repeated.flushAll();
  }

  private now = 0;

  private queue(record: EventRecord, room: string): void {
    this.records.push(record);
    this.rooms.push(room);
    this.times.push(this.now);
  }

  private dueBefore(at: number): number | undefined {
    const left = this.repeated.dueIn(this.now);
    if (left === undefined || this.now + left > at) return undefined;
    this.now += Math.max(left, 1);
    return this.now;
  }

  /** Names without their prefix, and counts. */
  get told(): string[] {
    return this.records.map(
      (record) => `${String(record["event.name"]).replace("policy.", "")} ${record["policy.count"]}`,
    );
  }

  get counted(): number {
    return this.records.reduce((sum, record) => sum + Number(record["policy.count"]), 0);
  }

  get fullVerdicts(): number {
    return this.records.filter((record) => record["event.name"] === "policy.verdict").length;
  }
}

describe("an alert that repeats", () => {
  test("is reported at once, then at most once a minute with the number of verdicts, naming the first", () => {
    const desk = new Desk();
    for (let i = 0; i < 1_000; i += 1) desk.offer({ at: i * 0.15 * SECOND });
    desk.wait(10 * MINUTE);
    expect(desk.told).toEqual([
      "verdict 1",
      "verdict.repeated 399",
      "verdict.repeated 400",
      "verdict.repeated 200",
    ]);
    const [first, second] = desk.records;
    expect(second).toMatchObject({
      "policy.first_uid": String(first?.["log.record.uid"]),
      "security_rule.name": "seen",
      "policy.action": "alert",
      "policy.outcome": "alerted",
      "policy.severity": "high",
      "tree.exact": "/curl",
      "process.runnable.path": "/usr/bin/curl",
      "process.command_args": ["x"],
    });
    expect(second?.["log.record.uid"]).not.toBe(String(first?.["log.record.uid"]));
  });

  test("that is rarer than a minute is reported each time, briefly", () => {
    const desk = new Desk();
    for (let i = 0; i < 4; i += 1) desk.offer({ at: i * 2 * MINUTE });
    expect(desk.told).toEqual([
      "verdict 1",
      "verdict.repeated 1",
      "verdict.repeated 1",
      "verdict.repeated 1",
    ]);
  });

  test("is reported in full every hour", () => {
    const desk = new Desk();
    for (let i = 0; i <= 150; i += 1) desk.offer({ at: i * MINUTE });
    expect(desk.fullVerdicts).toBe(3);
    expect(desk.counted).toBe(151);
  });

  test("is another one if the environment differs, as far as it was read", () => {
    const desk = new Desk();
    desk.offer({ at: 0 });
    desk.offer({ at: 1, preload: "/srv/a.so" });
    desk.offer({ at: 2, preload: "/srv/b.so" });
    desk.offer({ at: 3, args: ["x", "LD_PRELOAD=/srv/b.so"] });
    for (let i = 0; i < 10; i += 1) desk.offer({ at: 4 + i, preload: "/srv/b.so" });
    expect(desk.fullVerdicts).toBe(4);
    expect(desk.records[2]).toMatchObject({ "process.environment_variable.LD_PRELOAD": "/srv/b.so" });
    desk.wait(2 * MINUTE);
    expect(desk.records.at(-1)).toMatchObject({ "policy.count": 10, "process.command_args": ["x"] });
  });

  test("with ever other environments is no flood: they are folded like arguments, and shown", () => {
    const desk = new Desk();
    for (let i = 0; i < 100; i += 1) desk.offer({ at: i, preload: `/srv/${i}.so` });
    desk.end();
    expect(desk.fullVerdicts).toBe(8);
    expect(desk.counted).toBe(100);
    expect(desk.records.at(-1)?.["policy.arguments"]).toContain("x LD_PRELOAD=/srv/0.so");
  });

  test("is another one if program, outcome or arguments differ", () => {
    const desk = new Desk();
    desk.offer({ at: 0 });
    desk.offer({ at: 1, program: "/usr/bin/wget" });
    desk.offer({ at: 2, outcome: "would_kill" });
    desk.offer({ at: 3, args: ["y"] });
    desk.offer({ at: 4, args: ["x".repeat(5_000)] });
    desk.offer({ at: 5, args: [`${"x".repeat(4_999)}y`] });
    expect(desk.fullVerdicts).toBe(6);
  });

  test("waits without loss while the queue has no room", () => {
    const desk = new Desk();
    desk.offer({ at: 0 });
    desk.hasRoom = false;
    for (let i = 1; i <= 300; i += 1) desk.offer({ at: i * SECOND });
    desk.hasRoom = true;
    desk.wait(10 * MINUTE);
    expect(desk.told).toEqual(["verdict 1", "verdict.repeated 300"]);
  });
});

test("a full verdict that was dropped is made up for when there is room again", () => {
  const desk = new Desk();
  desk.hasRoomForFull = false;
  desk.hasRoom = false;
  for (let i = 0; i < 50; i += 1) desk.offer({ at: i * 0.1 * SECOND });
  desk.hasRoomForFull = true;
  desk.hasRoom = true;
  for (let i = 50; i < 100; i += 1) desk.offer({ at: i * 0.1 * SECOND });
  desk.end();
  expect(desk.fullVerdicts).toBe(1);
  expect(desk.told[0]).toBe("verdict.repeated 49");
  expect(desk.dropped + desk.counted).toBe(100);
});

describe("an alert with many different arguments", () => {
  const flood = (desk: Desk, count: number, policy: Policy): void => {
    for (let i = 0; i < count; i += 1) desk.offer({ at: i * 1e6, args: ["curl", `x${i}`], policy });
    desk.wait(2 * MINUTE);
  };

  test("is reported with the first 8; one record a minute says how many there were", () => {
    const desk = new Desk();
    flood(desk, 1_000, everything);
    expect(desk.told).toEqual([...new Array(8).fill("verdict 1"), "verdict.repeated 992"]);
    expect(desk.records.at(-1)).toMatchObject({
      "policy.distinct_arguments": 1_000,
      "policy.arguments": Array.from({ length: 8 }, (_, i) => `curl x${i}`),
      "policy.first_uid": String(desk.records[0]?.["log.record.uid"]),
    });
  });

  test("is reported with the first 100 if the rule names arguments", () => {
    const desk = new Desk();
    flood(desk, 1_000, naming);
    expect(desk.fullVerdicts).toBe(100);
    expect(desk.counted).toBe(1_000);
    expect(desk.records.at(-1)?.["policy.distinct_arguments"]).toBe(1_000);
  });

  test("begins again in the next minute", () => {
    const desk = new Desk();
    flood(desk, 20, everything);
    for (let i = 0; i < 20; i += 1) desk.offer({ at: 3 * MINUTE + i, args: ["curl", `z${i}`] });
    desk.wait(5 * MINUTE);
    expect(desk.told).toEqual([
      ...new Array(8).fill("verdict 1"),
      "verdict.repeated 12",
      ...new Array(8).fill("verdict 1"),
      "verdict.repeated 12",
    ]);
  });

  test("shows no secret in the record that stands for them", () => {
    const desk = new Desk();
    for (let i = 0; i < 9; i += 1)
      desk.offer({ at: i, args: ["mysql", "--password", `hunter${i}`, "-u", "shop"] });
    desk.end();
    const shown = createRedaction("redacted", [])(desk.records.at(-1) ?? {});
    expect(shown["policy.arguments"]).toContain("mysql --password [redacted] -u shop");
    expect(JSON.stringify(shown)).not.toContain("hunter");
    expect(createRedaction("off", [])(desk.records.at(-1) ?? {})["policy.arguments"]).toBeUndefined();
  });
});

describe("an alert that is late, or about a content", () => {
  const changed = policyOf([{ id: "changed", when: { var: "process.runnable.changed" }, action: "alert" }]);
  test.each<Partial<Offered>>([{ reason: "late" }, { policy: changed }])(
    "is reported in full each time, up to 100 in a minute: %#",
    (what) => {
      const desk = new Desk();
      for (let i = 0; i < 120; i += 1) desk.offer({ at: i * 1e8, ...what });
      expect(desk.records.filter(({ "event.name": name }) => name === "policy.verdict")).toHaveLength(100);
      desk.wait(2 * MINUTE);
      expect(desk.records.reduce((sum, record) => sum + Number(record["policy.count"]), 0)).toBe(120);
    },
  );
});

describe("what was carried out, withheld or failed", () => {
  for (const outcome of ["killed", "withheld", "failed"] as const) {
    test(`is reported each time, up to 100 a minute (${outcome})`, () => {
      const desk = new Desk();
      for (let i = 0; i < 1_000; i += 1) desk.offer({ at: i * 1e6, outcome, args: [`${i % 3}`] });
      desk.wait(2 * MINUTE);
      expect(desk.fullVerdicts).toBe(100);
      expect(desk.told.at(-1)).toBe("verdict.repeated 900");
      expect(desk.records.at(-1)?.["policy.distinct_arguments"]).toBe(3);
      for (let i = 0; i < 10; i += 1) desk.offer({ at: 3 * MINUTE + i, outcome });
      expect(desk.fullVerdicts).toBe(110);
    });
  }
});

test("only real kills may use the last of the queue, and withheld ones no more of it than alerts", () => {
  const desk = new Desk();
  const outcomes = ["killed", "failed", "would_kill", "withheld", "alerted"] as const;
  for (const [i, outcome] of outcomes.entries()) desk.offer({ at: i, outcome });
  expect(desk.rooms).toEqual(["all", "severe", "severe", "common", "common"]);
});

describe("whatever is offered", () => {
  /** A stream like that of an attacker who varies everything. */
  function random(seed: number, count: number, variety = 1_000): Desk {
    let state = seed;
    const dice = (sides: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >> 8) % sides;
    };
    const outcomes: readonly Outcome[] = [
      "alerted",
      "alerted",
      "alerted",
      "would_kill",
      "killed",
      "withheld",
    ];
    const desk = new Desk();
    let at = 0;
    for (let i = 0; i < count; i += 1) {
      at += dice(100) === 0 ? dice(90) * MINUTE : dice(1_000) * 1e6;
      desk.hasRoom = variety < 100 || dice(10) > 0;
      desk.offer({
        at,
        program: `/usr/bin/p${dice(5)}`,
        args: dice(3) === 0 ? [`${dice(variety)}`] : ["x"],
        outcome: outcomes[dice(outcomes.length)] ?? "alerted",
      });
    }
    desk.hasRoom = true;
    return desk;
  }

  for (const seed of [1, 2, 3, 4]) {
    test(`the counts of all records are the number of verdicts, and no uid occurs twice (stream ${seed})`, () => {
      const desk = random(seed, 5_000);
      desk.end();
      expect(desk.counted).toBe(desk.verdicts);
      expect(new Set(desk.records.map((record) => record["log.record.uid"])).size).toBe(desk.records.length);
    });

    test(`records that stand for several verdicts are a minute apart for each kind (stream ${seed})`, () => {
      const { records, times } = random(seed, 5_000, 20);
      const last = new Map<string, number>();
      for (const [i, record] of records.entries()) {
        if (record["event.name"] !== "policy.verdict.repeated") continue;
        const names = ["policy.outcome", "tree.exact", "process.command_args"] as const;
        const kind = names.map((name) => String(record[name])).join();
        const time = times[i] ?? 0;
        expect(time - (last.get(kind) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(MINUTE);
        last.set(kind, time);
      }
      expect(last.size).toBeGreaterThan(10);
    });
  }

  test("memory is bounded: what is forgotten is reported first", () => {
    const desk = new Desk();
    const long = "d".repeat(200);
    for (let i = 0; i < 20_000; i += 1) {
      const program = `/srv/${long}/${i}`;
      desk.offer({ at: i * 1e5, program });
      desk.offer({ at: i * 1e5 + 1, program });
    }
    // The kinds that were forgotten meanwhile have their second record, before any end.
    expect(desk.counted).toBeGreaterThan(20_000 + 10_000);
    desk.end();
    expect(desk.counted).toBe(40_000);
  });
});
