// The reporter is taken over while the warden learns. Root accepts what the warden has learned, and not one tree more.
import { describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { binary, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** A copy of a genuine row under another name, as the attacker can make it: everything but the warden's key is there. */
const FORGERY = `
  const { Database } = require("bun:sqlite");
  const database = new Database(process.argv[1]);
  const row = database.query("SELECT * FROM learned LIMIT 1").get();
  const forged = { ...row, id: "e".repeat(32), exact: "/nginx/evil-implant", tree: "/nginx/evil-implant" };
  const names = Object.keys(forged);
  database
    .query("INSERT INTO learned (" + names.join(",") + ") VALUES (" + names.map(() => "?").join(",") + ")")
    .run(...Object.values(forged));
`;

describe.skipIf(reason !== undefined)("a taken-over reporter", () => {
  test("teaches nothing: accept refuses its row, and names the number of such rows", async () => {
    await using running = await Running.start(["--learn"]);
    await running.seen((record) => record["event.name"] === "baseline.learning");
    const state = join(running.folder, "state");
    const baseline = (...words: readonly string[]) => {
      const run = Bun.spawnSync([binary, "baseline", ...words, "--state-dir", state]);
      return { exitCode: run.exitCode, stdout: run.stdout.toString(), stderr: run.stderr.toString() };
    };
    copyFileSync("/bin/true", join(running.folder, "tw-learned"));
    Bun.spawnSync([join(running.folder, "tw-learned")]);
    await running.seen((record) => String(record["tree.exact"]).endsWith("/tw-learned"));
    expect(baseline("learn", "--stop").exitCode).toBe(0);
    await until("the learning has stopped", () => baseline("learn", "--show").stdout.includes("stopped"));
    // What was learned until the end is on its way through the reporter; accept waits for it.
    expect(baseline("accept")).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining("are in force"),
    });
    const inForce = join(state, "baseline/in-force");
    const accepted = readFileSync(inForce, "utf8");
    expect(accepted).toContain("/tw-learned\t");

    const journal = join(state, "report/journal.sqlite");
    const { uid, gid } = statSync(journal);
    expect(uid).not.toBe(0);
    const forge = Bun.spawnSync(["/proc/self/exe", "-e", FORGERY, journal], { uid, gid, cwd: "/" });
    expect(forge.stderr.toString()).toBe("");
    expect(baseline("accept")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("not accepted: 1 row of the journal without the warden's seal"),
    });
    expect(readFileSync(inForce, "utf8")).toBe(accepted);
    expect(baseline("compare")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("1 row of the journal without the warden's seal, and left out"),
    });
    // The key with which it could have made the row is out of its reach.
    const key = join(state, "baseline/learning.key");
    expect(existsSync(key)).toBe(true);
    expect(Bun.spawnSync(["cat", key], { uid, gid }).exitCode).toBe(1);
    await until("the warden goes on", async () => (await running.health()).status === 200);
  }, 40_000);
});
