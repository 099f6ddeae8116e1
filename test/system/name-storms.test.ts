// An unprivileged user who gives his program another name before each exec, or hides it deep, blinds nobody: each quick
// attack meanwhile gets its verdict. How early its kills are is printed and not tested, as the storm and the warden share
// the machine with whatever else it runs. Only programs of the test's own user are killed.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "./live.ts";
import { type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** A user that nothing else on the host has. */
const MALLORY = 64_991;
/** Seconds of each storm; 9 in the security review that found the flaw. */
const SECONDS = Number(process.env.STORM_SECONDS ?? 2);
const ATTACK_EVERY_MS = 250;

const asMallory = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];

describe.skipIf(reason !== undefined)("quick attacks are judged", () => {
  let folder: string;
  let storm: string;
  let attack: string;
  let lasting: string;

  beforeAll(() => {
    folder = newFolder();
    chmodSync(folder, 0o755);
    storm = compile(folder, "storm");
    attack = join(folder, "tw-evil-quick");
    copyFileSync("/bin/true", attack);
    lasting = join(folder, "tw-evil-lasting");
    copyFileSync("/bin/sleep", lasting);
    const rule = {
      id: "evil",
      when: {
        and: [
          { "==": [{ var: "process.user.id" }, MALLORY] },
          { glob: [{ var: "process.executable.name" }, "tw-evil-*"] },
        ],
      },
      action: "kill",
    };
    writeFileSync(
      join(folder, "evil.json"),
      JSON.stringify({ role: "evil", rules: [rule], default: "allow" }),
    );
    writeFileSync(
      join(folder, "config.yaml"),
      "armed: all\narmed_since_hours: 0\nkill:\n  max_per_minute: 1000\n",
    );
  });

  afterAll(() => void Bun.spawnSync(["rm", "-rf", folder]));

  test.each([
    ["same", 12],
    ["random", 12],
    ["words", 12],
    ["words", 2],
    ["deep-100", 2],
    ["deep-250", 1],
  ] as const)(
    "while %s names storm from %d processes",
    async (kind, processes) => {
      const files = ["--config", join(folder, "config.yaml"), "--policy", join(folder, "evil.json")];
      await using running = await Running.start([...files, "--enforcement", "kill"]);
      const stormFolder = join(running.folder, "storm");
      mkdirSync(stormFolder);
      chownSync(stormFolder, MALLORY, MALLORY);
      chmodSync(running.folder, 0o755);
      const command = [...asMallory, storm, kind, String(SECONDS), String(processes), stormFolder];
      const load = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
      const attacks: number[] = [];
      const waits: number[] = [];
      for (let i = 0; i < (SECONDS * 1000) / ATTACK_EVERY_MS - 2; i += 1) {
        await Bun.sleep(ATTACK_EVERY_MS);
        const quick = Bun.spawn([...asMallory, attack], { stdout: "ignore", stderr: "ignore" });
        attacks.push(quick.pid);
        const long = Bun.spawn([...asMallory, lasting, "20"], { stdout: "ignore", stderr: "ignore" });
        attacks.push(long.pid);
        waits.push(long.pid);
        await quick.exited;
      }
      const execs = Number(await new Response(load.stdout).text());
      await load.exited;
      // The journal has what standard output drops for a reader that is as slow as this one is beside a storm.
      const inJournal = (pid: number): boolean => {
        const events = ["events", "--rule", "evil/evil", "--pid", String(pid), "--output", "json"];
        const state = ["--state-dir", join(running.folder, "state")];
        return Bun.spawnSync([running.binary, ...events, ...state]).stdout.includes('"policy.verdict"');
      };
      const known = new Set<number>();
      const judged = (pid: number): boolean => {
        const isShown = (one: JsonRecord): boolean =>
          one["event.name"] === "policy.verdict" && one["process.pid"] === pid;
        if (!known.has(pid) && (running.records.some(isShown) || inJournal(pid))) known.add(pid);
        return known.has(pid);
      };
      const deadline = performance.now() + 10_000;
      while (performance.now() < deadline && !attacks.every(judged)) await Bun.sleep(50);
      const metrics = await running.metrics();
      const lost = metrics.sum("treewarden_events_lost_total");
      const killed = { outcome: "killed" };
      const early = metrics.value("treewarden_verdict_seconds_bucket", { ...killed, le: "0.01" }) ?? 0;
      const all = metrics.value("treewarden_verdict_seconds_count", killed) ?? 0;
      const unscored = metrics.sum("treewarden_names_unscored_total");
      console.log(
        `${kind} x ${processes}: ${execs} execs in ${SECONDS} s, ${lost} events lost, ${attacks.filter(judged).length} of ` +
          `${attacks.length} attacks judged, ${early} of ${all} kills within 10 ms, ${unscored} names unscored`,
      );
      expect(attacks.filter((pid) => !judged(pid))).toEqual([]);
      expect(lost).toBe(0);
    },
    60_000,
  );
});
