// Fork bombs of an unprivileged user under a rule that kills: they end within 2 seconds, nothing of them is left, and the
// host goes on working. Only processes of a user that nobody else has are ever forbidden; RLIMIT_NPROC bounds them.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, pids } from "./live.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_103;
const PROCESSES = 100;
/** Of each bomb. */
const RUNS = Number(process.env.TREEWARDEN_TEST_BOMBS ?? 3);
const ENDS_WITHIN_MS = 2_000;

/** The processes of the user; `withZombies`: those too that have ended and that nobody has waited for yet. */
function mallorys(withZombies = false): number[] {
  return pids().filter((pid) => {
    try {
      // Not the owner of /proc/PID, which is root for processes that cannot be inspected.
      const status = readFileSync(`/proc/${pid}/status`, "latin1");
      return (
        new RegExp(`^Uid:\\s+${MALLORY}\\s`, "m").test(status) &&
        (withZombies || !/^State:\s+[ZX]/m.test(status))
      );
    } catch {
      return false;
    }
  });
}

describe.skipIf(reason !== undefined)("a fork bomb", () => {
  const folder = newFolder();
  let treewarden: Running;

  beforeAll(async () => {
    compile(folder, "forkbomb");
    copyFileSync("/bin/sleep", join(folder, "tw-victim"));
    const rule = {
      id: "bombs",
      when: {
        and: [
          { "==": [{ var: "process.user.id" }, MALLORY] },
          {
            or: [
              { "==": [{ var: "process.executable.name" }, "tw-victim"] },
              { contains: [{ var: "process.command_line" }, "tw-forbidden"] },
            ],
          },
        ],
      },
      action: "kill",
    };
    const policy = join(folder, "policy.json");
    writeFileSync(policy, JSON.stringify({ role: "bombs", rules: [rule], default: "allow" }));
    const config = join(folder, "config.yaml");
    writeFileSync(config, "armed: all\narmed_since_hours: 0\n");
    const flags = ["--config", config, "--policy", policy, "--enforcement", "kill"];
    treewarden = await Running.start(flags, {}, folder);
  });
  afterAll(async () => {
    for (const pid of mallorys()) process.kill(pid, "SIGKILL");
    await treewarden[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const bombs = {
    "in C, whose program is forbidden": () => [join(folder, "forkbomb"), "tw-forbidden"],
    "of a shell that is forbidden": () => ["bash", "-c", ": tw-forbidden; b() { b | b & }; b; sleep 20"],
    "in C that fills what its user may have, before its parent does what is forbidden": () => [
      "bash",
      "-c",
      `${join(folder, "forkbomb")} & read -rt 0.1 _; exec ${join(folder, "tw-victim")} 20`,
    ],
    "of a shell that fills what its user may have, before its parent does what is forbidden": () => [
      "bash",
      "-c",
      `(b() { b | b & }; b; sleep 20) & read -rt 0.1 _; exec ${join(folder, "tw-victim")} 20`,
    ],
  };

  for (const [name, command] of Object.entries(bombs)) {
    test(
      `${name}, ends with all its descendants, ${RUNS} times`,
      async () => {
        const took: number[] = [];
        for (let run = 0; run < RUNS; run += 1) {
          const before = treewarden.records.length;
          const user = [
            "prlimit",
            `--nproc=${PROCESSES}`,
            "setpriv",
            `--reuid=${MALLORY}`,
            `--regid=${MALLORY}`,
          ];
          const bomb = Bun.spawn([...user, "--clear-groups", ...command()], {
            // A shell that cannot fork can still wait for input, by `read`.
            stdio: ["pipe", "ignore", "ignore"],
          });
          await treewarden.seen(
            (record) => treewarden.records.indexOf(record) >= before && record["policy.outcome"] === "killed",
            // On a busy host the shell gets its turn late.
            25_000,
          );
          const judged = performance.now();
          await until("none is left", () => mallorys().length === 0, ENDS_WITHIN_MS);
          took.push(performance.now() - judged);
          // The host works: another program starts and ends.
          expect(Bun.spawnSync(["true"]).exitCode).toBe(0);
          await Bun.sleep(30);
          expect(mallorys()).toEqual([]);
          await bomb.exited;
          // They count for RLIMIT_NPROC, and beyond it the next shell could not be executed.
          await until("all were waited for", () => mallorys(true).length === 0);
        }
        const sorted = took.toSorted((a, b) => a - b).map((ms) => ms.toFixed(0));
        console.log(
          `${name}: none left after ${sorted[sorted.length >> 1]} ms (median), ${sorted.at(-1)} ms at most`,
        );
      },
      30_000 + RUNS * 4_000,
    );
  }
});
