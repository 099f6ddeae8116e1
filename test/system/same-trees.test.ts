// One program, one tree: `run`, `trace`, `ps`, `explain` and a replay say the same of every process.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, isAlive, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
let config = "";
let policy = "";

beforeAll(() => {
  folder = newFolder();
  mkdirSync(join(folder, "tools"));
  for (const [program, name] of [
    ["bash", "site-shell"],
    ["true", "site-tool"],
    ["true", "other-tool"],
    ["sleep", "steady-tool"],
  ])
    copyFileSync(`/bin/${program}`, tool(name ?? ""));
  config = join(folder, "config.yaml");
  // The host's own base list: the embedded one has no site-tool.
  writeFileSync(config, `events: all\nbase:\n  paths: [${tool("site-tool")}]\n`);
  policy = join(folder, "alert.json");
  writeFileSync(policy, JSON.stringify({ role: "alert", rules: [], default: "alert" }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function tool(name: string): string {
  return join(folder, "tools", name);
}

/** A command that goes on until it is ended, and the records that it writes to standard output. */
class Following implements AsyncDisposable {
  readonly records: JsonRecord[] = [];
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  private readonly reading: Promise<void>;

  constructor(...words: readonly string[]) {
    this.process = Bun.spawn([binary, ...words], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    this.reading = this.read();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGTERM");
    await this.process.exited;
    await this.reading;
  }

  private async read(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.process.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.records.push(JSON.parse(line));
    }
  }
}

function answer(...words: readonly string[]): JsonRecord[] {
  const { stdout, stderr, exitCode } = Bun.spawnSync([binary, ...words], { timeout: 20_000 });
  if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${exitCode} ${stderr}`);
  return stdout
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** Trees and their ids by pid and executable. A process that runs a script after another has one executable and two trees. */
function treesOf(records: readonly JsonRecord[]): Map<string, Set<string>> {
  const trees = new Map<string, Set<string>>();
  for (const record of records) {
    if (record["tree.id"] === undefined || record["process.executable.path"] === undefined) continue;
    const program = `${record["process.pid"]} ${record["process.executable.path"]}`;
    const ofProgram = trees.get(program) ?? new Set();
    trees.set(program, ofProgram.add(`${record["tree.path"]} ${record["tree.exact"]} ${record["tree.id"]}`));
  }
  return trees;
}

/**
 * Every program of `records` that `run` reports too has no tree that it does not have there. `run` reports each program
 * that starts and each that draws a verdict, so our own tools are always among them. Of other programs of a busy host
 * only complete trees are compared: a parent may have ended before a command began, and after the warden last saved.
 */
async function expectSameTrees(running: Running, records: readonly JsonRecord[]): Promise<void> {
  const ofTools = [...treesOf(records.filter(isOfTestTool)).keys()];
  await until("run has reported the tools", () => {
    const reported = treesOf(running.records);
    return ofTools.every((program) => reported.has(program));
  });
  const reported = treesOf(running.records);
  const comparable = records.filter((record) => record["tree.complete"] === true || isOfTestTool(record));
  const different = [...treesOf(comparable)].flatMap(([program, ofProgram]) => {
    const ofRun = reported.get(program);
    return ofRun === undefined || ofProgram.isSubsetOf(ofRun) ? [] : [{ program, ofProgram, ofRun }];
  });
  expect(different).toEqual([]);
}

function isTool(name: string): (record: JsonRecord) => boolean {
  return (record) => record["process.executable.path"] === tool(name);
}

/** Pids in the forest that a warden has saved. */
function savedPids(stateDirectory: string): number[] {
  try {
    const { forest } = JSON.parse(readFileSync(join(stateDirectory, "forest.json"), "utf8"));
    return forest.processes.map(([pid]: readonly number[]) => pid);
  } catch {
    return [];
  }
}

function isOfTestTool(record: JsonRecord): boolean {
  return String(record["process.executable.path"]).startsWith(`${folder}/`);
}

/** The first line that a command writes. */
async function firstLine(stdout: ReadableStream<Uint8Array>): Promise<string> {
  const { value } = await stdout.getReader().read();
  return new TextDecoder().decode(value).trim();
}

function end(...pids: readonly number[]): void {
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, "SIGKILL");
}

describe.skipIf(reason !== undefined)("a process has one tree", () => {
  test("in run, trace, ps, explain and a replay, with a base list of the host's own", async () => {
    const capture = join(folder, "all.capture");
    await using running = await Running.start(["--config", config, "--policy", policy]);
    const host = ["--config", config, "--state-dir", join(running.folder, "state")];
    {
      await using _recording = new Following("record", "--config", config, "--out", capture);
      await using trace = new Following("trace", "--output", "json", ...host);
      await until("trace and record have begun", () => {
        Bun.spawnSync([tool("other-tool")]);
        return (
          trace.records.some(isTool("other-tool")) && existsSync(capture) && statSync(capture).size > 1024
        );
      });
      const script = `${tool("site-tool")}; ${tool("other-tool")}; ${tool("steady-tool")} 600 & echo $!; wait`;
      const shell = Bun.spawn([tool("site-shell"), "-c", script], { stdout: "pipe" });
      const steady = Number(await firstLine(shell.stdout));
      try {
        await until("trace shows it", () => trace.records.some(isTool("steady-tool")));
        expect((await running.seen(isTool("site-tool")))["tree.path"]).toMatch(/\/base$/);
        expect((await running.seen(isTool("other-tool")))["tree.path"]).toMatch(/\/other-tool$/);
        await expectSameTrees(running, trace.records);
        await expectSameTrees(running, answer("ps", "--output", "json", ...host));
        const explained = answer("explain", String(steady), "--output", "json", ...host);
        expect(explained.some(isTool("steady-tool"))).toBe(true);
        await expectSameTrees(running, explained);
      } finally {
        end(steady, shell.pid);
      }
    }
    const replayed = answer("replay", capture, "--policy", policy, "--output", "json");
    for (const name of ["site-shell", "site-tool", "other-tool", "steady-tool"])
      expect(replayed.some(isTool(name))).toBe(true);
    await expectSameTrees(running, replayed);
  }, 60_000);

  test("in run and in a trace that begins when the program's parents have ended", async () => {
    await using running = await Running.start(["--config", config, "--policy", policy]);
    const state = join(running.folder, "state");
    const host = ["--config", config, "--state-dir", state];
    const go = join(folder, "go");
    Bun.spawnSync(["mkfifo", go]);
    const daemon = `read line < ${go}; ${tool("steady-tool")} 1`;
    const starter = Bun.spawn([tool("site-shell"), "-c", `(${daemon}) > /dev/null & echo $!`], {
      stdout: "pipe",
    });
    const pid = Number(await firstLine(starter.stdout));
    await starter.exited;
    try {
      await until("the warden has saved it", () => savedPids(state).includes(pid), 20_000);
      await using trace = new Following("trace", "--output", "json", ...host);
      await until("trace has begun", () => {
        Bun.spawnSync([tool("other-tool")]);
        return trace.records.some(isTool("other-tool"));
      });
      writeFileSync(go, "go\n");
      await until("trace shows it", () => trace.records.some(isTool("steady-tool")));
      expect(trace.records.find(isTool("steady-tool"))?.["tree.path"]).toContain("/site-shell/");
      await expectSameTrees(running, trace.records);
    } finally {
      end(pid);
    }
  }, 60_000);
});
