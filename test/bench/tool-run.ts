// One tool at work: started, fed with a load, measured, ended.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Load, Loads } from "./load.ts";
import type { Tool } from "./tools.ts";
import { cpuSeconds, family, type Memory, memory } from "./usage.ts";

export interface Measured {
  /** From the tool's start to the first exec that it told of; NaN if it tells none. */
  readonly startMs: number;
  /** Share of the load's execs that it named with their arguments, 0 to 1; NaN if it tells none. */
  readonly named: number;
  /** CPU of all its processes, in microseconds for each exec. */
  readonly cpuMicros: number;
  /** Execs a second that the load reached. */
  readonly rate: number;
  readonly memory: Memory;
}

const READY_MS = 5_000;
/** How long a tool may take after the load to tell what it has. */
const SETTLE_MS = 700;

export async function measure(
  tool: Tool,
  loads: Loads,
  load: Load,
  count: number,
  parents: number,
): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), "treewarden-bench-run-"));
  const output = join(folder, "stdout");
  const fd = openSync(output, "w");
  const started = performance.now();
  const run = Bun.spawn([...tool.command(folder)], { stdin: "ignore", stdout: fd, stderr: "ignore" });
  try {
    const startMs = tool.tells ? await firstTold(run, output, started) : await waitReady(run);
    const pids = family(run.pid);
    const before = cpuSeconds(pids);
    const mark = `bench${Math.random().toString(36).slice(2)}`;
    const { seconds, execs } = await loads.run(load, count, parents, mark);
    await Bun.sleep(SETTLE_MS);
    const cpuMicros = ((cpuSeconds(pids) - before) / execs) * 1e6;
    const named = tool.tells ? countNamed(output, mark) / execs : Number.NaN;
    return { startMs, named, cpuMicros, rate: execs / seconds, memory: memory(pids) };
  } finally {
    run.kill("SIGINT");
    await Promise.race([run.exited, Bun.sleep(3_000)]);
    run.kill("SIGKILL");
    closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Without any tool: execs a second. */
export async function measureAlone(
  loads: Loads,
  load: Load,
  count: number,
  parents: number,
): Promise<number> {
  const { seconds, execs } = await loads.run(load, count, parents, "alone");
  return execs / seconds;
}

async function firstTold(run: Bun.Subprocess, output: string, started: number): Promise<number> {
  const at: number[] = [];
  while (performance.now() - started < READY_MS) {
    if (run.exitCode !== null) throw new Error(`it ended with ${run.exitCode}`);
    at.push(performance.now() - started);
    Bun.spawnSync(["/bin/true", `ready${at.length - 1}.`]);
    const seen = /ready(\d+)\./.exec(readFileSync(output, "utf8"))?.[1];
    if (seen !== undefined) {
      await Bun.sleep(300);
      return at[Number(seen)] ?? Number.NaN;
    }
    await Bun.sleep(5);
  }
  throw new Error(`it told nothing within ${READY_MS} ms`);
}

async function waitReady(run: Bun.Subprocess): Promise<number> {
  await Bun.sleep(1_500);
  if (run.exitCode !== null) throw new Error(`it ended with ${run.exitCode}`);
  return Number.NaN;
}

function countNamed(output: string, mark: string): number {
  const seen = new Set<string>();
  const pattern = new RegExp(`${mark}[" ,]+(\\d+)`, "g");
  if (statSync(output).size === 0) return 0;
  for (const match of readFileSync(output, "latin1").matchAll(pattern)) seen.add(match[1] ?? "");
  return seen.size;
}
