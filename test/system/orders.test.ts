// Orders of root on a real kernel: what one armed rule of many does, and how arm, disarm, pause and silence change it.
// Every rule names programs of this test alone, and a user that nobody else has.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { endOf } from "./live.ts";
import { binary, isAlive, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_131;
const ALICE = 64_132;
/** Kill rules that the host's own role inherits. */
const INHERITED = 12;

let folder = "";
let programs = "";

beforeAll(() => {
  folder = newFolder();
  programs = join(folder, "programs");
  mkdirSync(programs);
  copyFileSync("/bin/sleep", join(programs, "tw-own"));
  chmodSync(join(programs, "tw-own"), 0o755);
  for (let i = 0; i < INHERITED; i += 1) linkSync(join(programs, "tw-own"), join(programs, `tw-${i}`));
  const rule = (id: string, program: string, more: object = {}): object => ({
    id,
    when: {
      and: [
        { in: [{ var: "process.user.id" }, [MALLORY, ALICE]] },
        { "==": [{ var: "process.executable.path" }, join(programs, program)] },
      ],
    },
    action: "kill",
    severity: "low",
    ...more,
  });
  const inherited = Array.from({ length: INHERITED }, (_, i) => rule(`r${i}`, `tw-${i}`));
  // What the own rule names, these name too: one comes first and only alerts, one is more severe.
  const before = rule("noisy", "tw-own", { action: "alert", severity: "critical" });
  const graver = rule("graver", "tw-own", { severity: "critical" });
  const roles = {
    dozen: { role: "dozen", rules: [...inherited, graver] },
    own: { role: "own", extends: ["dozen"], rules: [before, rule("mine", "tw-own")] },
  };
  for (const [name, role] of Object.entries(roles))
    writeFileSync(join(folder, `${name}.json`), JSON.stringify({ ...role, default: "allow" }));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function configured(settings: string): string {
  const config = join(folder, "config.yaml");
  const policies = `policies: [${join(folder, "own.json")}]`;
  writeFileSync(config, `${policies}\nkill: { max_per_minute: 1000 }\narmed_since_hours: 0\n${settings}\n`);
  return config;
}

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command of root's on the state of `running`. */
function order(running: Running, ...words: readonly string[]): Answer {
  const flags = ["--config", join(folder, "config.yaml"), "--state-dir", join(running.folder, "state")];
  const { exitCode, stdout, stderr } = Bun.spawnSync([binary, ...words, ...flags]);
  return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Whether a program lives on after its verdict. */
async function survives(running: Running, program: string, uid = MALLORY): Promise<boolean> {
  const before = running.records.length;
  const user = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  const child = Bun.spawn([...user, join(programs, program), "20"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  try {
    const isVerdict = (record: JsonRecord): boolean =>
      record["event.name"] === "policy.verdict" || record["event.name"] === "policy.verdict.repeated";
    // An equal verdict within a minute has no record, so that the end of the process is waited for too.
    const end = performance.now() + 600;
    const judged = () =>
      running.records
        .slice(before)
        .some((record) => isVerdict(record) && record["process.pid"] === child.pid);
    while (child.exitCode === null && child.signalCode === null && performance.now() < end && !judged())
      await Bun.sleep(10);
    await Bun.sleep(60);
    return isAlive(child.pid) && child.signalCode === null && child.exitCode === null;
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

/** Of the run's processes, by the name of its role. */
function pidOf(running: Running, role: string): number {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const [, command, run] = readFileSync(`/proc/${name}/cmdline`, "latin1").split("\0");
      if (command === role && run === running.runId) return Number(name);
    } catch {
      // It has ended.
    }
  }
  return 0;
}

/** What the configuration and the orders let act, and nothing else, of the own rule and two inherited ones. */
async function acting(running: Running): Promise<readonly string[]> {
  const tried = ["tw-own", "tw-0", "tw-11"];
  const survived = await Promise.all(tried.map((program) => survives(running, program)));
  return tried.filter((_, i) => survived[i] !== true);
}

describe.skipIf(reason !== undefined)("one armed rule of a role with twelve inherited kill rules", () => {
  test("is the only one that kills, also after reload, restart and kill -9 of each process", async () => {
    const config = configured("enforcement: kill\narmed: [own/mine]");
    await using running = await Running.start(["--config", config]);
    // The standby will be the supervisor.
    await using _ = endOf(running);
    expect(running.stderr).toContain("1 of 14 rules that kill are armed");
    expect(running.stderr).toContain("may kill: own/mine (low)");
    expect(running.stderr).not.toContain("dozen/");
    expect(await acting(running)).toEqual(["tw-own"]);
    const killed = await running.seen((record) => record["policy.outcome"] === "killed");
    expect(killed).toMatchObject({ "security_rule.name": "mine", "policy.severity": "low" });
    const unarmed = await running.seen((record) => record["policy.outcome"] === "would_kill");
    expect(unarmed["security_rule.ruleset.name"]).toBe("dozen");
    expect((await running.metrics()).value("treewarden_armed_rules")).toBe(1);

    running.signal("SIGHUP");
    await running.seen((record) => record["event.name"] === "policy.loaded");
    expect(await acting(running)).toEqual(["tw-own"]);

    for (const role of ["reporter", "examiner", "warden", "supervisor"]) {
      const pid = pidOf(running, role);
      if (pid === 0 && role === "examiner") continue;
      const started = running.records.filter((record) => record["event.name"] === "warden.started").length;
      process.kill(pid, "SIGKILL");
      if (role === "warden")
        await until(
          "another warden",
          () =>
            running.records.filter((record) => record["event.name"] === "warden.started").length > started,
        );
      else await Bun.sleep(500);
      expect([role, await acting(running)]).toEqual([role, ["tw-own"]]);
    }
    const metrics = await running.metrics();
    for (const role of ["reporter", "warden", "supervisor"])
      expect([role, metrics.value("treewarden_restarts_total", { process: role })]).toEqual([role, 1]);
  }, 60_000);
});

describe.skipIf(reason !== undefined)("enforcement: kill without armed", () => {
  test("only observes, and says so", async () => {
    const config = configured("enforcement: kill");
    await using running = await Running.start(["--config", config]);
    expect(running.stderr).toContain("needs `armed`");
    expect(await acting(running)).toEqual([]);
    const metrics = await running.metrics();
    expect(metrics.value("treewarden_armed_rules")).toBe(0);
    expect(metrics.value("treewarden_info", { enforcement: "observe" })).toBe(1);
  });
});

describe.skipIf(reason !== undefined)("orders by hand", () => {
  test("arm, disarm, pause and silence hold when the command ends, and across a restart", async () => {
    const config = configured("enforcement: kill\narmed: [own/mine]");
    const first = await Running.start(["--config", config]);
    let current = first;
    try {
      expect(order(current, "arm", "dozen/r0", "--anyway", "--user", String(MALLORY)).code).toBe(0);
      expect(await acting(current)).toEqual(["tw-own", "tw-0"]);
      expect(await survives(current, "tw-0", ALICE)).toBe(true);
      expect(order(current, "disarm", "own/mine").code).toBe(0);
      expect(await acting(current)).toEqual(["tw-0"]);

      await current.stop();
      current = await Running.start(["--config", config], {}, first.folder);
      expect(await acting(current)).toEqual(["tw-0"]);
      const metrics = await current.metrics();
      expect(metrics.value("treewarden_overrides", { kind: "disarm" })).toBe(1);
      expect(metrics.value("treewarden_overrides", { kind: "arm" })).toBe(1);

      expect(order(current, "arm", "own/mine", "--anyway").code).toBe(0);
      expect(await acting(current)).toEqual(["tw-own", "tw-0"]);
      expect(order(current, "disarm", "--all", "--for", "1h").code).toBe(0);
      expect(await acting(current)).toEqual([]);
      expect(order(current, "arm", "mine", "--anyway").code).toBe(0);
      expect(await acting(current)).toEqual(["tw-own"]);

      expect(order(current, "pause", "--for", "5h", "--reason", "test").code).toBe(2);
      expect(order(current, "pause", "--for", "1h", "--reason", "test").code).toBe(0);
      expect(await acting(current)).toEqual([]);
      const paused = await current.seen((record) => record["event.name"] === "enforcement.paused");
      expect(paused).toMatchObject({ "policy.severity": "high", "override.reason": "test" });
      expect(String(paused["override.by.tree"])).toContain("/treewarden");
      expect((await current.metrics()).value("treewarden_paused")).toBe(1);
      const status = order(current, "status");
      expect([status.code, status.stdout]).toEqual([
        1,
        expect.stringContaining("enforcement is paused: test"),
      ]);
      expect(status.stdout).toContain("kill: 1 of 14 rules that kill are armed, but nothing acts now");
      expect(status.stdout).toContain("disarmed every rule, but not own/mine until");
      expect(order(current, "resume").code).toBe(0);
      const lines = order(current, "status", "--output", "json");
      const [host] = lines.stdout.split("\n").map((line) => JSON.parse(line || "{}"));
      expect(host).toMatchObject({ "status.running": true, "status.may_act": true, "status.degraded": [] });
      expect([lines.code, host["status.armed_rules"]]).toEqual([0, ["own/mine"]]);
      expect(await acting(current)).toEqual(["tw-own"]);
      await current.seen((record) => record["event.name"] === "enforcement.pause_ended");

      expect(order(current, "arm", "dozen/r99").stderr).toContain("did you mean dozen/r");
    } finally {
      await current[Symbol.asyncDispose]();
    }
  }, 60_000);

  test("a silence hides the alert of its rule alone, and ends by itself", async () => {
    const config = configured("enforcement: kill\narmed: [own/mine]");
    await using running = await Running.start(["--config", config]);
    const silenced = order(running, "silence", "dozen/r1", "--for", "2s", "--reason", "noise");
    expect([silenced.code, silenced.stderr]).toEqual([
      0,
      expect.stringContaining("dozen/r1 is silenced until"),
    ]);
    expect(order(running, "silence", "own/mine", "--for", "1h", "--reason", "noise").code).toBe(0);
    expect(order(running, "silence", "--list").stdout).toContain("own/mine");
    expect(await survives(running, "tw-1")).toBe(true);
    await running.seen((record) => record["policy.outcome"] === "silenced");
    expect(await survives(running, "tw-own")).toBe(false);
    await running.seen((record) => record["event.name"] === "rule.silence_ended", 5_000);
    expect(await survives(running, "tw-1", ALICE)).toBe(true);
    await running.seen(
      (record) => record["policy.outcome"] === "would_kill" && record["security_rule.name"] === "r1",
    );
  }, 30_000);
});

/** Takes away the right to kill; returns when it did, in milliseconds since the epoch. */
type TakeAway = (running: Running) => number;

const pause: TakeAway = (running) => {
  // A policy is compiled meanwhile.
  running.signal("SIGHUP");
  expect(order(running, "pause", "--for", "1m", "--reason", "test").code).toBe(0);
  return statSync(join(running.folder, "state/overrides/paused.json")).mtimeMs;
};

const reloadToObserve: TakeAway = (running) => {
  configured("enforcement: observe");
  const now = Date.now();
  running.signal("SIGHUP");
  return now;
};

describe.skipIf(reason !== undefined)("under 500 execs a second", () => {
  test.each([
    ["a pause is written", pause],
    ["a reload to observe", reloadToObserve],
  ])(
    "no kill comes later than 100 ms after %s",
    async (_, takeAway) => {
      const config = configured("enforcement: kill\narmed: [own/mine]");
      await using running = await Running.start(["--config", config]);
      const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
      const load = Bun.spawn(["sh", "-c", "while :; do /bin/true; done"], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      // Other arguments each time, so that no verdict is folded.
      const script = `i=0; while [ $i -lt 400 ]; do i=$((i + 1)); ${join(programs, "tw-own")} 0.0$i; sleep 0.03; done`;
      const victims = Bun.spawn([...user, "sh", "-c", script], { stdio: ["ignore", "ignore", "ignore"] });
      try {
        await running.seen((record) => record["policy.outcome"] === "killed");
        await Bun.sleep(500);
        const since = takeAway(running);
        await Bun.sleep(1_500);
        const killed = running.records
          .filter((record) => record["policy.outcome"] === "killed")
          .map((record) => Date.parse(String(record.timestamp)) - since);
        console.log(`${killed.length} kills, the last ${Math.max(...killed).toFixed(0)} ms after it`);
        expect(killed.filter((ms) => ms > 100)).toEqual([]);
        // What nobody has armed is named by the gravest rule.
        const after = running.records.filter(
          (record) =>
            record["policy.outcome"] === "would_kill" &&
            String(record["process.executable.path"]).endsWith("/tw-own"),
        );
        expect(after.length).toBeGreaterThan(0);
      } finally {
        load.kill("SIGKILL");
        victims.kill("SIGKILL");
      }
    },
    30_000,
  );
});
