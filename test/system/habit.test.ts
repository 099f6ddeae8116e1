// A service that was running before treewarden is known by its habits when it is started again, whichever shells it
// uses: bash executes the last command of its code in place, Debian's dash forks it.
import { afterEach, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missingServer } from "./server-packages.ts";
import { baseline } from "./server-watch.ts";
import { newFolder, Running, whyNot } from "./treewarden.ts";

// For the shells.
const reason = whyNot() ?? missingServer();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
let service: Bun.Subprocess | undefined;
afterEach(() => {
  stopService();
  rmSync(folder, { recursive: true, force: true });
});

/** `tens`: its jobs have arguments of their own, so that no verdict is folded with one of the first run. */
function startService(tens: number): void {
  service = Bun.spawn([join(folder, "site-service"), String(tens)], {
    stdio: ["ignore", "ignore", "ignore"],
    detached: true,
  });
}

/** Ends the service with all that it has started: they are one process group. */
function stopService(): void {
  if (service === undefined) return;
  process.kill(-service.pid, "SIGKILL");
  service = undefined;
}

test.skipIf(reason !== undefined)(
  "what a scan has learned is known when the service runs again, below each shell",
  async () => {
    folder = newFolder();
    mkdirSync(join(folder, "tools"));
    const job = join(folder, "tools/site-job");
    copyFileSync("/bin/sleep", job);
    const commands = [
      `bash -c '${job} '"$1"'1; true'`,
      `bash -c '${job} '"$1"'2'`,
      `bash -c 'true; ${job} '"$1"'3'`,
      `dash -c '${job} '"$1"'4'`,
      `dash -c '${job} '"$1"'5; true'`,
      `dash -c 'exec ${job} '"$1"'6'`,
      `dash -c '(${job} '"$1"'7; true)'`,
      `${job} "$1"8`,
      `busybox sh -c '${job} '"$1"'9'`,
      `busybox sh -c 'true && ${job} '"$1"'10'`,
      `zsh -c '${job} '"$1"'11; true'`,
      `zsh -c '${job} '"$1"'12 > /dev/null'`,
    ];
    const script = ["#!/bin/bash", ...commands.map((command) => `${command} &`), "wait", ""].join("\n");
    writeFileSync(join(folder, "site-service"), script);
    chmodSync(join(folder, "site-service"), 0o755);
    // A rule that names arguments: verdicts with different ones are not folded.
    const isJob = {
      and: [
        { "==": [{ var: "process.runnable.path" }, job] },
        { "!": { in: ["", { var: "process.command_args" }] } },
      ],
    };
    const policy = join(folder, "jobs.json");
    writeFileSync(
      policy,
      JSON.stringify({ role: "jobs", rules: [{ id: "job", when: isJob, action: "alert" }] }),
    );

    startService(6);
    await Bun.sleep(500);
    await using running = await Running.start(["--policy", policy], {}, folder);
    expect(baseline(running, "learn").code).toBe(0);
    await running.seen((record) => record["event.name"] === "baseline.learning");
    await Bun.sleep(3_000);
    expect(baseline(running, "learn", "--stop").code).toBe(0);
    await running.seen((record) => record["event.name"] === "baseline.stopped");
    expect(baseline(running, "accept").code).toBe(0);
    await running.seen((record) => record["event.name"] === "baseline.loaded");

    stopService();
    startService(7);
    for (const seconds of commands.map((_, index) => Number(`7${index + 1}`))) {
      const verdict = await running.seen(
        ({ "event.name": name, "process.command_args": args, "sensor.source": source }) =>
          name === "policy.verdict" &&
          source !== "procfs" &&
          Array.isArray(args) &&
          args[1] === String(seconds),
      );
      expect([seconds, verdict["tree.known"], String(verdict["tree.habit"])]).toEqual([
        seconds,
        true,
        expect.stringMatching(/\/site-service\/site-job$/),
      ]);
    }
    // The same program below another parent is still new.
    const other = Bun.spawnSync(["/bin/bash", "-s"], {
      stdin: new TextEncoder().encode(`${job} 0.01\ntrue\n`),
    });
    expect(other.exitCode).toBe(0);
    const verdict = await running.seen(
      ({ "event.name": name, "process.command_args": args }) =>
        name === "policy.verdict" && Array.isArray(args) && args[1] === "0.01",
    );
    expect(verdict["tree.known"]).toBe(false);
  },
  60_000,
);
