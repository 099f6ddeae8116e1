// A warden in a time namespace, whose clocks are shifted: the start times in /proc are not those of the kernel's events
// there. It knows both for the same process all the same. Only programs of a user that nobody else has are killed.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stat } from "./live.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const MALLORY = 64_107;
const shifted = ["unshare", "--time", "--boottime", "100000", "--monotonic", "-20"];
/** Linux 5.6 with CONFIG_TIME_NS. */
const hasTimeNamespaces = Bun.spawnSync([...shifted, "true"]).success;
const reason = whyNot() ?? (hasTimeNamespaces ? undefined : "no time namespaces");
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("in a time namespace of its own", () => {
  let folder = "";
  let config = "";

  beforeAll(() => {
    folder = newFolder();
    config = join(folder, "config.yaml");
    const rules = ["kill", "stop"].map((action) => ({
      id: action,
      when: {
        and: [
          { "==": [{ var: "process.user.id" }, MALLORY] },
          { contains: [{ var: "process.command_line" }, `tw-${action}`] },
        ],
      },
      action,
    }));
    writeFileSync(join(folder, "role.json"), JSON.stringify({ role: "role", rules, default: "allow" }));
    const policies = `policies: [${join(folder, "role.json")}]`;
    writeFileSync(config, `${policies}\nenforcement: kill\narmed: all\narmed_since_hours: 0\n`);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const start = (what: string) => {
    const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
    return Bun.spawn([...user, "bash", "-c", `: ${what}; while :; do :; done`], {
      stdio: ["ignore", "ignore", "ignore"],
    });
  };

  test.each(["ebpf", "netlink"])(
    "a program is killed, and dated by the host's clock (%s)",
    async (source) => {
      await using running = await Running.start(
        ["--config", config, "--source", source],
        {},
        undefined,
        shifted,
      );
      const child = start("tw-kill");
      const dead = await Promise.race([child.exited.then(() => true), Bun.sleep(3_000).then(() => false)]);
      child.kill("SIGKILL");
      const verdict = await running.seen(
        (record) => record["event.name"] === "policy.verdict" && record["process.pid"] === child.pid,
      );
      expect([dead, verdict["policy.outcome"]]).toEqual([true, "killed"]);
      const age = Date.now() - Date.parse(String(verdict["process.creation.time"] ?? verdict.timestamp));
      expect(Math.abs(age)).toBeLessThan(10_000);
    },
    30_000,
  );

  test("a tree that it has stopped is released by a command of the host", async () => {
    await using running = await Running.start(["--config", config], {}, undefined, shifted);
    const child = start("tw-stop");
    try {
      await until("it stands still", () => stat(child.pid)[0] === "T");
      const state = join(running.folder, "state");
      const command = [
        running.binary,
        "release",
        String(child.pid),
        "--config",
        config,
        "--state-dir",
        state,
      ];
      const { exitCode, stderr } = Bun.spawnSync(command);
      expect([exitCode, stderr.toString()]).toEqual([0, expect.any(String)]);
      await until("it goes on", () => stat(child.pid)[0] === "R");
    } finally {
      child.kill("SIGKILL");
    }
  }, 30_000);
});
