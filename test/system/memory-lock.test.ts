// A user who holds the lock on the memory of his processes, so that whoever reads their arguments waits for ever, delays
// and blinds nobody: neither the warden at its start and while it runs, by either sensor, nor trace and ps.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isVerdictOn, LockHolders, wardenOf } from "./lock-holders.ts";
import { binary, isAlive, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const users = { mallory: 64_989, alice: 64_988 };
/** More than treewarden lets hang of one user. */
const HOLDERS = 6;

describe.skipIf(reason !== undefined)("processes whose arguments cannot be read", () => {
  let holders: LockHolders;
  let policy: string;

  beforeAll(() => {
    holders = new LockHolders(users, "memory-lock-holder", "-pthread");
    const held = { "==": [{ var: "process.executable.name" }, "memory-lock-holder"] };
    policy = holders.policy("visitors.json", [{ id: "holder", when: held, action: "alert" }]);
  });

  afterAll(() => holders[Symbol.dispose]());

  /** How many processes the warden has under the holder's name. */
  async function runningHolders(running: Running): Promise<number> {
    const { text } = await running.metrics();
    const series = text.matchAll(/^process\{tree="[^"]*\/memory-lock-holder",state="RUNNING"\} (\d+)/gm);
    return [...series].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  describe.each(["ebpf", "netlink"])("by %s", (source) => {
    test("delay neither the start, nor the verdict on another user's program", async () => {
      try {
        for (let i = 0; i < HOLDERS; i += 1) await holders.hold();
        const begin = performance.now();
        await using running = await Running.start(["--source", source, "--policy", policy]);
        const startMs = performance.now() - begin;
        const visitMs = await holders.visit(running);
        const unreadable = await running.seen(
          (record) => record["event.name"] === "process.unreadable" && "process.pid" in record,
        );
        expect(unreadable["process.real_user.id"]).toBe(users.mallory);
        expect(await runningHolders(running)).toBeGreaterThanOrEqual(HOLDERS);
        console.log(
          `${source}: started in ${startMs.toFixed()} ms, another verdict in ${visitMs.toFixed()} ms`,
        );
        expect(startMs).toBeLessThan(5_000);
        expect(visitMs).toBeLessThan(2_000);
      } finally {
        await holders.release();
      }
    }, 60_000);

    test("delay nobody when the lock is held before the warden comes to read", async () => {
      await using running = await Running.start(["--source", source, "--policy", policy]);
      const warden = wardenOf(running);
      try {
        // What a flood of other programs does to it, exactly.
        process.kill(warden, "SIGSTOP");
        const held = [await holders.hold(), await holders.hold(), await holders.hold()];
        process.kill(warden, "SIGCONT");
        const ms = await holders.visit(running);
        await running.seen((record) => held.some((pid) => isVerdictOn(pid)(record)));
        expect(await runningHolders(running)).toBeGreaterThanOrEqual(held.length);
        expect(ms).toBeLessThan(2_000);
        expect(isAlive(warden)).toBe(true);
      } finally {
        process.kill(warden, "SIGCONT");
        await holders.release();
      }
    }, 60_000);

    test("are shown by trace, and by ps", async () => {
      try {
        const held = await holders.hold();
        const trace = Bun.spawn([binary, "trace", "--source", source, "--output", "json"], {
          stdout: "pipe",
          stderr: "inherit",
        });
        const traced = new Response(trace.stdout).text();
        await Bun.sleep(1_000);
        const child = holders.startVisitor("0.1");
        await child.exited;
        await Bun.sleep(300);
        trace.kill();
        await until("trace ends", () => trace.exitCode !== null, 3_000);
        expect(await traced).toContain(`"process.pid":${child.pid}`);
        const begin = performance.now();
        const ps = Bun.spawnSync([binary, "ps", "--output", "json"], { timeout: 10_000 });
        expect(ps.success).toBe(true);
        expect(performance.now() - begin).toBeLessThan(5_000);
        const shown = ps.stdout.toString().split("\n");
        expect(shown.filter((line) => line.includes(`"process.pid":${held},`))).toHaveLength(1);
      } finally {
        await holders.release();
      }
    }, 60_000);
  });
});
