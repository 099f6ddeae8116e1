// A user whose processes stay within execve(2), so that whoever follows their links in /proc waits for ever, delays and blinds
// nobody: neither the warden at its start and while it runs, by either sensor, nor the standby that takes over, nor trace and
// ps.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { endOf, pidOf, whole } from "./live.ts";
import { isVerdictOn, LockHolders, wardenOf } from "./lock-holders.ts";
import { binary, isAlive, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const users = { mallory: 64_987, alice: 64_986 };
/** More than treewarden lets hang of one user. */
const HOLDERS = 6;

describe.skipIf(reason !== undefined)("processes that stay within execve(2)", () => {
  let holders: LockHolders;
  let policy: string;
  let killing: string;

  beforeAll(() => {
    holders = new LockHolders(users, "exec-lock-holder");
    const held = { "==": [{ var: "process.executable.name" }, "exec-lock-holder"] };
    // So that listeners are looked for among the descriptors of all processes.
    const listens = { "==": [{ var: "network.local.port" }, 1] };
    policy = holders.policy("visitors.json", [
      { id: "holder", when: held, action: "alert" },
      { id: "listener", on: ["listen"], when: listens, action: "alert" },
    ]);
    const mallory = { and: [held, { "==": [{ var: "process.real_user.id" }, users.mallory] }] };
    killing = holders.policy("killing.json", [{ id: "holder", when: mallory, action: "kill" }]);
  });

  afterAll(() => holders[Symbol.dispose]());

  test("do not delay the standby that takes over", async () => {
    await using running = await Running.start(["--policy", policy]);
    await using _ = endOf(running);
    await until("all are there", () => whole(running) !== undefined);
    try {
      for (let i = 0; i < HOLDERS; i += 1) await holders.hold();
      const standby = pidOf(running, "standby");
      process.kill(pidOf(running, "supervisor"), "SIGKILL");
      // It starts another standby.
      await until(
        "the standby has taken over",
        () => (whole(running)?.get("standby") ?? standby) !== standby,
      );
      expect(pidOf(running, "supervisor")).toBe(standby);
      expect(await holders.visit(running)).toBeLessThan(2_000);
    } finally {
      await holders.release();
    }
  }, 60_000);

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
        expect(ms).toBeLessThan(2_000);
        expect(isAlive(warden)).toBe(true);
      } finally {
        process.kill(warden, "SIGCONT");
        await holders.release();
      }
    }, 60_000);

    test("delay nobody when they are to be killed", async () => {
      await using running = await Running.start([
        ...["--source", source, "--policy", killing],
        ...["--enforcement", "kill"],
      ]);
      const warden = wardenOf(running);
      try {
        process.kill(warden, "SIGSTOP");
        await holders.hold();
        process.kill(warden, "SIGCONT");
        expect(await holders.visit(running)).toBeLessThan(2_000);
        await Promise.all(holders.processes.map((each) => each.exited));
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
