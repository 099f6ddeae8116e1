import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventRecord } from "../../src/report/event-record.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { type ExportLoss, JournalCursor } from "../../src/reporter/journal-cursor.ts";
import type { Delivery, JournalOutput, Pacing } from "../../src/reporter/output.ts";
import { until } from "./rig.ts";

let folder = "";
let journal: Journal;
let written = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-cursor-"));
  journal = new Journal(join(folder, "journal.sqlite"), { maxAgeMs: 86_400_000, maxBytes: 1e9 });
  written = 0;
});
afterEach(() => {
  journal[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

const fast: Pacing = {
  gatherMs: 5,
  intervalMs: 0,
  maxRows: 10,
  maxBytes: 1e6,
  rest: "next batch",
  deliversAtEnd: true,
};

/** An output that does what the test says, with its cursor. It accepts every record but those of the event `not.accepted`. */
class FakeOutput {
  /** Each delivery's uids, and what the output answered. */
  readonly deliveries: { readonly uids: readonly string[]; readonly answer: Delivery["outcome"] }[] = [];
  readonly failures: string[] = [];
  readonly errors: unknown[] = [];
  /** Best-effort records that were dropped, and what else the output will never get. */
  dropped = 0;
  readonly losses: ExportLoss[] = [];
  passedOver = 0;
  answer: (uids: readonly string[]) => Delivery | Promise<Delivery> = () => ({ outcome: "delivered" });
  readonly cursor: JournalCursor;

  constructor(pacing: Partial<Pacing> = {}, takesBestEffort = false, position = "fake") {
    const output: JournalOutput = {
      signal: "fake",
      position,
      pacing: { ...fast, ...pacing },
      accepts: (record) => record["event.name"] !== "not.accepted",
      takesBestEffort,
      deliver: async (batch) => {
        const uids = (await Array.fromAsync(batch.records)).map((record) => String(record["log.record.uid"]));
        this.passedOver += batch.passedOver;
        const answer = await this.answer(uids);
        this.deliveries.push({ uids, answer: answer.outcome });
        return answer;
      },
    };
    this.cursor = new JournalCursor({
      journal,
      output,
      redact: (record) => record,
      onFailure: (why) => this.failures.push(why),
      onDrop: (count) => {
        this.dropped += count;
      },
      onLoss: (loss) => this.losses.push(loss),
      lossRecord: ({ uid }) => record(`loss of ${uid}`),
      onReportedLoss: (loss) => this.losses.push(loss),
      onJournalError: (error) => {
        this.errors.push(error);
        journal.replaceIfBroken(error);
      },
      retryMs: 20,
    });
  }

  /** Uids that the output has taken, in order. */
  get taken(): string[] {
    return this.deliveries.flatMap(({ uids, answer }) => (answer === "delivered" ? uids : []));
  }
}

const record = (uid: string, more: EventRecord = {}): EventRecord => ({
  timestamp: new Date().toISOString(),
  "event.name": "policy.verdict",
  "log.record.uid": uid,
  ...more,
});

function write(outputs: readonly FakeOutput[], ...records: readonly EventRecord[]): void {
  journal.append({ records: [{ run: "r", generation: 1, first: written + 1, records }] });
  written += records.length;
  for (const { cursor } of outputs) cursor.onAppended(records);
}

const uids = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `u${from + i}`);
const records = (from: number, to: number) => uids(from, to).map((uid) => record(uid));

/** What SQLite says of a file that is not a database. */
function brokenDatabase(): unknown {
  const path = join(folder, "broken");
  writeFileSync(path, "not a database ".repeat(500));
  try {
    new Database(path).run("SELECT * FROM sqlite_schema");
  } catch (error) {
    return error;
  }
  throw new Error("SQLite took it for a database");
}

describe("an output gets", () => {
  test("every record once, in order, in batches of bounded size", async () => {
    const output = new FakeOutput();
    for (let i = 1; i <= 95; i += 5) write([output], ...records(i, i + 4));
    await until("all", () => output.taken.length === 95);
    expect(output.taken).toEqual(uids(1, 95));
    expect(Math.max(...output.deliveries.map((delivery) => delivery.uids.length))).toBe(10);
    await output.cursor.end(100);
    expect(output.taken.length).toBe(95);
  });

  test("only what it accepts, and nothing at all is read for records that it does not", async () => {
    const output = new FakeOutput();
    for (let i = 0; i < 30; i += 1) write([output], record(`other${i}`, { "event.name": "not.accepted" }));
    write([output], ...records(1, 2));
    await until("both", () => output.taken.length === 2);
    expect(output.deliveries.map((delivery) => delivery.uids)).toEqual([["u1", "u2"]]);
  });

  test("the same records as another one, each at its own pace", async () => {
    const slow = new FakeOutput({ gatherMs: 60_000, maxRows: 100 });
    const eager = new FakeOutput({}, false, "eager");
    write([slow, eager], ...records(1, 30));
    await until("the eager one", () => eager.taken.length === 30);
    expect(slow.taken).toEqual([]);
    await slow.cursor.end(1_000);
    expect(slow.taken).toEqual(uids(1, 30));
  });

  test("a backlog that is what it has not taken and the journal still has", async () => {
    const output = new FakeOutput({ gatherMs: 60_000 });
    write([output], ...records(1, 30));
    expect(output.cursor.backlog).toBe(30);
    journal.prune(Date.now() + 2 * 86_400_000, 0, () => undefined);
    expect(output.cursor.backlog).toBe(0);
    write([output], ...records(31, 35));
    expect(output.cursor.backlog).toBe(5);
    await output.cursor.end(1_000);
    expect(output.cursor.backlog).toBe(0);
  });

  test("what is written from now on when it is new to this host, not the past", async () => {
    write([], ...records(1, 5));
    const output = new FakeOutput();
    write([output], record("new"));
    await until("the new one", () => output.taken.length > 0);
    expect(output.taken).toEqual(["new"]);
  });

  test("half a batch at once, without waiting for more", async () => {
    const output = new FakeOutput({ gatherMs: 60_000 });
    write([output], ...records(1, 4));
    await Bun.sleep(30);
    expect(output.taken).toEqual([]);
    write([output], record("u5"));
    await until("all", () => output.taken.length === 5);
  });

  test("best-effort records behind the others, dropped and counted beyond their bound", async () => {
    const output = new FakeOutput({ gatherMs: 50 }, true);
    for (let i = 0; i < 5_000; i += 1) output.cursor.addBestEffort(record(`b${i}`));
    write([output], record("u1"));
    await until("all", () => output.taken.length === 4_097);
    expect(output.taken[0]).toBe("u1");
    expect(output.dropped).toBe(5_000 - 4_096);
  });
});

describe("when the output does not take a batch", () => {
  test("the same records come again, until it does, with growing pauses", async () => {
    const output = new FakeOutput();
    const times: number[] = [];
    output.answer = () => {
      times.push(performance.now());
      return times.length < 5 ? { outcome: "failed", why: "down" } : { outcome: "delivered" };
    };
    write([output], ...records(1, 3));
    await until("taken", () => output.taken.length === 3);
    expect(output.deliveries.map((delivery) => delivery.uids)).toEqual(Array(5).fill(uids(1, 3)));
    expect(output.failures).toEqual(Array(4).fill("down"));
    // At least 20 ms, and each time half as long again: 20 + 30 + 45 + 67.
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(160);
    expect(output.losses).toEqual([]);
  });

  test("a fault in the output is a failure like any other", async () => {
    const output = new FakeOutput();
    let calls = 0;
    output.answer = () => {
      calls += 1;
      if (calls === 1) throw new Error("fault");
      return { outcome: "delivered" };
    };
    write([output], record("u1"));
    await until("taken", () => output.taken.length === 1);
    expect(output.failures).toEqual(["fault"]);
    expect(output.errors).toEqual([]);
  });

  test("because it is too large, smaller ones come, and none is lost", async () => {
    const output = new FakeOutput();
    output.answer = (batch) =>
      batch.length > 3 ? { outcome: "too large", why: "413" } : { outcome: "delivered" };
    write([output], ...records(1, 40));
    await until("all", () => output.taken.length === 40);
    expect(output.taken).toEqual(uids(1, 40));
    expect(output.losses).toEqual([]);
  });

  test("because of its size, the size is remembered: no larger batch is tried right after it", async () => {
    const output = new FakeOutput({ maxRows: 64 });
    output.answer = (batch) =>
      batch.length > 10 ? { outcome: "too large", why: "413" } : { outcome: "delivered" };
    write([output], ...records(1, 640));
    await until("all", () => output.taken.length === 640);
    const refused = output.deliveries.filter(({ answer }) => answer === "too large");
    expect(refused.map((delivery) => delivery.uids.length)).toEqual([64, 32, 16]);
  });

  test("because of one record, only that one is given up, and the loss is reported first", async () => {
    const output = new FakeOutput({ maxRows: 512 });
    output.answer = (batch) =>
      batch.includes("u300") ? { outcome: "rejected", why: "400" } : { outcome: "delivered" };
    write([output], ...records(1, 1_000));
    await until("the last", () => output.taken.includes("u1000"));
    const expected = [...uids(1, 299), "loss of u300", ...uids(301, 1_000)];
    expect(output.taken).toEqual(expected);
    expect(output.losses).toEqual([{ missing: 1, reason: "rejected", uid: "u300" }]);
    // Halving takes 9 refusals and at most as many batches that are taken; then they grow again.
    expect(output.deliveries.length).toBeLessThan(30);
  });

  test("because of many, each of them is found", async () => {
    const output = new FakeOutput({ maxRows: 64 });
    const isBad = (uid: string) => /^u\d*[37]$/.test(uid);
    output.answer = (batch) =>
      batch.some(isBad) ? { outcome: "rejected", why: "400" } : { outcome: "delivered" };
    write([output], ...records(1, 200));
    await until("the last", () => output.taken.includes("u200"));
    expect(output.taken.filter((uid) => uid.startsWith("u"))).toEqual(
      uids(1, 200).filter((uid) => !isBad(uid)),
    );
    expect(output.losses.length).toBe(40);
  });

  test("nor any other, nothing is given up: the way to it is broken", async () => {
    const output = new FakeOutput({ maxRows: 64 });
    let broken = true;
    output.answer = () => (broken ? { outcome: "rejected", why: "400" } : { outcome: "delivered" });
    write([output], ...records(1, 200));
    await until("some tries", () => output.failures.filter((why) => why.startsWith("every")).length === 4);
    // 64, 32, 16, 8, 4, 2, 1 and the report of the loss; after that one record and the report with each try.
    expect(output.deliveries.length).toBeLessThanOrEqual(8 + 4 * 2);
    broken = false;
    await until("all", () => output.taken.length === 200);
    expect(output.taken).toEqual(uids(1, 200));
    expect(output.losses).toEqual([]);
  });

  test("but only the reports of losses, few records are lost before it pauses", async () => {
    const output = new FakeOutput({ maxRows: 64 });
    output.answer = ([uid]) =>
      uid?.startsWith("loss") ? { outcome: "delivered" } : { outcome: "rejected", why: "400" };
    write([output], ...records(1, 200));
    await until("a pause", () => output.failures.some((why) => why.startsWith("one record after the other")));
    expect(output.losses.length).toBe(16);
  });

  test("completely, what it has rejected is counted and never sent again", async () => {
    const output = new FakeOutput();
    output.answer = () => ({ outcome: "delivered", partial: { rejected: 2, why: "too old" } });
    write([output], ...records(1, 5));
    await until("taken", () => output.taken.length === 5);
    expect(output.losses).toEqual([{ missing: 2, reason: "rejected" }]);
    expect(output.failures).toEqual(["2 of the records were rejected: too old"]);
    await Bun.sleep(50);
    expect(output.deliveries.length).toBe(1);
  });

  test("before a certain time, nothing is sent until then, whatever else is written", async () => {
    const output = new FakeOutput();
    const times: number[] = [];
    output.answer = () => {
      times.push(performance.now());
      return times.length === 1
        ? { outcome: "failed", why: "429", retryAfterMs: 300 }
        : { outcome: "delivered" };
    };
    write([output], ...records(1, 3));
    for (let i = 4; i < 20; i += 1) {
      await Bun.sleep(10);
      write([output], record(`u${i}`));
    }
    await until("taken", () => output.taken.length > 0);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(295);
  });
});

describe("a journal that was replaced because it was broken", () => {
  test("is delivered from its beginning, and what was not read of the old one is counted", async () => {
    const output = new FakeOutput();
    write([output], ...records(1, 20));
    await until("the first 20", () => output.taken.length === 20);
    output.answer = () => ({ outcome: "failed", why: "down" });
    write([output], record("lost"));
    await until("a failure", () => output.failures.length > 0);
    expect(journal.replaceIfBroken(brokenDatabase())).toBe(true);
    output.answer = () => ({ outcome: "delivered" });
    write([output], ...records(21, 25));
    await until("the next 5", () => output.taken.length === 25);
    expect(output.taken).toEqual(uids(1, 25));
    expect(output.losses).toEqual([{ missing: 1, reason: "not_exported" }]);
  });

  test("also when it has as many rows as the old one had before the output looks again", async () => {
    const output = new FakeOutput({ gatherMs: 50 });
    write([output], ...records(1, 3));
    await until("the first 3", () => output.taken.length === 3);
    expect(journal.replaceIfBroken(brokenDatabase())).toBe(true);
    write([output], ...records(4, 12));
    await until("the others", () => output.taken.length === 12);
    expect(output.taken).toEqual(uids(1, 12));
  });

  test("while a delivery is under way: its end moves no position in the new one", async () => {
    const output = new FakeOutput();
    const { promise, resolve } = Promise.withResolvers<Delivery>();
    output.answer = () => promise;
    write([output], ...records(1, 8));
    await Bun.sleep(30);
    expect(journal.replaceIfBroken(brokenDatabase())).toBe(true);
    write([output], ...records(9, 12));
    output.answer = () => ({ outcome: "delivered" });
    resolve({ outcome: "delivered" });
    await until("all", () => output.taken.length >= 12);
    expect(output.taken).toEqual(uids(1, 12));
    expect(output.losses).toEqual([]);
  });

  test("is found out by an output that cannot read it: nothing is thrown, and it goes on", async () => {
    const output = new FakeOutput();
    const error = brokenDatabase();
    const { newest } = journal;
    journal.newest = () => {
      journal.newest = newest;
      throw error;
    };
    write([output], record("in the broken one"));
    await until("the error", () => output.errors.length === 1);
    write([output], record("u1"));
    await until("the new journal's", () => output.taken.includes("u1"));
  });
});

describe("at the end", () => {
  test("what waits is delivered, once, without waiting for it to gather", async () => {
    const output = new FakeOutput({ gatherMs: 60_000, maxRows: 100 });
    write([output], ...records(1, 25));
    await output.cursor.end(1_000);
    expect(output.taken).toEqual(uids(1, 25));
  });

  test("an output that hangs is left after the deadline, and its late answer changes nothing", async () => {
    const output = new FakeOutput();
    const { promise, resolve } = Promise.withResolvers<Delivery>();
    output.answer = () => promise;
    write([output], record("u1"));
    const begin = performance.now();
    await output.cursor.end(100);
    expect(performance.now() - begin).toBeLessThan(1_000);
    resolve({ outcome: "delivered" });
    await Bun.sleep(20);
    expect(new FakeOutput().cursor.delivered).toBe(0);
  });

  test("an output that does not deliver then leaves it for the next start", async () => {
    const output = new FakeOutput({ gatherMs: 30, deliversAtEnd: false });
    write([output], record("u1"));
    output.cursor.prepareEnd();
    await Bun.sleep(60);
    await output.cursor.end(100);
    expect(output.taken).toEqual([]);
    const next = new FakeOutput();
    await until("the record", () => next.taken.length === 1);
    expect(next.taken).toEqual(["u1"]);
  });
});

describe("after a restart", () => {
  test("it goes on where it was: nothing twice, nothing left out", async () => {
    const output = new FakeOutput();
    write([output], ...records(1, 20));
    await until("all", () => output.taken.length === 20);
    await output.cursor.end(100);
    write([], ...records(21, 40));
    const next = new FakeOutput();
    await until("the others", () => next.taken.length === 20);
    expect(next.taken).toEqual(uids(21, 40));
  });

  test("what was under way when it was killed comes again", async () => {
    const output = new FakeOutput();
    output.answer = () => new Promise(() => {});
    write([output], ...records(1, 3));
    await Bun.sleep(30);
    const next = new FakeOutput();
    await until("again", () => next.taken.length === 3);
    expect(next.taken).toEqual(uids(1, 3));
  });

  test("the pause between two deliveries lasts on", async () => {
    const output = new FakeOutput({ intervalMs: 400 });
    write([output], record("u1"));
    await until("the first", () => output.taken.length === 1);
    write([output], record("u2"));
    output.cursor.prepareEnd();
    await output.cursor.end(0);
    const begin = performance.now();
    const next = new FakeOutput({ intervalMs: 400 });
    await until("the second", () => next.taken.includes("u2"));
    expect(performance.now() - begin).toBeGreaterThan(200);
  });
});

test("rows that are deleted before the output got them are counted, if it would have accepted them", () => {
  const output = new FakeOutput({ gatherMs: 60_000 });
  const old = { timestamp: "2020-01-01T00:00:00.000000Z" };
  write(
    [output],
    record("u1", old),
    record("other", { ...old, "event.name": "not.accepted" }),
    record("u2", old),
  );
  expect(journal.prune(Date.now(), output.cursor.delivered, (row) => output.cursor.onDeleted(row))).toBe(3);
  expect(output.losses).toEqual(Array(2).fill({ missing: 1, reason: "not_exported" }));
});

test("an output that passes over what exceeds its batch learns how much that was", async () => {
  const output = new FakeOutput({ maxRows: 4, rest: "passed over", gatherMs: 30 });
  write([output], ...records(1, 9));
  await until("one batch", () => output.deliveries.length === 1);
  expect(output.taken).toEqual(uids(1, 4));
  expect(output.passedOver).toBe(5);
  await Bun.sleep(60);
  expect(output.deliveries.length).toBe(1);
});
