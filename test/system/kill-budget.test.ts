// An attacker has as many programs of his own killed as he likes: that buys freedom neither for his next program nor for
// that of another user. Only programs of the test, of two users that nobody else has, are ever forbidden.
import { describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_101;
const ALICE = 64_102;
const BUDGET = 10;
/** Junk kills of one program, and then of as many programs with different trees. */
const KILLS = Number(process.env.TREEWARDEN_TEST_KILLS ?? 1_000);

const syllables = "ba be bo da de do fa fe fo ga ge go la le lo ma".split(" ");

/** A name that is neither folded nor taken for a random one: each makes a tree of its own. */
function nameOf(i: number): string {
  return `tw-${[i >> 12, i >> 8, i >> 4, i].map((part) => syllables[part & 15]).join("")}`;
}

function as(uid: number, script: string): Bun.Subprocess {
  const user = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  return Bun.spawn([...user, "sh", "-c", script], { stdio: ["ignore", "ignore", "ignore"] });
}

describe.skipIf(reason !== undefined)("junk kills", () => {
  test("buy freedom neither for the user's next program nor for that of another user", async () => {
    const folder = newFolder();
    const programs = join(folder, "programs");
    mkdirSync(programs);
    copyFileSync("/bin/sleep", join(programs, "tw-junk"));
    chmodSync(join(programs, "tw-junk"), 0o755);
    const names = Array.from({ length: KILLS }, (_, i) => nameOf(i));
    for (const name of ["tw-attack", "tw-other", ...names])
      linkSync(join(programs, "tw-junk"), join(programs, name));
    const rule = {
      id: "victims",
      when: {
        and: [
          { in: [{ var: "process.user.id" }, [MALLORY, ALICE]] },
          { starts_with: [{ var: "process.executable.path" }, `${programs}/tw-`] },
        ],
      },
      action: "kill",
    };
    const policy = join(folder, "policy.json");
    writeFileSync(policy, JSON.stringify({ role: "budget", rules: [rule], default: "allow" }));
    const config = join(folder, "config.yaml");
    writeFileSync(config, `armed: all\narmed_since_hours: 0\nkill:\n  max_per_minute: ${BUDGET}\n`);
    const flags = ["--config", config, "--policy", policy, "--enforcement", "kill"];
    await using treewarden = await Running.start(flags, {}, folder);

    const junk = `i=0; while [ $i -lt ${KILLS} ]; do ${programs}/tw-junk 5; i=$((i + 1)); done`;
    await as(MALLORY, junk).exited;
    const outcomeOf = async (uid: number, name: string): Promise<unknown[]> => {
      const started = treewarden.records.length;
      using child = disposable(as(uid, `exec ${programs}/${name} 20`));
      const isIts = (record: JsonRecord): boolean =>
        record["event.name"] === "policy.verdict" && record["process.pid"] === child.process.pid;
      const verdict = await treewarden.seen(isIts);
      expect(treewarden.records.length).toBeGreaterThan(started);
      return [verdict["policy.outcome"], verdict["policy.reason"]];
    };
    const killed = async (outcome: string): Promise<number> =>
      (await treewarden.metrics()).sum("treewarden_verdicts_total", { rule: "victims", outcome });
    const remaining = async (): Promise<number | undefined> =>
      (await treewarden.metrics()).value("treewarden_kill_budget_remaining");

    expect(await killed("killed")).toBe(KILLS);
    expect(await remaining()).toBe(BUDGET - 1);
    expect(await outcomeOf(MALLORY, "tw-attack")).toEqual(["killed", undefined]);

    const script = join(folder, "different.sh");
    writeFileSync(script, names.map((name) => `${programs}/${name} 0\n`).join(""));
    await as(MALLORY, `. ${script}`).exited;
    expect(await outcomeOf(MALLORY, "tw-other")).toEqual(["withheld", "rate_limited"]);
    expect(await outcomeOf(ALICE, "tw-attack")).toEqual(["killed", undefined]);
    expect(await remaining()).toBe(BUDGET / 2 - 1);
    const changes = treewarden.records.filter((record) => record["event.name"] === "enforcement.limited");
    expect(changes.length).toBe(1);
  }, 300_000);
});

function disposable(process: Bun.Subprocess): Disposable & { readonly process: Bun.Subprocess } {
  return { process, [Symbol.dispose]: () => process.kill("SIGKILL") };
}
