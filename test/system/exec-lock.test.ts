// A user whose processes stay within execve(2), so that whoever follows their links in /proc waits for ever, delays and blinds
// nobody: neither the warden at its start and while it runs, by either sensor, nor the standby that takes over, nor trace and
// ps.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, endOf, pidOf, pids, stat, whole } from "./live.ts";
import { binary, isAlive, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Users that nothing else on the host has. */
const MALLORY = 64_987;
const ALICE = 64_986;
/** More than treewarden lets hang of one user. */
const HOLDERS = 6;

const as = (user: number) => ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];

describe.skipIf(reason !== undefined)("processes that stay within execve(2)", () => {
  let folder: string;
  let policy: string;
  let killing: string;
  let holder: string;
  let visitor: string;
  const holders: Bun.Subprocess<"ignore", "pipe", "inherit">[] = [];

  beforeAll(() => {
    folder = newFolder();
    holder = compile(folder, "exec-lock-holder");
    visitor = join(folder, "tw-visitor");
    copyFileSync("/bin/sleep", visitor);
    // Many hosts let everybody open /dev/fuse; this one may not.
    expect(Bun.spawnSync(["mknod", "-m", "666", join(folder, "fuse"), "c", "10", "229"]).success).toBe(true);
    policy = join(folder, "visitors.json");
    const visited = { "==": [{ var: "process.executable.name" }, "tw-visitor"] };
    const asked = { and: [visited, { contains: [{ var: "process.command_line" }, "0.0"] }] };
    const held = { "==": [{ var: "process.executable.name" }, "exec-lock-holder"] };
    const rules = [
      { id: "visitor", when: asked, action: "alert" },
      { id: "holder", when: held, action: "alert" },
      // So that listeners are looked for among the descriptors of all processes.
      {
        id: "listener",
        on: ["listen"],
        when: { "==": [{ var: "network.local.port" }, 1] },
        action: "alert",
      },
    ];
    writeFileSync(policy, JSON.stringify({ role: "visitors", rules, default: "allow" }));
    killing = join(folder, "killing.json");
    const mallory = { and: [held, { "==": [{ var: "process.real_user.id" }, MALLORY] }] };
    const killRules = [rules[0], { id: "holder", when: mallory, action: "kill" }];
    writeFileSync(killing, JSON.stringify({ role: "visitors", rules: killRules, default: "allow" }));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function hold(): Promise<number> {
    const mount = join(folder, `mount-${holders.length}`);
    mkdirSync(mount, { recursive: true });
    chmodSync(mount, 0o777);
    const child = Bun.spawn([...as(MALLORY), holder, join(folder, "fuse"), mount], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    holders.push(child);
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("held\n");
    return child.pid;
  }

  async function release(): Promise<void> {
    for (const each of holders) each.kill("SIGKILL");
    await Promise.all(holders.splice(0).map((each) => each.exited));
  }

  const isVerdictOn =
    (pid: number) =>
    (record: JsonRecord): boolean =>
      record["event.name"] === "policy.verdict" && record["process.pid"] === pid;

  /** A program of another user, and how long after its start its verdict came, which needs its arguments; ms. */
  async function visit(running: Running): Promise<number> {
    const start = performance.now();
    const child = Bun.spawn([...as(ALICE), visitor, "0.05"], { stdio: ["ignore", "ignore", "inherit"] });
    const verdict = await running.seen(isVerdictOn(child.pid));
    expect(verdict["process.command_args"]).toEqual([visitor, "0.05"]);
    await child.exited;
    return performance.now() - start;
  }

  function wardenOf(running: Running): number {
    const isWarden = (pid: number): boolean =>
      Number(stat(pid)[1]) === running.pid && readFileSync(`/proc/${pid}/comm`, "latin1") === "tw-warden\n";
    return pids().find(isWarden) ?? 0;
  }

  test("do not delay the standby that takes over", async () => {
    await using running = await Running.start(["--policy", policy]);
    await using _ = endOf(running);
    await until("all are there", () => whole(running) !== undefined);
    try {
      for (let i = 0; i < HOLDERS; i += 1) await hold();
      const standby = pidOf(running, "standby");
      process.kill(pidOf(running, "supervisor"), "SIGKILL");
      // It starts another standby.
      await until(
        "the standby has taken over",
        () => (whole(running)?.get("standby") ?? standby) !== standby,
      );
      expect(pidOf(running, "supervisor")).toBe(standby);
      expect(await visit(running)).toBeLessThan(2_000);
    } finally {
      await release();
    }
  }, 60_000);

  describe.each(["ebpf", "netlink"])("by %s", (source) => {
    test("delay neither the start, nor the verdict on another user's program", async () => {
      try {
        for (let i = 0; i < HOLDERS; i += 1) await hold();
        const begin = performance.now();
        await using running = await Running.start(["--source", source, "--policy", policy]);
        const startMs = performance.now() - begin;
        const visitMs = await visit(running);
        const unreadable = await running.seen(
          (record) => record["event.name"] === "process.unreadable" && "process.pid" in record,
        );
        expect(unreadable["process.real_user.id"]).toBe(MALLORY);
        console.log(
          `${source}: started in ${startMs.toFixed()} ms, another verdict in ${visitMs.toFixed()} ms`,
        );
        expect(startMs).toBeLessThan(5_000);
        expect(visitMs).toBeLessThan(2_000);
      } finally {
        await release();
      }
    }, 60_000);

    test("delay nobody when the lock is held before the warden comes to read", async () => {
      await using running = await Running.start(["--source", source, "--policy", policy]);
      const warden = wardenOf(running);
      try {
        // What a flood of other programs does to it, exactly.
        process.kill(warden, "SIGSTOP");
        const held = [await hold(), await hold(), await hold()];
        process.kill(warden, "SIGCONT");
        const ms = await visit(running);
        await running.seen((record) => held.some((pid) => isVerdictOn(pid)(record)));
        expect(ms).toBeLessThan(2_000);
        expect(isAlive(warden)).toBe(true);
      } finally {
        process.kill(warden, "SIGCONT");
        await release();
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
        await hold();
        process.kill(warden, "SIGCONT");
        expect(await visit(running)).toBeLessThan(2_000);
        await Promise.all(holders.map((each) => each.exited));
        expect(isAlive(warden)).toBe(true);
      } finally {
        process.kill(warden, "SIGCONT");
        await release();
      }
    }, 60_000);

    test("are shown by trace, and by ps", async () => {
      try {
        const held = await hold();
        const trace = Bun.spawn([binary, "trace", "--source", source, "--output", "json"], {
          stdout: "pipe",
          stderr: "inherit",
        });
        const traced = new Response(trace.stdout).text();
        await Bun.sleep(1_000);
        const child = Bun.spawn([...as(ALICE), visitor, "0.1"], { stdio: ["ignore", "ignore", "inherit"] });
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
        await release();
      }
    }, 60_000);
  });
});
