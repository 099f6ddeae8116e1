// A real journal of several wardens, and what somebody with the rights of the reporter's user does to its file.
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pidOf } from "./live.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
/** The state directory after the run. Each attack works on a copy. */
let state = "";
let metric = 0;
beforeAll(async () => {
  if (reason !== undefined) return;
  folder = newFolder();
  state = join(folder, "state");
  const probe = join(folder, "tw-probe");
  copyFileSync("/bin/true", probe);
  const policy = join(folder, "policy.json");
  const when = { "==": [{ var: "process.executable.path" }, probe] };
  // A rule that names arguments has a verdict for each different one.
  const rules = [
    {
      id: "probe",
      when: { and: [when, { "!=": [{ var: "process.command_line" }, "-"] }] },
      action: "alert",
      severity: "high",
    },
  ];
  writeFileSync(policy, JSON.stringify({ role: "chain", rules }));
  const live = join(folder, "run", "state");
  for (const round of [1, 2]) {
    // The end of a run removes its folder.
    if (round === 2) copy(state, live);
    await using running = await Running.start(["--policy", policy], {}, join(folder, "run"));
    const alerted = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += 1) Bun.spawnSync([probe, `--password=secret${i}`, `${round}`]);
      await until("the verdicts are in the journal", () => verdicts(live) === (round - 1) * 40 + to);
    };
    await alerted(0, 20);
    process.kill(pidOf(running, "warden"), "SIGKILL");
    const started = (): number =>
      running.records.filter((record) => record["event.name"] === "warden.started").length;
    await until("the warden is back", () => started() === 2);
    await alerted(20, 40);
    metric = (await running.metrics()).value("treewarden_journal_head") ?? 0;
    await running.stop();
    copy(live, state);
    if (round === 1) copy(state, join(folder, "before"));
  }
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Replaces `to` by a copy with the same owners. */
function copy(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  const script = 'mkdir -p "$(dirname "$2")" && cp -a "$1" "$2"';
  expect(Bun.spawnSync(["sh", "-c", script, "sh", from, to]).exitCode).toBe(0);
}

function journal(directory: string): Database {
  return new Database(join(directory, "report/journal.sqlite"));
}

/** How many verdicts the journal has. The command reads it as its owner: a file that root makes beside it locks that one out. */
function verdicts(directory: string): number {
  const run = Bun.spawnSync([binary, "events", "--rule", "probe", "--state-dir", directory]);
  return run.stdout.toString().split("\n").length - 1;
}

function verify(directory: string, ...words: readonly string[]) {
  const run = Bun.spawnSync([binary, "events", "verify", "--state-dir", directory, ...words], {
    timeout: 20_000,
  });
  return { exitCode: run.exitCode, text: run.stdout.toString() + run.stderr.toString() };
}

/** What `events verify` says of a copy of the journal on which `attack` was carried out. */
function attacked(attack: (database: Database, directory: string) => void) {
  const attackedState = join(folder, "attacked");
  copy(state, attackedState);
  const database = journal(attackedState);
  attack(database, attackedState);
  database.close();
  return verify(attackedState);
}

/** The id of the row of a verdict in the middle. */
function middle(database: Database): number {
  const ids = database
    .query<{ id: number }, []>("SELECT id FROM records WHERE body LIKE '%tw-probe%' ORDER BY id")
    .all();
  return ids[Math.floor(ids.length / 2)]?.id ?? 0;
}

describe.skipIf(reason !== undefined)("events verify", () => {
  test("finds a journal of two runs and four wardens whole, its arguments redacted", () => {
    const { exitCode, text } = verify(state);
    expect([exitCode, text]).toEqual([0, expect.stringContaining("no problem found")]);
    expect(text).toMatch(/^\d+ records are as the warden made them, \d\d of them but for their redacted/m);
    const seal = metric.toString(16).padStart(12, "0");
    expect(verify(state, "--expect", seal)).toMatchObject({ exitCode: 0 });
    expect(verify(state, "--expect", "0123456789ab")).toMatchObject({ exitCode: 1 });
  });

  test("finds a flipped bit", () => {
    const { exitCode, text } = attacked((database) => {
      const id = middle(database);
      database.run("UPDATE records SET body = replace(body, 'tw-probe', 'tw-probd') WHERE id = ?", [id]);
    });
    expect(exitCode).toBe(1);
    expect(text).toMatch(/^changed .*: not as the warden made it$/m);
  });

  test("finds that the newest records were cut off", () => {
    const { exitCode, text } = attacked((database) =>
      database.run("DELETE FROM records WHERE id > (SELECT max(id) - 3 FROM records)"),
    );
    expect([exitCode, text]).toEqual([1, expect.stringMatching(/^missing {3}3 records after /m)]);
  });

  test("finds that records in the middle were removed", () => {
    const { exitCode, text } = attacked((database) =>
      database.run("DELETE FROM records WHERE id = ?", [middle(database)]),
    );
    expect([exitCode, text]).toEqual([
      1,
      expect.stringMatching(/^missing {3}1 record after .* and before /m),
    ]);
  });

  test("finds two records exchanged", () => {
    const { exitCode, text } = attacked((database) => {
      const id = middle(database);
      const rows = database
        .query<{ body: string }, [number, number]>("SELECT body FROM records WHERE id IN (?, ?) ORDER BY id")
        .all(id, id + 1);
      for (const [i, row] of rows.entries())
        database.run("UPDATE records SET body = ? WHERE id = ?", [row.body, id + 1 - i]);
    });
    expect([exitCode, text]).toEqual([1, expect.stringMatching(/^(moved|changed) /m)]);
  });

  test("finds a record of the first warden at the end", () => {
    const { exitCode, text } = attacked((database) => {
      const columns = "run, generation, n + 1000000, time, body, kept";
      const sql = `INSERT INTO records (run, generation, n, time, body, kept) SELECT ${columns} FROM records WHERE id = ?`;
      database.run(sql, [middle(database)]);
    });
    expect([exitCode, text]).toEqual([1, expect.stringMatching(/^(changed|moved) /m)]);
  });

  test("finds a forged record", () => {
    const { exitCode, text } = attacked((database) => {
      const columns = "run, generation, n + 1000000, time, json_set(body, '$.\"process.pid\"', 1), kept";
      const sql = `INSERT INTO records (run, generation, n, time, body, kept) SELECT ${columns} FROM records WHERE id = ?`;
      database.run(sql, [middle(database)]);
    });
    expect([exitCode, text]).toEqual([1, expect.stringMatching(/^changed /m)]);
  });

  test("finds what hides a record from the other commands, or shows them another one", () => {
    for (const [attack, finding] of [
      ["UPDATE records SET id = -id WHERE id > 5", /^changed {3}\d+ records: not as the warden made/m],
      ["UPDATE records SET time = 0", /^changed /m],
      [
        "UPDATE records SET body = replace(body, '\"policy.severity\":', '\"policy.severity\": ')",
        /^changed /m,
      ],
      ["CREATE INDEX v ON records (id, run, generation, body)", /^foreign {3}index v: /m],
    ] as const) {
      const { exitCode, text } = attacked((database) => database.run(attack));
      expect([attack, exitCode, text]).toEqual([attack, 1, expect.stringMatching(finding)]);
    }
  });

  test("finds that an older copy of the journal was put back", () => {
    const { exitCode, text } = attacked((_database, directory) =>
      copy(join(folder, "before", "report"), join(directory, "report")),
    );
    expect([exitCode, text]).toEqual([1, expect.stringMatching(/^missing /m)]);
  });

  test("finds the file replaced by an empty one, or gone", () => {
    const emptied = attacked((database) => database.run("DELETE FROM records"));
    expect([emptied.exitCode, emptied.text]).toEqual([1, expect.stringMatching(/^missing /m)]);
    const gone = attacked((_database, directory) => rmSync(join(directory, "report"), { recursive: true }));
    expect([gone.exitCode, gone.text]).toEqual([1, expect.stringMatching(/^missing /m)]);
  });
});
