// The commands as a person or a script meets them: what goes where, and the end of a run whatever stands in its way.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Loads } from "../bench/load.ts";
import { pidOf, processesOf, quietPolicy, whole } from "./live.ts";
import { binary, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
beforeAll(() => {
  folder = newFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function ask(...words: readonly string[]): {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
} {
  const run = Bun.spawnSync([binary, ...words], {
    stdin: "ignore",
    timeout: 10_000,
    env: { PATH: "/usr/bin:/bin" },
  });
  return { code: run.exitCode, stdout: run.stdout.toString(), stderr: run.stderr.toString() };
}

function records(stdout: string): JsonRecord[] {
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** One flat object a line, each with the three names that every record has. */
function expectContract(all: readonly JsonRecord[]): void {
  expect(all.length).toBeGreaterThan(0);
  for (const record of all) {
    expect(record.timestamp).toMatch(stamp);
    expect(typeof record["event.name"]).toBe("string");
    expect(typeof record["log.record.uid"]).toBe("string");
    for (const value of Object.values(record).flat())
      expect(typeof value === "object" && value !== null).toBe(false);
  }
  const uids = all.map((record) => record["log.record.uid"]);
  expect(new Set(uids).size).toBe(uids.length);
}

describe.skipIf(reason !== undefined)("a command", () => {
  test("says that it may not read a journal whose owner cannot reach it", () => {
    // `events` reads with the rights of the folder's owner, who is locked out by a folder above.
    const state = join(folder, "locked", "state");
    mkdirSync(join(state, "report"), { recursive: true });
    chmodSync(join(folder, "locked"), 0o700);
    chownSync(join(state, "report"), 61_234, 61_234);
    const answer = ask("events", "--state-dir", state);
    expect([answer.code, answer.stderr]).toEqual([3, expect.stringContaining("cannot read")]);
  });

  test("says its version and its help on standard output, and ends with 0", () => {
    expect(ask("version")).toMatchObject({ code: 0, stderr: "" });
    expect(ask("version").stdout).toMatch(/\d+\.\d+\.\d+/);
    for (const words of [["--help"], ["help"], ["run", "--help"], ["help", "run"], ["policy", "--help"]]) {
      const answer = ask(...words);
      expect(answer.code).toBe(0);
      expect(answer.stdout).toMatch(/Usage: treewarden/);
      expect(answer.stderr).toBe("");
    }
  });

  test("without any word shows the help on standard error, and ends with 2", () => {
    const { code, stdout, stderr } = ask();
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/Usage: treewarden/);
  });

  test("with --output json writes one flat object a line: ps, explain, doctor", () => {
    const none = ["--state-dir", join(folder, "none")];
    const ps = records(ask("ps", "--output", "json", ...none).stdout);
    expectContract(ps);
    expect(ps.some((record) => record["process.pid"] === process.pid)).toBe(true);
    expectContract(records(ask("explain", String(process.pid), "--output", "json", ...none).stdout));
    expectContract(records(ask("explain", "--exe", "/usr/bin/env", "/bin/sh", "--output", "json").stdout));
    expectContract(records(ask("doctor", "--output", "json").stdout));
  });

  test("is not harmed by a reader that leaves", () => {
    for (const command of ["ps --output json", "ps --output pretty"]) {
      const run = Bun.spawnSync(["bash", "-o", "pipefail", "-c", `${binary} ${command} | head -n 1`]);
      expect(run.stdout.toString().trimEnd().split("\n").length).toBe(1);
      expect(run.stderr.toString()).toBe("");
    }
  });

  test("keeps the journal to itself, and shows it to root", async () => {
    await using running = await Running.start([], {}, join(mkdir("journal"), "run"));
    const state = ["--state-dir", `${running.folder}/state`];
    await running.seen((record) => record["event.name"] === "tree.new");
    const { code, stdout, stderr } = ask("events", "--output", "json", ...state);
    expect([code, stderr]).toEqual([0, ""]);
    expectContract(records(stdout));
    const journal = `${running.folder}/state/report/journal.sqlite`;
    const other = Bun.spawnSync([
      "setpriv",
      "--reuid=12345",
      "--regid=12345",
      "--clear-groups",
      "cat",
      journal,
    ]);
    expect(other.exitCode).not.toBe(0);
  }, 20_000);
});

function mkdir(name: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, "run"), { recursive: true });
  return path;
}

const TURN_MS = 20;
/** Two seconds; and what the machine takes when something has to be killed, which is after 1.8 s. */
const TURNS = 2_000 / TURN_MS;
const TURNS_WITH_KILL = 2_300 / TURN_MS;

/**
 * How often this process can sleep for 20 ms until `end`: time as a machine has it for its processes. Where it keeps this
 * one waiting, it keeps those of the run waiting as well.
 */
async function turnsUntil(end: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  void end.finally(() => {
    isOver = true;
  });
  for (; !isOver; turns += 1) await Bun.sleep(TURN_MS);
  return turns;
}

/** SIGTERM to the supervisor: its exit code, and how long it is until nothing of the run is left. */
async function ended(running: Running): Promise<{ readonly code: number; readonly turns: number }> {
  const stop = running.stop();
  const turns = await turnsUntil(stop);
  expect(processesOf(running)).toEqual([]);
  return { code: await stop, turns };
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** What a process of a run does: the first word of its command line. Empty if it has ended. */
function wordOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0")[1] ?? "";
  } catch {
    return "";
  }
}

/** The processes that had to be killed at the end of a run. */
function killedLate(stderr: string): string[] {
  return [...stderr.matchAll(/the (\w+) did not end in time; killed/g)].map(([, role = ""]) => role);
}

describe.skipIf(reason !== undefined)("a run ends within two seconds by SIGTERM, with 0,", () => {
  test("in the middle of a flood, and all that was told is on standard output", async () => {
    using loads = new Loads();
    await using running = await Running.start(["--policy", quietPolicy(loads.folder)]);
    const [, leave] = loads.all;
    if (leave === undefined) throw new Error("no load");
    const load = loads.run(leave, 3_000, 4, "flood");
    await Bun.sleep(300);
    const { code, turns } = await ended(running);
    await load;
    expect(code).toBe(0);
    expect(turns).toBeLessThan(TURNS);
    expect(running.records.at(-1)?.["event.name"]).toBe("warden.stopped");
  }, 30_000);

  test("though each of its processes gets the signal, as systemd sends it; the last records are stored", async () => {
    await using running = await Running.start();
    await until("all are there", () => whole(running) !== undefined);
    // The supervisor gets its own below: a second one would make it hurry.
    for (const { role, pid } of processesOf(running)) if (role !== "supervisor") process.kill(pid, "SIGTERM");
    expect((await ended(running)).code).toBe(0);
    expect(running.records.at(-1)?.["event.name"]).toBe("warden.stopped");
  }, 20_000);

  test("and none of its processes ends before the supervisor gets the signal, not even while it starts", async () => {
    const state = join(mkdir("signaled"), "state");
    const words = ["run", "--output", "json", "--listen", "off", "--state-dir", state];
    const run = Bun.spawn([binary, ...words], { stdio: ["ignore", "pipe", "pipe"] });
    const output = Promise.all([new Response(run.stdout).text(), new Response(run.stderr).text()]);
    // The supervisor starts another standby.
    const signaled = ["warden", "reporter", "examiner"];
    const found = new Map<string, Set<number>>(signaled.map((word) => [word, new Set()]));
    for (const end = performance.now() + 1500; performance.now() < end; await Bun.sleep(1))
      for (const pid of childrenOf(run.pid)) {
        const of = found.get(wordOf(pid));
        if (of === undefined) continue;
        of.add(pid);
        process.kill(pid, "SIGTERM");
      }
    run.kill("SIGTERM");
    const [stdout, stderr] = await output;
    expect(stderr).not.toContain("was ended");
    expect([...found].map(([word, { size }]) => [word, size])).toEqual(signaled.map((word) => [word, 1]));
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")["event.name"]).toBe("warden.stopped");
    expect(await run.exited).toBe(0);
  }, 20_000);

  for (const role of ["warden", "reporter", "standby"] as const) {
    test(`though the ${role} stands still`, async () => {
      await using running = await Running.start();
      await until("all are there", () => whole(running) !== undefined);
      process.kill(pidOf(running, role), "SIGSTOP");
      const { code, turns } = await ended(running);
      expect(code).toBe(0);
      expect(turns).toBeLessThan(TURNS_WITH_KILL);
      // The standby is ended in any case.
      if (role !== "standby") expect(killedLate(running.stderr)).toContain(role);
    }, 20_000);
  }

  test("though nobody reads what it writes", async () => {
    using loads = new Loads();
    const state = join(mkdir("unread"), "state");
    const words = ["run", "--output", "json", "--listen", "off", "--state-dir", state];
    const run = Bun.spawn([binary, ...words], { stdio: ["ignore", "pipe", "ignore"] });
    const [, leave] = loads.all;
    if (leave === undefined) throw new Error("no load");
    const told = () => ask("events", "--output", "json", "--state-dir", state).stdout;
    await until("it has started", () => told().includes("warden.started"));
    // Each draws an alert: far more than a pipe holds.
    await loads.run(leave, 500, 4, "unread");
    run.kill("SIGTERM");
    expect(await turnsUntil(run.exited)).toBeLessThan(TURNS_WITH_KILL);
    expect(run.exitCode).toBe(0);
  }, 20_000);
});
