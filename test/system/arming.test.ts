// Rules that the configuration newly arms, the advice of arm, an upgrade and a suspended machine, on a real kernel. Every
// rule names a program of this test alone, and a user that nobody else has.
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_141;
let folder = "";
let config = "";

beforeAll(() => {
  folder = newFolder();
  config = join(folder, "config.yaml");
  mkdirSync(join(folder, "programs"));
  copyFileSync("/bin/sleep", join(folder, "programs/tw-a"));
  chmodSync(join(folder, "programs/tw-a"), 0o755);
  linkSync(join(folder, "programs/tw-a"), join(folder, "programs/tw-b"));
  const rules = ["a", "b"].map((id) => ({
    id,
    when: {
      and: [
        { "==": [{ var: "process.user.id" }, MALLORY] },
        { "==": [{ var: "process.executable.path" }, join(folder, `programs/tw-${id}`)] },
      ],
    },
    action: "kill",
  }));
  writeFileSync(join(folder, "role.json"), JSON.stringify({ role: "role", rules, default: "allow" }));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function configured(settings: string): void {
  const policies = `policies: [${join(folder, "role.json")}]`;
  writeFileSync(config, `${policies}\nenforcement: kill\nkill: { max_per_minute: 1000 }\n${settings}\n`);
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

async function isKilled(id: string): Promise<boolean> {
  const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
  const program = join(folder, `programs/tw-${id}`);
  const child = Bun.spawn([...user, program, "20"], { stdio: ["ignore", "ignore", "ignore"] });
  try {
    await Promise.race([child.exited, Bun.sleep(500)]);
    return child.signalCode === "SIGKILL";
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

/** Which of the two rules kill. */
async function killing(): Promise<string> {
  const [a, b] = await Promise.all([isKilled("a"), isKilled("b")]);
  return `${a ? "a" : ""}${b ? "b" : ""}`;
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

async function killWarden(running: Running): Promise<void> {
  const before = wardenOf(running);
  const started = () => running.records.filter((record) => record["event.name"] === "warden.started").length;
  const count = started();
  process.kill(before, "SIGKILL");
  await until("another warden", () => started() > count);
}

test.skipIf(reason !== undefined)(
  "a rule that the configuration newly arms kills nothing before it is confirmed, and then whatever is restarted",
  async () => {
    configured("armed: []");
    const first = await Running.start(["--config", config]);
    let current = first;
    try {
      // Only what the first start on a host arms needs no confirmation.
      await current.stop();
      configured("armed: [role/a]");
      current = await Running.start(["--config", config], {}, first.folder);
      expect(current.stderr).toContain("0 of 2 rules that kill are armed");
      expect(current.stderr).toContain(
        "waits to be confirmed: role/a (observed as it is now for 0.0 of 168 hours",
      );
      await current.seen((record) => record["event.name"] === "rule.held");
      expect(await killing()).toBe("");
      await killWarden(current);
      expect(command(current, "reload").stderr).toContain("waits to be confirmed: role/a");
      expect(await killing()).toBe("");
      const status = command(current, "status");
      // The warden that was killed took the seconds and hits of the last minute with it.
      expect(status.stdout).toMatch(/waits to be confirmed: role\/a \(.* with 1 hit\)/);

      const advised = command(current, "arm", "role/a");
      expect(advised.code).toBe(1);
      expect(advised.stdout).toMatch(/kill +\S+ +role\/a +2 /);
      expect(advised.stderr).toContain("role/a: it would hit what this host is known to run");
      expect(advised.stderr).toContain("role/a: it must be observed for 168 hours");
      expect(advised.stderr).toContain("with --anyway it is armed all the same");
      expect(await killing()).toBe("");

      expect(command(current, "arm", "--confirm", "role/b").code).toBe(1);
      const confirmed = command(current, "arm", "--confirm", "--reason", "CHG-1");
      expect([confirmed.code, confirmed.stderr]).toEqual([0, expect.stringContaining("role/a is confirmed")]);
      expect(await killing()).toBe("a");
      const record = await current.seen(({ "event.name": name }) => name === "rule.confirmed");
      expect(record).toMatchObject({ "override.rule": "role/a", "override.reason": "CHG-1" });
      await killWarden(current);
      expect(await killing()).toBe("a");

      configured("armed: [role/a, role/b]");
      expect(command(current, "reload").stderr).toContain("waits to be confirmed: role/b");
      expect(await killing()).toBe("a");
      await current.stop();
      current = await Running.start(["--config", config], {}, first.folder);
      expect(current.stderr).toContain("may kill: role/a");
      expect(current.stderr).toContain("waits to be confirmed: role/b");
      expect(await killing()).toBe("a");

      expect(command(current, "arm", "role/b", "--anyway").code).toBe(0);
      expect(await killing()).toBe("ab");
      expect(command(current, "arm", "role/b", "--end").code).toBe(0);
      expect(await killing()).toBe("a");
      expect(command(current, "arm", "role/b", "--end").code).toBe(1);

      expect(command(current, "disarm", "role/b").code).toBe(0);
      configured("armed: [role/a]");
      expect(command(current, "reload").code).toBe(0);
      configured("armed: [role/a, role/b]\narmed_since_hours: 0");
      expect(command(current, "reload").stderr).toContain("stays disarmed by hand: role/b");
      expect(await killing()).toBe("a");
    } finally {
      await current[Symbol.asyncDispose]();
    }
  },
  60_000,
);

test.skipIf(reason !== undefined)(
  "what the configuration arms at the first start on a host acts at once",
  async () => {
    configured("armed: [role/a]");
    await using running = await Running.start(["--config", config]);
    expect(running.stderr).toContain("1 of 2 rules that kill are armed");
    expect(await killing()).toBe("a");
  },
  60_000,
);

test.skipIf(reason !== undefined)(
  "--enforcement kill without a configuration arms every rule at once",
  async () => {
    await using running = await Running.start([
      "--policy",
      join(folder, "role.json"),
      "--enforcement",
      "kill",
    ]);
    expect(running.stderr).toContain("2 of 2 rules that kill are armed");
    expect(await killing()).toBe("ab");
  },
  30_000,
);

test.skipIf(reason !== undefined)(
  "an upgrade changes nothing of what may act: the file is replaced while it runs, then the service is restarted",
  async () => {
    configured("armed: [role/a, role/b]\narmed_since_hours: 0");
    const installed = join(folder, "treewarden");
    copyFileSync(binary, installed);
    // As the service manager starts it: the installed file in place of the built one.
    const unit = ["sh", "-c", 'shift; exec "$0" "$@"', installed];
    const first = await Running.start(["--config", config], {}, undefined, unit);
    let current = first;
    try {
      expect(command(current, "disarm", "role/a", "--reason", "wrong at night").code).toBe(0);
      expect(await killing()).toBe("b");
      copyFileSync(binary, `${installed}.new`);
      renameSync(`${installed}.new`, installed);
      // Until the restart the old version starts what dies again.
      await killWarden(current);
      expect(await killing()).toBe("b");
      // The new version would have to confirm what is newly armed, and does not take these rules for new ones.
      configured("armed: [role/a, role/b]");
      await current.stop();
      current = await Running.start(["--config", config], {}, first.folder, unit);
      expect(current.stderr).toContain("may kill: role/b");
      expect(current.stderr).not.toContain("role/a");
      expect(await killing()).toBe("b");
    } finally {
      await current[Symbol.asyncDispose]();
    }
  },
  60_000,
);

/**
 * What two hours of suspension are to the orders in a state directory: CLOCK_BOOTTIME goes on meanwhile, and here the wall
 * clock does not. They look as if they had been given two hours of that clock earlier.
 */
function suspendFor2Hours(folder: string): void {
  for (const file of readdirSync(folder).map((name) => join(folder, name))) {
    const text = readFileSync(file, "utf8");
    writeFileSync(
      file,
      text.replaceAll(/"boottime":\s*([\d.]+)/g, (_, s) => `"boottime":${Math.max(0, Number(s) - 7_200)}`),
    );
  }
}

test.skipIf(reason !== undefined)(
  "a pause of an hour is over on a machine that was suspended for two, and one of three hours is not",
  async () => {
    configured("armed: [role/a, role/b]\narmed_since_hours: 0");
    const first = await Running.start(["--config", config]);
    let current = first;
    try {
      expect(command(current, "pause", "--for", "1h", "--reason", "test").code).toBe(0);
      expect(command(current, "disarm", "role/b", "--for", "3h").code).toBe(0);
      expect(await killing()).toBe("");
      await current.stop();
      suspendFor2Hours(join(first.folder, "state", "overrides"));
      current = await Running.start(["--config", config], {}, first.folder);
      const ended = await current.seen((record) => record["event.name"] === "enforcement.pause_ended");
      expect(ended["override.ended_by"]).toBe("time");
      await until("the pause is over, and the disarm is not", async () => (await killing()) === "a");
    } finally {
      await current[Symbol.asyncDispose]();
    }
  },
  30_000,
);
