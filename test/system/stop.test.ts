// The action `stop` on the real kernel: a tree stands still, whoever continues it and whatever becomes of the warden, until
// root releases or kills it. Only programs of a user that nobody else has are ever stopped.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pidOf, stat } from "./live.ts";
import { isAlive, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_104;

describe.skipIf(reason !== undefined)("a tree that a rule stops", () => {
  const folder = newFolder();
  const state = join(folder, "state");
  const config = join(folder, "config.yaml");
  const started: Bun.Subprocess[] = [];
  let treewarden: Running;

  const run = (): Promise<Running> => {
    const flags = ["--config", config, "--policy", join(folder, "policy.json"), "--enforcement", "kill"];
    return Running.start(flags, {}, folder);
  };

  beforeAll(async () => {
    const rule = {
      id: "halt",
      when: {
        and: [
          { "==": [{ var: "process.user.id" }, MALLORY] },
          { contains: [{ var: "process.command_line" }, "tw-halt"] },
        ],
      },
      action: "stop",
    };
    writeFileSync(
      join(folder, "policy.json"),
      JSON.stringify({ role: "halts", rules: [rule], default: "allow" }),
    );
    writeFileSync(config, "armed: all\narmed_since_hours: 0\n");
    treewarden = await run();
  });
  afterAll(async () => {
    for (const child of started) child.kill("SIGKILL");
    await treewarden[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A shell that is stopped at its exec, or as soon as its verdict is there. It would count up in a file. */
  const victim = async (): Promise<number> => {
    const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
    const child = Bun.spawn([...user, "bash", "-c", ": tw-halt; while :; do /bin/true; done"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    started.push(child);
    const verdict = await treewarden.seen(
      (record) => record["process.pid"] === child.pid && record["event.name"] === "policy.verdict",
    );
    expect(verdict["policy.outcome"]).toBe("stopped");
    await until("it stands still", () => stat(child.pid)[0] === "T");
    return child.pid;
  };

  const cli = (...args: string[]) => {
    const child = Bun.spawnSync([treewarden.binary, ...args, "--config", config, "--state-dir", state]);
    return { code: child.exitCode, text: child.stdout.toString() + child.stderr.toString() };
  };

  test("stands still although its user continues it, which is recorded, and `status` names it", async () => {
    const pid = await victim();
    for (let i = 0; i < 5; i += 1) {
      Bun.spawnSync([
        "setpriv",
        `--reuid=${MALLORY}`,
        `--regid=${MALLORY}`,
        "--clear-groups",
        "kill",
        "-CONT",
        String(pid),
      ]);
      await Bun.sleep(10);
    }
    const record = await treewarden.seen((each) => each["event.name"] === "stop.continued");
    expect([record["process.pid"], record["stop.rule"]]).toEqual([pid, "halts/halt"]);
    await until("it stands still again", () => stat(pid)[0] === "T");
    const used = stat(pid)[11];
    await Bun.sleep(300);
    expect([stat(pid)[0], stat(pid)[11]]).toEqual(["T", used]);
    // The shell may have a child by then.
    expect(cli("status").text).toMatch(new RegExp(`${pid}: (1 process|2 processes) by halts/halt`));
    expect((await treewarden.metrics()).value("treewarden_stopped_trees")).toBeGreaterThan(0);
    expect(cli("kill", String(pid)).code).toBe(0);
    await until("it is gone", () => stat(pid)[0] === undefined || stat(pid)[0] === "Z" || !isAlive(pid));
  }, 30_000);

  test("goes on when root releases it, and is not stopped again", async () => {
    const pid = await victim();
    // The shell may have a child by then.
    const released = cli("release", String(pid));
    expect(released.text).toMatch(/^treewarden: released (1 process|2 processes)\n$/);
    expect(released.code).toBe(0);
    await until("it runs", () => Number(stat(pid)[11]) + Number(stat(pid)[12]) + Number(stat(pid)[13]) > 5);
    expect(cli("release", String(pid)).code).toBe(1);
    process.kill(pid, "SIGKILL");
  }, 30_000);

  /** The shell, and perhaps the program that it was running. */
  const isListed = (pid: number): boolean => new RegExp(`${pid}: [12] process`).test(cli("status").text);

  test("stays stopped and watched when the warden is killed, and when treewarden is stopped and started", async () => {
    const pid = await victim();
    const saved = (): boolean => readFileSync(join(state, "stopped.json"), "utf8").includes(`"pid":${pid}`);
    await until("it is saved", saved);
    process.kill(pidOf(treewarden, "warden"), "SIGKILL");
    await until("another warden knows of it", () => isListed(pid), 20_000);
    expect(stat(pid)[0]).toBe("T");
    await treewarden.stop();
    expect(stat(pid)[0]).toBe("T");
    treewarden = await run();
    await until("the next run knows of it", () => isListed(pid), 20_000);
    // Where the kernel refuses it, that is an attempt all the same.
    Bun.spawnSync(["kill", "-CONT", String(pid)], { stderr: "ignore" });
    await treewarden.seen((each) => each["event.name"] === "stop.continued" && each["process.pid"] === pid);
    expect(cli("kill", String(pid)).code).toBe(0);
    await until("it is gone", () => stat(pid)[0] === undefined || stat(pid)[0] === "Z");
  }, 60_000);

  test("is not what is not stopped: `release` and `kill` refuse any other process", () => {
    for (const command of ["release", "kill"]) {
      expect(cli(command, String(process.pid)).code).toBe(1);
      expect(cli(command, "x").code).toBe(2);
    }
    expect(isAlive(process.pid)).toBe(true);
  });
});
