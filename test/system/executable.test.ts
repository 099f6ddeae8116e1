// A learned script by its executable: what takes its place, or runs it, is told by the compiled program.
import { afterAll, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { baseline } from "./server-watch.ts";
import { binary, isAlive, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** A place that only root can write: no name in /tmp counts as an interpreter's. */
const site = reason === undefined ? mkdtempSync("/var/lib/treewarden-test-") : "";
afterAll(() => rmSync(site, { recursive: true, force: true }));

/** A policy whose one rule matches the programs of this test, and nothing else. */
function policyFor(folder: string, action: "alert" | "kill"): string {
  const policy = join(folder, `${action}.json`);
  const when = { glob: [{ var: "process.runnable.path" }, `${site}/site-*`] };
  writeFileSync(policy, JSON.stringify({ role: "site", rules: [{ id: "site", when, action }] }));
  return policy;
}

async function learnAndAccept(running: Running, work: () => void): Promise<void> {
  expect(baseline(running, "learn").code).toBe(0);
  await running.seen((record) => record["event.name"] === "baseline.learning");
  work();
  await Bun.sleep(3_000);
  expect(baseline(running, "learn", "--stop").code).toBe(0);
  // The command returns once the state of the ended run is saved, so that nothing has to be waited for.
  expect(baseline(running, "accept")).toMatchObject({ code: 0 });
  await running.seen((record) => record["event.name"] === "baseline.loaded");
}

/** The verdict on the exec with this last argument. */
function verdictOn(running: Running, word: string): Promise<JsonRecord> {
  return running.seen(({ "event.name": name, "process.command_args": args }) => {
    return name === "policy.verdict" && Array.isArray(args) && args.at(-1) === word;
  });
}

test.skipIf(reason !== undefined)(
  "a learned script is known with the shells of the system, and not as or by another file",
  async () => {
    const folder = newFolder();
    const script = join(site, "site-job");
    const tool = join(site, "site-tool");
    const shell = join(site, "dash");
    const writeScript = () => {
      rmSync(script, { force: true });
      writeFileSync(script, "#!/bin/dash\nsleep 0.01\n");
      chmodSync(script, 0o755);
    };
    writeScript();
    copyFileSync("/bin/sleep", tool);
    copyFileSync("/bin/dash", shell);
    let next = 0;
    await using running = await Running.start(["--policy", policyFor(folder, "alert")], {}, folder);
    /** Whether what was started was known. */
    const run = async (...command: readonly string[]) => {
      next += 1;
      const word = `0.0${next}`;
      expect(Bun.spawnSync([...command, word]).exitCode).toBe(0);
      return (await verdictOn(running, word))["tree.known"];
    };
    await learnAndAccept(running, () => {
      Bun.spawnSync([script, "0.5"]);
      Bun.spawnSync([tool, "0.5"]);
    });
    expect(await run(script)).toBe(true);
    expect(await run("/bin/bash", script)).toBe(true);
    expect(await run(tool)).toBe(true);

    // An interpreter that no package has installed, and the loader.
    expect(await run(shell, script)).toBe(false);
    expect(await run(loaderOf(tool), tool)).toBe(false);

    // An ELF file in the script's place.
    rmSync(script);
    copyFileSync("/bin/sleep", script);
    expect(await run(script)).toBe(false);
    const elf = Bun.spawn([script, "20"], { stdio: ["ignore", "ignore", "ignore"] });
    try {
      await verdictOn(running, "20");
      const state = join(folder, "state");
      const said = Bun.spawnSync([
        binary,
        "explain",
        String(elf.pid),
        "--state-dir",
        state,
        "--output",
        "json",
      ]);
      expect(JSON.parse(said.stdout.toString())["explain.baseline"]).toBe(
        `known habit and path, but another executable: learned /usr/bin/dash, seen ${script}`,
      );
    } finally {
      elf.kill("SIGKILL");
    }
    const lines = await shownBy(running, `another executable: ${shell} ${script})`);
    expect(lines.filter((line) => line.includes("site-job")).length).toBe(1);

    // Accepted, it is known beside the script.
    const state = join(folder, "state");
    const reviewed = ["baseline", "review", "--accept", "/**/site-job", "--state-dir", state];
    expect(Bun.spawnSync([binary, ...reviewed]).stderr.toString()).toContain("1 accepted");
    const isLoaded = ({ "event.name": name }: JsonRecord) => name === "baseline.loaded";
    await until("the second load", () => running.records.filter(isLoaded).length === 2);
    expect(await run(script)).toBe(true);
    writeScript();
    expect(await run(script)).toBe(true);
  },
  90_000,
);

/** The dynamic loader of a program, as its header names it. */
function loaderOf(program: string): string {
  const { stdout } = Bun.spawnSync(["ldd", program]);
  return /(\/\S*\/ld[-.\w]*\.so\S*)/.exec(stdout.toString())?.[1] ?? "";
}

/** The lines of `compare`, once one of them has this text. */
async function shownBy(running: Running, text: string): Promise<readonly string[]> {
  let lines: readonly string[] = [];
  await until(text, () => {
    const state = join(running.folder, "state");
    const said = Bun.spawnSync([binary, "baseline", "compare", "--output", "pretty", "--state-dir", state]);
    lines = said.stdout.toString().split("\n");
    return lines.some((line) => line.includes(text));
  });
  return lines;
}

test.skipIf(reason !== undefined)(
  "what an older process executes is killed, unless a scan's entry makes it known",
  async () => {
    const folder = newFolder();
    const [known, other] = ["site-known", "site-other"].map((name) => join(site, name));
    if (known === undefined || other === undefined) throw new Error("no names");
    for (const file of [known, other]) copyFileSync("/bin/sleep", file);
    const start = () =>
      Bun.spawn(["/bin/bash", "-c", "read -r line; exec $line"], { stdio: ["pipe", "ignore", "ignore"] });
    const shells = [start(), start(), start()] as const;
    const [first, second, third] = shells;
    const become = (shell: typeof first, command: string) => {
      shell.stdin.write(`${command}\n`);
      shell.stdin.flush();
    };
    await Bun.sleep(100);
    const flags = (action: "kill", enforcement: string) =>
      ["--policy", policyFor(folder, action), "--enforcement", enforcement] as const;
    try {
      const learning = await Running.start(flags("kill", "observe"), {}, folder);
      try {
        await learnAndAccept(learning, () => become(first, `${known} 0.5`));
      } finally {
        await learning.stop();
      }
      await using running = await Running.start(flags("kill", "kill"), {}, folder);
      become(second, `${known} 30`);
      const spared = await verdictOn(running, "30");
      expect([spared["policy.outcome"], spared["policy.reason"], spared["tree.known"]]).toEqual([
        "withheld",
        "preexisting",
        true,
      ]);
      become(third, `${other} 31`);
      const killed = await verdictOn(running, "31");
      expect([killed["policy.outcome"], killed["tree.known"]]).toEqual(["killed", false]);
      await until("its end", () => third.signalCode === "SIGKILL");
      expect(isAlive(second.pid)).toBe(true);
    } finally {
      for (const shell of shells) shell.kill("SIGKILL");
    }
  },
  60_000,
);
