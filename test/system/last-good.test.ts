// Reload on a real kernel: what it changes, what it refuses, and what a service begins with when its files are broken.
// Every rule names a program of this test alone, and a user that nobody else has.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_133;
let folder = "";
let program = "";
let config = "";

beforeAll(() => {
  folder = newFolder();
  program = join(folder, "tw-victim");
  config = join(folder, "config.yaml");
  copyFileSync("/bin/sleep", program);
  chmodSync(program, 0o755);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function configured(settings: string): void {
  writeFileSync(
    config,
    `policies: [${join(folder, "role.json")}]\nkill: { max_per_minute: 1000 }\narmed_since_hours: 0\n${settings}\n`,
  );
}

function policy(...ids: readonly string[]): void {
  const when = {
    and: [
      { "==": [{ var: "process.user.id" }, MALLORY] },
      { "==": [{ var: "process.executable.path" }, program] },
    ],
  };
  const rules = ids.map((id) => ({ id, when, action: "kill" }));
  writeFileSync(join(folder, "role.json"), JSON.stringify({ role: "role", rules, default: "allow" }));
}

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function command(running: Running, ...words: readonly string[]): Answer {
  const flags = ["--config", config, "--state-dir", join(running.folder, "state")];
  const { exitCode, stdout, stderr } = Bun.spawnSync([binary, ...words, ...flags]);
  return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

async function isKilled(): Promise<boolean> {
  const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
  const child = Bun.spawn([...user, program, "20"], { stdio: ["ignore", "ignore", "ignore"] });
  try {
    await Promise.race([child.exited, Bun.sleep(500)]);
    return child.signalCode === "SIGKILL";
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

function wardenOf(running: Running): number {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const [, role, run] = readFileSync(`/proc/${name}/cmdline`, "latin1").split("\0");
      if (role === "warden" && run === running.runId) return Number(name);
    } catch {
      // It has ended.
    }
  }
  return 0;
}

async function readyz(running: Running): Promise<number> {
  return (await fetch(`http://127.0.0.1:${running.port}/readyz`)).status;
}

const RELOADED = "treewarden_config_last_reload_successful";

describe.skipIf(reason !== undefined)("treewarden reload", () => {
  test("weakens at once, strengthens with a new warden, and says what changed", async () => {
    configured("enforcement: kill\narmed: [role/a]");
    policy("a");
    await using running = await Running.start(["--config", config]);
    expect(await isKilled()).toBe(true);
    expect(command(running, "reload")).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("nothing has changed"),
    });

    configured("enforcement: observe");
    const weaker = command(running, "reload");
    expect([weaker.code, weaker.stderr]).toEqual([
      0,
      expect.stringContaining("enforcement: kill -> observe"),
    ]);
    expect(weaker.stderr).toContain("may not kill any more: role/a");
    expect(await isKilled()).toBe(false);
    expect((await running.metrics()).value("treewarden_info", { enforcement: "observe" })).toBe(1);
    // It goes on with what is in force, not with what it began with.
    const before = wardenOf(running);
    process.kill(before, "SIGKILL");
    await until("another warden", () => ![0, before].includes(wardenOf(running)));
    await Bun.sleep(500);
    expect(await isKilled()).toBe(false);

    configured("enforcement: kill\narmed: [role/*]\nmetrics: { trees: off }");
    policy("a", "b");
    const observing = wardenOf(running);
    const stronger = command(running, "reload");
    expect([stronger.code, stronger.stderr]).toEqual([0, expect.stringContaining("may kill now: role/b")]);
    expect(wardenOf(running)).not.toBe(observing);
    expect(await isKilled()).toBe(true);
    expect(readFileSync(`/proc/${wardenOf(running)}/status`, "latin1")).toMatch(/^CapEff:\t0*[1-9a-f]/m);
  }, 60_000);

  test("refuses broken files with exit code 2; what was in force stays, and everything says so", async () => {
    configured("enforcement: kill\narmed: [role/a]");
    policy("a");
    await using running = await Running.start(["--config", config]);
    expect(await readyz(running)).toBe(200);

    configured("enforcement: observe\narmed: [role/nobody]");
    const unarmed = command(running, "reload");
    expect([unarmed.code, unarmed.stderr]).toEqual([
      2,
      expect.stringContaining("no rule matches role/nobody"),
    ]);
    expect(await isKilled()).toBe(true);

    configured("enforcment: observe");
    const misspelt = command(running, "reload");
    expect([misspelt.code, misspelt.stderr]).toEqual([
      2,
      expect.stringContaining("did you mean enforcement?"),
    ]);
    expect(misspelt.stderr).toContain("what was in force stays in force");
    expect(await isKilled()).toBe(true);
    await running.seen((record) => record["event.name"] === "configuration.rejected");
    expect(await readyz(running)).toBe(503);
    expect((await running.health()).status).toBe(200);
    expect((await running.metrics()).value(RELOADED)).toBe(0);
    const state = join(running.folder, "state");
    const status = Bun.spawnSync([binary, "status", "--state-dir", state]);
    expect([status.exitCode, status.stdout.toString()]).toEqual([
      1,
      expect.stringContaining("did you mean enforcement?"),
    ]);
    // What takes power away, and what shows what happened, works by what was last in force.
    const events = command(running, "events", "--rule", "role/a");
    expect([events.code, events.stdout]).toEqual([0, expect.stringContaining("KILLED role/a")]);
    const paused = command(running, "pause", "--for", "1m", "--reason", "the shop is down");
    expect([paused.code, paused.stderr]).toEqual([0, expect.stringContaining("enforcement is paused until")]);
    expect(await isKilled()).toBe(false);
    expect(command(running, "resume").code).toBe(0);
    expect(await isKilled()).toBe(true);
    expect(command(running, "disarm", "role/nobody").stderr).toContain("there is no rule role/nobody");
    expect(command(running, "arm", "role/a").code).toBe(2);

    configured("enforcement: kill\narmed: [role/a]");
    writeFileSync(join(folder, "role.json"), "{ broken");
    const broken = command(running, "reload");
    expect([broken.code, broken.stderr]).toEqual([2, expect.stringContaining("role.json:1:")]);
    policy("a");
    expect(command(running, "reload").code).toBe(0);
    expect(await readyz(running)).toBe(200);
    expect((await running.metrics()).value(RELOADED)).toBe(1);
  }, 60_000);
});

describe.skipIf(reason !== undefined)("a service whose files are broken", () => {
  test.each([
    ["configuration", () => configured("enforcment: kill")],
    ["policy", () => writeFileSync(join(folder, "role.json"), "{ broken")],
    ["policy that is gone", () => rmSync(join(folder, "role.json"))],
  ])(
    "begins with what was last in force: a broken %s",
    async (_, breakIt) => {
      configured("enforcement: kill\narmed: [role/a]");
      policy("a");
      const first = await Running.start(["--config", config]);
      await first.stop();
      breakIt();
      await using running = await Running.start(["--config", config], {}, first.folder);
      expect(running.stderr).toContain(
        "begins with the configuration and the policies that were last in force",
      );
      expect(await isKilled()).toBe(true);
      expect(await readyz(running)).toBe(503);
      expect((await running.metrics()).value(RELOADED)).toBe(0);
      // The same after a restart of the warden.
      const before = wardenOf(running);
      process.kill(before, "SIGKILL");
      await until("another warden", () => ![0, before].includes(wardenOf(running)));
      await Bun.sleep(500);
      expect(await isKilled()).toBe(true);
      expect(await readyz(running)).toBe(503);

      configured("enforcement: kill\narmed: [role/a]");
      policy("a");
      expect(command(running, "reload").code).toBe(0);
      expect(await readyz(running)).toBe(200);
    },
    60_000,
  );

  test("ends with 2 if nothing was ever in force, and run --check in any case", () => {
    configured("enforcment: kill");
    policy("a");
    const state = join(folder, "fresh");
    const run = (...flags: string[]) =>
      Bun.spawnSync([binary, "run", "--config", config, "--state-dir", state, ...flags]);
    expect(run().exitCode).toBe(2);
    expect(run("--check").exitCode).toBe(2);
    configured("enforcement: kill\narmed: [role/a]");
    const fine = run("--check");
    expect([fine.exitCode, fine.stderr.toString()]).toEqual([0, expect.stringContaining("may kill: role/a")]);
  });
});
