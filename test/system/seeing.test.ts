// What an administrator sees of real events: `events`, `show`, `ps --tree` and the pretty output of `run` and `trace`.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
let policy = "";
let probe = "";
beforeAll(() => {
  folder = newFolder();
  probe = join(folder, "tw-probe");
  copyFileSync("/bin/sleep", probe);
  policy = join(folder, "policy.json");
  const when = { "==": [{ var: "process.executable.path" }, probe] };
  const rules = [{ id: "probe", when, action: "alert", severity: "high" }];
  writeFileSync(policy, JSON.stringify({ role: "seeing", rules }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function ask(...words: readonly string[]): string {
  const run = Bun.spawnSync([binary, ...words], {
    timeout: 20_000,
    env: { PATH: "/usr/bin:/bin", TZ: "Europe/Berlin" },
  });
  expect([words[0], run.exitCode]).toEqual([words[0], 0]);
  return run.stdout.toString();
}

describe.skipIf(reason !== undefined)("after an alert", () => {
  test("events finds it, show says who started whom, ps --tree marks the process", async () => {
    const run = join(folder, "run");
    await using running = await Running.start(["--policy", policy], {}, run);
    const state = ["--state-dir", join(run, "state")];
    // The shell in the middle has ended long before anybody can read its /proc.
    const starter = Bun.spawn(["sh", "-c", `sh -c '${probe} 30 >/dev/null & echo $!'`], { stdout: "pipe" });
    const pid = Number(await new Response(starter.stdout).text().catch(() => "0"));
    try {
      const verdict = await running.seen((record) => record["security_rule.name"] === "probe");
      const uid = String(verdict["log.record.uid"]);
      expect(verdict["process.pid"]).toBe(pid);
      await until("the journal has it", () => ask("events", "--rule", "probe", ...state) !== "");

      for (const filter of [
        ["--rule", "seeing/probe"],
        ["--severity", "high", "--action", "alert"],
        ["--pid", String(pid), "--rule", "probe"],
        ["--under", String(starter.pid), "--severity", "high"],
        ["--under", String(process.pid), "--rule", "probe"],
        ["--tree", "/**/tw-probe", "--severity", "high"],
        ["--since", "1m", "--until", "now", "--limit", "1", "--rule", "probe"],
      ]) {
        const lines = ask("events", ...filter, ...state)
          .trimEnd()
          .split("\n");
        expect([filter, lines.map((line) => line.includes("ALERTED"))]).toEqual([filter, [true]]);
        expect(lines[0]).toMatch(
          /^\S{18} 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+0[12]:00 ALERTED seeing\/probe/,
        );
      }
      expect(ask("events", "--pid", "1", "--rule", "probe", ...state)).toBe("");

      const shown = ask("show", uid.slice(0, 18), ...state);
      expect(shown).toStartWith("HIGH ALERTED seeing/probe ");
      expect(shown).toContain(`└ ${process.pid}  `);
      expect(shown).toContain(`  sh -c ${probe} 30 >/dev/null & echo $!\n`);
      expect(shown).toMatch(new RegExp(`└ ${pid} {2}\\S+ {2}${probe} 30\n.*still runs`));
      expect(shown).toContain(`treewarden explain ${pid}\n`);
      expect(shown).toContain("1 in the last hour");

      // Without a baseline all that ran counts as known.
      const impact = Bun.spawnSync([binary, "policy", "impact", policy, ...state]);
      expect(impact.exitCode).toBe(1);
      expect(impact.stdout.toString()).toMatch(/^alert +high +seeing\/probe +1 +0 +none .*\/tw-probe$/m);

      const line = ask("ps", "--tree", ...state)
        .split("\n")
        .find((each) => each.includes(`${probe} 30`));
      expect(line).toMatch(new RegExp(`^! +${pid} `));
    } finally {
      process.kill(pid, "SIGKILL");
    }
  }, 30_000);
});

const piped = { stdout: "pipe", stderr: "pipe", stdin: "ignore" } as const;

/** What a stream prints as text, ended by SIGTERM after `work`. */
async function printed(
  words: readonly string[],
  work: () => void,
  where: "pipe" | "terminal" = "pipe",
): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  const take = (chunk: Uint8Array): void => {
    text += decoder.decode(chunk, { stream: true });
  };
  await using terminal = new Bun.Terminal({ cols: 500, rows: 50, data: (_terminal, chunk) => take(chunk) });
  const command = [binary, ...words, "--output", "pretty"];
  const stream = where === "terminal" ? Bun.spawn(command, { terminal }) : Bun.spawn(command, piped);
  const reading = (async () => {
    if (stream.stdout instanceof ReadableStream) for await (const chunk of stream.stdout) take(chunk);
  })();
  try {
    await until("it watches", () => {
      work();
      return text.includes("tw-probe");
    });
    for (let i = 0; i < 20; i += 1) work();
    await Bun.sleep(300);
  } finally {
    stream.kill("SIGTERM");
    await Promise.all([stream.exited, reading]);
  }
  return text;
}

describe.skipIf(reason !== undefined)("as text", () => {
  const execs = (text: string): number =>
    text.split("\n").filter((line) => line.includes("tw-probe 0")).length;
  const work = (): void => void Bun.spawnSync([probe, "0"]);

  test("trace shows every exec; on a terminal the first of a tree, and with --all every one", async () => {
    expect(execs(await printed(["trace"], work))).toBeGreaterThan(10);
    expect(execs(await printed(["trace"], work, "terminal"))).toBe(1);
    expect(execs(await printed(["trace", "--all"], work, "terminal"))).toBeGreaterThan(10);
  }, 45_000);

  test("run shows a new tree once, and with --all every exec", async () => {
    const quiet = join(folder, "quiet.json");
    writeFileSync(quiet, JSON.stringify({ role: "quiet", rules: [] }));
    const run = ["run", "--listen", "off", "--policy", quiet, "--state-dir"];
    const text = await printed([...run, join(folder, "state-new")], work);
    expect(execs(text)).toBe(1);
    expect(text.trimEnd().split("\n").at(-1)).toMatch(/^since 20.*: \d+ new trees$/);
    expect(execs(await printed([...run, join(folder, "state-all"), "--all"], work))).toBeGreaterThan(10);
  }, 30_000);
});
