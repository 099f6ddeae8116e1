// Kill -9 of every process of a run, again and again under load: the others go on, the dead one comes back, and what
// was counted and written down stays.
import { constants, Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Loads } from "../bench/load.ts";
import { endOf, forestEqualsProc, pidOf, type Role, roles, whole } from "./live.ts";
import { type JsonRecord, type Metrics, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const KILLS = 100;

/** Milliseconds until `done`, at most `most`. */
async function timeUntil(done: () => boolean, most: number): Promise<number> {
  const begin = performance.now();
  while (!done() && performance.now() - begin < most) await Bun.sleep(5);
  return performance.now() - begin;
}

/** A scrape; undefined while the reporter is being started. */
async function scrape(running: Running): Promise<Metrics | undefined> {
  try {
    return await running.metrics();
  } catch {
    return undefined;
  }
}

/** Every counter, by name and labels; those of trees leave after an hour, which is longer than this. */
function counters(metrics: Metrics): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of metrics.text.split("\n")) {
    const [, series, value] = /^(\S*?(?:_total|_count|_bucket)(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (series !== undefined) found.set(series, Number(value));
  }
  return found;
}

/** Counters that are less than they were, or gone. */
function wentBack(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): string[] {
  const worse: string[] = [];
  for (const [series, value] of before) {
    const after = now.get(series);
    if (after === undefined || after < value) worse.push(`${series}: ${value}, then ${after}`);
  }
  return worse;
}

interface Row {
  readonly generation: number;
  readonly n: number;
  readonly body: string;
}

/** What the journal holds, read beside the reporter. */
function journalRows(running: Running): Row[] {
  using database = new Database(
    join(running.folder, "state/report/journal.sqlite"),
    constants.SQLITE_OPEN_READONLY,
  );
  return database.query<Row, []>("SELECT generation, n, body FROM records ORDER BY generation, n").all();
}

describe.skipIf(reason !== undefined)("a run whose processes are killed 100 times under load", () => {
  test("goes on: each is back, counters never go back, the forest is true, nothing written down is missing", async () => {
    using loads = new Loads();
    await using running = await Running.start(["--enforcement", "observe"]);
    await using _ = endOf(running);
    await until("all are there", () => whole(running) !== undefined);
    let loading = true;
    const load = (async () => {
      // A few programs all the time, each from a place that draws an alert: numbered records flow all along.
      for (const leave = loads.all[1]; loading && leave !== undefined; ) {
        await loads.run(leave, 10, 2, "endurance");
        await Bun.sleep(50);
      }
    })();
    let seen = counters(await running.metrics());
    const times: Record<Role, number[]> = { supervisor: [], standby: [], warden: [], reporter: [] };
    try {
      for (let kill = 0; kill < KILLS; kill += 1) {
        const before = whole(running);
        const victim = roles[Math.floor(Math.random() * roles.length)] ?? "warden";
        const pid = before?.get(victim) ?? 0;
        expect(pid).toBeGreaterThan(0);
        process.kill(pid, "SIGKILL");
        // The standby takes the supervisor's place, and its own is filled anew.
        const filled = victim === "supervisor" ? "standby" : victim;
        const back = () => (whole(running)?.get(filled) ?? before?.get(filled)) !== before?.get(filled);
        times[victim].push(await timeUntil(back, 5_000));
        expect(back()).toBe(true);
        const now = whole(running);
        for (const role of ["warden", "reporter"] as const) {
          if (role !== victim) expect(now?.get(role)).toBe(before?.get(role));
        }
        await Bun.sleep(Math.random() * 100);
        const metrics = await scrape(running);
        if (
          metrics === undefined ||
          metrics.value("treewarden_events_total", { event: "exec" }) === undefined
        )
          continue;
        const found = counters(metrics);
        expect(wentBack(seen, found)).toEqual([]);
        seen = found;
      }
    } finally {
      loading = false;
      await load;
    }
    const all = Object.values(times)
      .flat()
      .sort((a, b) => a - b);
    for (const role of roles) {
      const sorted = times[role].sort((a, b) => a - b);
      const median = sorted[sorted.length >> 1]?.toFixed(0);
      console.log(
        `${role}: ${sorted.length} kills, back in ${median} ms (median), ${sorted.at(-1)?.toFixed(0)} ms (most)`,
      );
    }
    expect(all.length).toBe(KILLS);
    expect(all[Math.floor(KILLS * 0.95) - 1]).toBeLessThan(1_000);
    expect(all.at(-1)).toBeLessThan(3_000);
    await until("it is healthy", async () => (await running.health().catch(() => undefined))?.status === 200);
    await forestEqualsProc(running);
    expect(wentBack(seen, counters(await running.metrics()))).toEqual([]);

    const rows = journalRows(running);
    const records: JsonRecord[] = rows.map(({ body }) => JSON.parse(body));
    const uids = records.map((record) => record["log.record.uid"]);
    expect(new Set(uids).size).toBe(uids.length);
    expect(records.filter((record) => record["event.name"] === "report.gap")).toEqual([]);
    const numbers = new Map<number, number[]>();
    // The reporter's own rows have negative numbers.
    for (const { generation, n } of rows)
      if (n > 0) numbers.set(generation, [...(numbers.get(generation) ?? []), n]);
    // Of each warden from the first to the last that arrived: what it had not sent when it died is at the end.
    for (const [, ns] of numbers) expect(ns).toEqual(Array.from({ length: ns.length }, (_, i) => i + 1));
    // A warden that is killed during its first scan has sent nothing yet.
    expect(numbers.size).toBeGreaterThan(times.warden.length / 2);
    console.log(`${rows.length} records of ${numbers.size} wardens`);

    const events = Bun.spawnSync([
      running.binary,
      "events",
      "--output",
      "json",
      "--state-dir",
      `${running.folder}/state`,
    ]);
    expect(events.exitCode).toBe(0);
    const told: JsonRecord[] = events.stdout
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const newest = new Set(told.map((record) => record["log.record.uid"]));
    expect(uids.filter((uid) => !newest.has(uid))).toEqual([]);
    expect(pidOf(running, "supervisor")).toBeGreaterThan(0);
  }, 180_000);
});
