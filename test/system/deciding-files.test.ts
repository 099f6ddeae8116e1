// Files that decide what treewarden does must be root's. A user who can write one, or a folder above it, or who puts a
// pipe in its place, neither changes nor stops anything.
import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 65_534;
const policy = (name: string): string =>
  JSON.stringify({
    role: "decided",
    rules: [
      {
        id: `no-${name}`,
        when: { "==": [{ var: "process.executable.name" }, name] },
        action: "alert",
      },
    ],
  });

/** A folder of root's, with a folder of mallory's in it, both of them with a configuration and a policy. */
class Stage implements Disposable {
  readonly folder = newFolder();
  readonly home = join(this.folder, "home");

  constructor() {
    mkdirSync(this.home);
    for (const folder of [this.folder, this.home]) {
      writeFileSync(join(folder, "config.yaml"), `policies: [${folder}/decided.json]\n`);
      writeFileSync(join(folder, "decided.json"), policy("tw-decided"));
    }
    for (const path of ["", "config.yaml", "decided.json"])
      chownSync(join(this.home, path), MALLORY, MALLORY);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `treewarden run` with these flags, which is expected to refuse. */
  refused(...flags: readonly string[]): string {
    const command = [binary, "run", "--listen", "off", "--state-dir", join(this.folder, "state"), ...flags];
    const { exitCode, stderr } = Bun.spawnSync(command, { timeout: 10_000 });
    expect(exitCode).toBe(2);
    return stderr.toString().replaceAll(this.folder, "F");
  }
}

describe.skipIf(reason !== undefined)("run refuses", () => {
  test("a configuration or a policy of another user, and says what to do", () => {
    using stage = new Stage();
    expect(stage.refused("--config", join(stage.home, "config.yaml"))).toContain(
      "cannot read the configuration F/home/config.yaml: it lies below F/home, which belongs to user 65534",
    );
    const own = join(stage.folder, "own.json");
    copyFileSync(join(stage.home, "decided.json"), own);
    chmodSync(own, 0o666);
    expect(stage.refused("--policy", own)).toContain(
      "F/own.json can be written by others: its mode is 0666\n  hint: chmod go-w F/own.json",
    );
    expect(stage.refused("--policy", join(stage.home, "decided.json"))).toContain("lies below F/home");
  });

  test("a state directory below a folder of another user", () => {
    using stage = new Stage();
    const flags = ["--config", join(stage.folder, "config.yaml"), "--state-dir", join(stage.home, "state")];
    expect(stage.refused(...flags)).toContain("F/home/state lies below F/home, which belongs to user 65534");
  });

  test("a link to what has no end, at once and without filling the memory", () => {
    using stage = new Stage();
    symlinkSync("/dev/zero", join(stage.folder, "zero.json"));
    for (const [option, name] of [
      ["--config", "zero.json"],
      ["--policy", "zero.json"],
    ])
      expect(stage.refused(option ?? "", join(stage.folder, name ?? ""))).toContain("is not a regular file");
  });
});

test.skipIf(reason !== undefined)(
  "a command that decides nothing reads anybody's policy, but waits for no pipe",
  () => {
    using stage = new Stage();
    const check = (name: string) => {
      const command = [binary, "policy", "check", join(stage.home, name)];
      const { exitCode, stderr } = Bun.spawnSync(command, { timeout: 10_000 });
      return [exitCode, stderr.toString()];
    };
    expect(check("decided.json")).toEqual([0, ""]);
    expect(Bun.spawnSync(["mkfifo", join(stage.home, "pipe.json")]).exitCode).toBe(0);
    expect(check("pipe.json")).toEqual([2, expect.stringContaining("is not a regular file")]);
  },
);

test.skipIf(reason !== undefined)(
  "a pipe in the place of a policy stops nothing, and is refused",
  async () => {
    using stage = new Stage();
    const path = join(stage.folder, "decided.json");
    copyFileSync("/bin/true", join(stage.folder, "tw-decided"));
    await using running = await Running.start(["--policy", path]);
    rmSync(path);
    expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
    running.signal("SIGHUP");
    const rejected = await running.seen((one) => one["event.name"] === "policy.rejected");
    expect(String(rejected["policy.errors"])).toContain("is not a regular file");
    Bun.spawnSync([join(stage.folder, "tw-decided")]);
    await running.seen((one) => one["security_rule.name"] === "no-tw-decided");
  },
  30_000,
);

test.skipIf(reason !== undefined)("in another pid namespace run refuses with 3, and doctor says why", () => {
  const inside = (...words: readonly string[]) => {
    const run = Bun.spawnSync(["unshare", "--pid", "--fork", "--mount-proc", binary, ...words], {
      timeout: 10_000,
    });
    return { code: run.exitCode, text: run.stdout.toString() + run.stderr.toString() };
  };
  expect(inside("run", "--listen", "off", "--state-dir", "/nowhere/state")).toEqual({
    code: 3,
    text: expect.stringContaining("not the host's pid namespace"),
  });
  const doctor = inside("doctor", "--output", "pretty");
  expect(doctor.code).toBe(3);
  expect(doctor.text).toMatch(/wrong +pid namespace +this is not the host's pid namespace/);
});

test.skipIf(reason !== undefined)("doctor does not say that another user can read every process", () => {
  const { stdout } = Bun.spawnSync([
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
    binary,
    "doctor",
    "--output",
    "pretty",
  ]);
  expect(stdout.toString()).toMatch(/missing +\/proc +the programs of other users cannot be read/);
});

test.skipIf(reason !== undefined)(
  "reload reaches the warden that runs, and no process that only has its pid",
  async () => {
    using stage = new Stage();
    const path = join(stage.folder, "decided.json");
    await using running = await Running.start(["--policy", path]);
    const state = join(running.folder, "state");
    const reload = () => Bun.spawnSync([binary, "reload", "--state-dir", state]);
    writeFileSync(path, policy("tw-other"));
    expect(reload().exitCode).toBe(0);
    await running.seen((one) => one["event.name"] === "policy.loaded");
    expect(await running.stop()).toBe(0);
    mkdirSync(state, { recursive: true });
    // A stale lock names a process of somebody else: SIGHUP would end it.
    const other = Bun.spawn(["sleep", "60"]);
    writeFileSync(join(state, "lock"), `${other.pid}\n`);
    const answer = reload();
    expect(answer.exitCode).toBe(1);
    expect(answer.stderr.toString()).toContain("no treewarden runs on");
    expect(other.exitCode).toBeNull();
    other.kill();
    await other.exited;
  },
  30_000,
);
