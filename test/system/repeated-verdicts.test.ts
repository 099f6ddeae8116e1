// Repeated alerts of a real run: few records, and every verdict is in their counts.
import { describe, expect, test } from "bun:test";
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { JournalReader } from "../../src/reporter/journal-reader.ts";
import { endOf, pidOf, whole } from "./live.ts";
import { binary, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const SAME = 200;
const DIFFERENT = 20;
const KILLS = 2;

/** A program in the folder, and a policy that alerts each time it runs. */
function alerting(folder: string): { readonly program: string; readonly policy: string } {
  const program = join(folder, "tw-again");
  copyFileSync("/bin/true", program);
  const when = { "==": [{ var: "process.executable.path" }, program] };
  const policy = join(folder, "policy.json");
  writeFileSync(policy, JSON.stringify({ role: "again", rules: [{ id: "seen", when, action: "alert" }] }));
  return { program, policy };
}

describe.skipIf(reason !== undefined)("a program that draws an alert each time it runs", () => {
  test("is reported at once and in full, then by its count, the last of it when treewarden ends", async () => {
    const folder = newFolder();
    const { program, policy } = alerting(folder);
    await using running = await Running.start(["--policy", policy], {}, folder);
    const told = () => running.records.filter((record) => record["security_rule.name"] === "seen");

    for (let i = 0; i < SAME; i += 1) Bun.spawnSync([program, "same"]);
    for (let i = 0; i < DIFFERENT; i += 1) Bun.spawnSync([program, `different ${i}`]);
    const count = async (): Promise<number> =>
      (await running.metrics()).sum("treewarden_verdicts_total", { rule: "seen" });
    await until("all are judged", async () => (await count()) === SAME + DIFFERENT);
    await until("the full verdicts are there", () => told().length >= 8);
    expect(told().map((record) => [record["event.name"], record["policy.count"]])).toEqual(
      new Array(8).fill(["policy.verdict", 1]),
    );

    expect(await running.stop()).toBe(0);
    const repeated = told().slice(8);
    expect(repeated.map((record) => [record["event.name"], record["policy.count"]])).toEqual([
      ["policy.verdict.repeated", SAME - 1],
      ["policy.verdict.repeated", DIFFERENT - 7],
    ]);
    expect(repeated[0]?.["policy.first_uid"]).toBe(told()[0]?.["log.record.uid"]);
    expect(repeated[1]?.["policy.distinct_arguments"]).toBe(1 + DIFFERENT);
    expect(new Set(told().map((record) => record["log.record.uid"])).size).toBe(10);
  }, 30_000);

  test("is counted by a record of its own if the warden was killed before it reported the count", async () => {
    const folder = newFolder();
    const { program, policy } = alerting(folder);
    await using running = await Running.start(["--policy", policy], {}, folder);
    await using _end = endOf(running);
    const verdicts = async (): Promise<number> =>
      (await running.metrics()).sum("treewarden_verdicts_total", { rule: "seen" });
    const records = (): readonly JsonRecord[] => {
      using reader = new JournalReader(join(folder, "state/report/journal.sqlite"));
      return [...reader.rows()]
        .map(({ record }) => record)
        .filter((record) => record["security_rule.name"] === "seen");
    };
    for (let life = 1; life <= KILLS; life += 1) {
      for (let i = 0; i < SAME; i += 1) Bun.spawnSync([program, "same"]);
      await until("all are judged", async () => (await verdicts()) === life * SAME);
      const warden = pidOf(running, "warden");
      process.kill(warden, "SIGKILL");
      await until("another warden watches", async () => {
        const isOther = (whole(running)?.get("warden") ?? warden) !== warden;
        return isOther && (await running.health()).status === 200;
      });
    }
    const unrecorded = records().filter((record) => record["event.name"] === "policy.verdict.unrecorded");
    expect(unrecorded.map((record) => record["policy.count"])).toEqual(new Array(KILLS).fill(SAME - 1));
    expect(records().reduce((sum, record) => sum + Number(record["policy.count"]), 0)).toBe(KILLS * SAME);
    expect(await verdicts()).toBe(KILLS * SAME);
    const verify = Bun.spawnSync([binary, "events", "verify", "--state-dir", join(folder, "state")]);
    expect(verify.stderr.toString() + verify.stdout.toString()).toContain("no problem found");
  }, 60_000);
});
