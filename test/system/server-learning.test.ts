import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { JOURNAL_FILE } from "../../src/reporter/journal-reader.ts";
import { processesOf, quietPolicy, type Role } from "./live.ts";
import { baseline, learnedRows } from "./server-watch.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Runs that go on at the same time, because each waits half a second for every new start. */
const RUNS = 8;
/** Of each run. */
const REPORTER_KILLS = 24;
const WARDEN_KILLS = 1;

const first = ["amber", "black", "green", "ivory", "olive", "brown", "white", "coral", "beige", "khaki"];
const second = [
  "lion",
  "bear",
  "wolf",
  "hare",
  "crow",
  "swan",
  "toad",
  "moth",
  "carp",
  "newt",
  "seal",
  "mole",
];
const UNCERTAIN_MS = 2_000;
const third = ["house", "field", "river", "stone"];

/** Programs of ordinary names, each a tree of its own. */
function programs(folder: string): string[] {
  mkdirSync(join(folder, "bin"));
  const names = first.flatMap((a) => second.flatMap((b) => third.map((c) => `${a}-${b}-${c}`)));
  return names.map((name) => {
    const path = join(folder, "bin", name);
    copyFileSync("/bin/true", path);
    return path;
  });
}

/** Kills the one of that role; true if there was one. */
function kill(running: Running, role: Role): boolean {
  const found = processesOf(running).find((one) => one.role === role);
  if (found === undefined) return false;
  try {
    process.kill(found.pid, "SIGKILL");
  } catch {
    return false;
  }
  return true;
}

/** Learns while its processes are killed at random; what its journal must hold is looked at afterwards. */
async function learnUnderFire(): Promise<void> {
  const folder = newFolder();
  // Alerts on what others do here would be what fills the queue.
  await using running = await Running.start(["--policy", quietPolicy(folder)], {}, folder);
  const waiting = programs(running.folder);
  const ran: string[] = [];
  const run = async (): Promise<void> => {
    const next = waiting.shift();
    if (next === undefined) throw new Error("there are too few programs");
    await Bun.spawn([next], { stdio: ["ignore", "ignore", "ignore"] }).exited;
    ran.push(next);
  };
  const missing = (): readonly string[] => {
    const labels = new Set(learnedRows(running).map(({ path }) => basename(path)));
    return ran.filter((path) => !labels.has(basename(path)));
  };
  const isStored = (): boolean => missing().length === 0;
  expect(baseline(running, "learn").code).toBe(0);
  await running.seen(({ "event.name": name }) => name === "baseline.learning");
  for (let killed = 0; killed < REPORTER_KILLS; ) {
    await run();
    await Bun.sleep(Math.random() * 60);
    await run();
    // It may be away still since the last time: then there is nobody to kill.
    await until("the reporter is back", () => kill(running, "reporter"), 5_000);
    killed += 1;
  }
  for (let killed = 0; killed < WARDEN_KILLS; killed += 1) {
    await run();
    // What a warden has not told yet goes with it: that is not acknowledged.
    await until("all is stored", isStored);
    await until("there is a warden", () => kill(running, "warden"), 5_000);
    await until("there is another", () => processesOf(running).some(({ role }) => role === "warden"));
    await until("it is at work", async () => (await running.health().catch(() => undefined))?.status === 200);
    // Its start is a loss, and what is forked shortly before a loss is known is not learned.
    await Bun.sleep(UNCERTAIN_MS);
  }
  await run();
  // It is held back for three seconds, in which a loss may become known, and reported every two seconds.
  await until("the rest is stored", isStored).catch(() => undefined);
  expect(await running.stop()).toBe(0);

  using database = new Database(join(running.folder, "state", JOURNAL_FILE), { readonly: true });
  expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  expect(missing()).toEqual([]);
  // Records are there from each warden's first number on, and no record says that a number was missing: the numbers
  // between them are those of learned trees, which have a table of their own.
  const gaps = database
    .query("SELECT body FROM records WHERE json_extract(body, '$.\"event.name\"') = 'report.gap'")
    .values();
  expect(gaps).toEqual([]);
  const firstNumbers = database.query("SELECT min(n) FROM records GROUP BY run, generation").values().flat();
  expect(firstNumbers).toEqual(Array(WARDEN_KILLS + 1).fill(1));
}

describe.skipIf(reason !== undefined)("what is learned", () => {
  test(`survives ${RUNS * (REPORTER_KILLS + WARDEN_KILLS)} kill -9 at random moments: nothing that was acknowledged is lost`, async () => {
    await Promise.all(Array.from({ length: RUNS }, learnUnderFire));
  }, 180_000);
});
