// A reload between observe and kill starts a warden with other rights: no exec is missed and none is judged twice.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const MALLORY = 64_151;
const CAP_KILL = 1n << 5n;
let folder = "";
let config = "";
let program = "";

beforeAll(() => {
  folder = newFolder();
  config = join(folder, "config.yaml");
  program = join(folder, "tw-counted");
  copyFileSync("/bin/sleep", program);
  chmodSync(program, 0o755);
  const when = {
    and: [
      { "==": [{ var: "process.user.id" }, MALLORY] },
      { "==": [{ var: "process.executable.path" }, program] },
    ],
  };
  // An alert, so that nothing is killed before it has run, and one that names arguments, so that few are folded.
  const counted = {
    id: "counted",
    when: { and: [...when.and, { "!=": [{ var: "process.command_line" }, ""] }] },
    action: "alert",
  };
  const kept = { id: "kept", when: { and: [...when.and, { "==": [1, 2] }] }, action: "kill" };
  const role = { role: "role", rules: [counted, kept], default: "allow" };
  writeFileSync(join(folder, "role.json"), JSON.stringify(role));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function configured(enforcement: string, more = ""): void {
  const policies = `policies: [${join(folder, "role.json")}]`;
  writeFileSync(
    config,
    `${policies}\nenforcement: ${enforcement}\narmed: [role/kept]\narmed_since_hours: 0\n${more}`,
  );
}

function wardensOf(running: Running): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [, role, run] = readFileSync(`/proc/${name}/cmdline`, "latin1").split("\0");
      return role === "warden" && run === running.runId ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function mayKill(pid: number): boolean {
  const [, mask = "0"] = /^CapBnd:\t([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
  return (BigInt(`0x${mask}`) & CAP_KILL) !== 0n;
}

function reload(running: Running): { readonly code: number; readonly stderr: string } {
  const flags = ["--config", config, "--state-dir", join(running.folder, "state")];
  const { exitCode, stderr } = Bun.spawnSync([binary, "reload", ...flags]);
  return { code: exitCode, stderr: stderr.toString() };
}

const isCounted = (record: JsonRecord): boolean =>
  record["event.name"] === "policy.verdict" && record["security_rule.name"] === "counted";

describe.skipIf(reason !== undefined)("a reload that changes the warden's rights", () => {
  test.each(["ebpf", "netlink"])(
    "has no gap in events, with %s",
    async (source) => {
      configured("observe");
      await using running = await Running.start(["--config", config, "--source", source]);
      const lostBefore = (await running.metrics()).sum("treewarden_events_lost_total");
      const user = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
      // The process connector reads arguments from /proc: each lives until a warden that has just started reads them.
      const each = `i=$((i + 1)); ${program} 1.05$i & sleep 0.01`;
      const script = `i=0; while [ $i -lt 10000 ] && ! [ -e ${folder}/stop ]; do ${each}; done; wait; echo $i`;
      rmSync(join(folder, "stop"), { force: true });
      const load = Bun.spawn([...user, "sh", "-c", script], {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "ignore",
      });
      try {
        for (const enforcement of ["kill", "observe", "kill"]) {
          await Bun.sleep(300);
          const [before = 0] = wardensOf(running);
          configured(enforcement, "rescue_user: root\nkill: { max_per_minute: 3 }\n");
          const answer = reload(running);
          expect([answer.code, answer.stderr]).toEqual([0, expect.stringContaining(`-> ${enforcement}`)]);
          expect(answer.stderr).toContain("rescue_user is in force from the next start on");
          const isReplaced = () => wardensOf(running).length === 1 && wardensOf(running)[0] !== before;
          await until("another warden", isReplaced);
          expect(mayKill(wardensOf(running)[0] ?? 0)).toBe(enforcement === "kill");
          // It answers, so that its first events are handled.
          expect(reload(running).stderr).toContain("nothing has changed");
          // What waits is not in force in the new warden either.
          expect((await running.metrics()).value("treewarden_kill_budget_remaining")).toBe(10);
        }
      } finally {
        writeFileSync(join(folder, "stop"), "");
      }
      const total = Number(await new Response(load.stdout).text());
      // Beyond 100 a minute equal verdicts are folded, and each is counted.
      const metric = async (name: string, labels = {}) => (await running.metrics()).sum(name, labels);
      const judged = () => metric("treewarden_verdicts_total", { rule: "counted" });
      // Of a program that /proc shows no more when the new warden reads it, the connector's event is counted alone.
      const unread = async () => (source === "ebpf" ? 0 : metric("treewarden_execs_unattributed_total"));
      await until("the last verdict", async () => (await judged()) + (await unread()) >= total);
      if (source === "ebpf") expect(await judged()).toBe(total);
      expect(await judged()).toBeLessThanOrEqual(total);
      const shown = running.records.filter(isCounted).map((record) => String(record["process.command_args"]));
      expect(new Set(shown).size).toBe(shown.length);
      const metrics = await running.metrics();
      expect(metrics.sum("treewarden_events_lost_total")).toBe(lostBefore);
      expect(metrics.value("treewarden_restarts_total", { process: "warden" })).toBe(0);
      const trees = new Set(running.records.filter(isCounted).map((record) => record["tree.path"]));
      expect([...trees]).toHaveLength(1);
      console.log(
        `${source}: of ${total} execs across three changes of the warden ${await judged()} judged, each once`,
      );
    },
    60_000,
  );
});
