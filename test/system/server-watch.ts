// What treewarden says of the server of server-fixture.ts: its policy, its baseline, its alarms.
import { Database } from "bun:sqlite";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { JOURNAL_FILE } from "../../src/reporter/journal-reader.ts";
import type { Server } from "./server-fixture.ts";
import type { JsonRecord, Running } from "./treewarden.ts";

/** Labels of which at least one is in every tree of the server's. */
export const daemons: readonly string[] = [
  "nginx",
  "fcgiwrap",
  "cron",
  "sshd",
  "atd",
  "apache2",
  "apachectl",
  "postgres",
  "pg_ctl",
];

/** Whether a tree is one of the server's: others run on this host too. */
export function isServers(exact: unknown): boolean {
  return String(exact)
    .split("/")
    .some((label) => daemons.includes(label));
}

/** The roles that such a server has, with an alert on each of the server's trees that the baseline does not know. */
export function robotPolicy(server: Server): string {
  const path = server.path("robot.json");
  const tree = `/**/{${daemons.join(",")}}/**`;
  const others = { except: [{ "!": [{ tree }] }] };
  const policy = {
    role: "robot",
    extends: ["baseline", "web", "bastion"],
    // The server's own; whoever runs these tests by npm is under node from the root on.
    lists: { "app-servers": ["**/php-fpm*", "php-fpm", "java", "gunicorn", "uwsgi", "puma"] },
    rules: [],
    // Others are at work on this host too.
    override: { "unknown-tree": others, "exec-from-writable-place": others },
  };
  writeFileSync(path, JSON.stringify(policy));
  return path;
}

/** A `treewarden baseline` command on a run's state. */
export function baseline(
  running: Running,
  ...args: readonly string[]
): { readonly code: number; readonly lines: readonly JsonRecord[]; readonly errors: string } {
  const state = ["--state-dir", join(running.folder, "state")];
  const { exitCode, stdout, stderr } = Bun.spawnSync([running.binary, "baseline", ...args, ...state]);
  const lines: JsonRecord[] = [];
  for (const line of stdout.toString().split("\n")) if (line !== "") lines.push(JSON.parse(line));
  return { code: exitCode, lines, errors: stderr.toString() };
}

/**
 * Alerts and kills on trees of the server's that ran at `since` or later, in milliseconds since the epoch. Not by the order
 * of the records: an exec like one that was judged before is delivered up to 100 ms late (docs/sensors.md), among those
 * of whatever the test does next.
 */
export function alarms(running: Running, since = 0): JsonRecord[] {
  return running.records.filter(
    (record) =>
      record["event.name"] === "policy.verdict" &&
      isServers(record["tree.exact"]) &&
      Date.parse(String(record.timestamp)) >= since,
  );
}

/** A row of what the reporter has stored of a learning run, as far as tests look at it. */
export interface LearnedRow {
  readonly path: string;
  readonly executables: string;
  readonly contents: string;
}

/** What the reporter has stored of what was learned, up to now. */
export function learnedRows(running: Running): readonly LearnedRow[] {
  using database = new Database(join(running.folder, "state", JOURNAL_FILE), { readonly: true });
  database.run("PRAGMA busy_timeout = 2000");
  return database.query<LearnedRow, []>("SELECT path, executables, contents FROM learned").all();
}

/** What compare does not find in the baseline of the server's. */
export function unknownTrees(running: Running): JsonRecord[] {
  const { lines } = baseline(running, "compare", "--output", "json");
  return lines.filter((line) => isServers(line["tree.exact"]));
}

/** Learns while `life` goes on, and puts what was learned into force. */
export async function learn(running: Running, life: () => Promise<void>): Promise<void> {
  expectFine(baseline(running, "learn"));
  await running.seen(({ "event.name": name }) => name === "baseline.learning");
  await life();
  // What was learned is told every two seconds.
  await Bun.sleep(2_500);
  expectFine(baseline(running, "learn", "--stop"));
  await running.seen(({ "event.name": name }) => name === "baseline.stopped");
  expectFine(baseline(running, "accept", "--anyway"));
  await running.seen(({ "event.name": name }) => name === "baseline.loaded");
}

function expectFine({ code, errors }: { readonly code: number; readonly errors: string }): void {
  if (code !== 0) throw new Error(`ended with ${code}: ${errors}`);
}
