import { describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** The forest is saved every five seconds: one of these falls into each verdict's wait. */
const ROUNDS = 6;

describe.skipIf(reason !== undefined)("a disk that does not answer", () => {
  test("keeps no verdict from being told while the forest is saved", async () => {
    const folder = newFolder();
    const program = join(folder, "tw-alerted");
    copyFileSync("/bin/true", program);
    chmodSync(program, 0o755);
    const policy = join(folder, "policy.json");
    const when = { glob: [{ var: "process.executable.path" }, program] };
    writeFileSync(policy, JSON.stringify({ role: "disk", rules: [{ id: "seen", when, action: "alert" }] }));
    await using running = await Running.start(["--policy", policy], {}, folder);
    const saved = join(folder, "state", "forest.json");
    await until("the forest is saved", () => existsSync(saved) && !existsSync(`${saved}.new`));
    // Opening a pipe that nobody reads waits as a write to such a disk does.
    expect(Bun.spawnSync(["mkfifo", `${saved}.new`]).exitCode).toBe(0);
    const before = statSync(saved).mtimeMs;
    const told = (): number =>
      running.records.filter((record) => record["security_rule.name"] === "seen").length;
    for (let round = 1; round <= ROUNDS; round += 1) {
      // With other arguments each time: the same verdict again would be folded.
      Bun.spawnSync([program, String(round)]);
      await until(`verdict ${round} of ${ROUNDS}`, () => told() === round, 2_000);
      await Bun.sleep(1_000);
    }
    expect(statSync(saved).mtimeMs).toBe(before);
    expect(running.records.filter((record) => record["event.name"] === "warden.started").length).toBe(1);
  }, 40_000);
});
