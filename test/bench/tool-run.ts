// One tool at work: started, asked what it has used and told, ended.
import { closeSync, mkdirSync, openSync, readFileSync, readSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Load, Loads } from "./load.ts";
import type { Tool } from "./tools.ts";
import { cpuSeconds, family, type Memory, memory } from "./usage.ts";

const READY_MS = 10_000;
/** How long a tool may take after a load to tell what it has. */
export const SETTLE_MS = 700;

/** What it told of a load. */
export interface Told {
  /** Execs with their arguments; for treewarden only if executable, all arguments and tree are right. */
  readonly named: number;
  /** Events that treewarden knows it lost. */
  readonly lost: number;
}

let started = 0;

export class RunningTool implements AsyncDisposable {
  readonly folder: string;
  readonly port = 30_000 + Math.floor(Math.random() * 20_000);
  /** ms from its start to the first exec it told of, or to saying that it is ready; NaN if that was not looked at. */
  startMs = Number.NaN;
  private readonly run: Bun.Subprocess;
  private readonly tool: Tool;
  private readonly output: string;
  private readonly fd: number;
  private read = 0;

  private constructor(tool: Tool, loads: Loads, keep: boolean) {
    started += 1;
    this.tool = tool;
    this.folder = join(loads.folder, `run-${started}`);
    mkdirSync(this.folder);
    this.output = keep ? join(this.folder, "stdout") : "/dev/null";
    this.fd = openSync(this.output, "w");
    const place = { treewarden: loads.treewarden, folder: this.folder, port: this.port };
    this.run = Bun.spawn([...tool.command(place)], { stdin: "ignore", stdout: this.fd, stderr: "ignore" });
  }

  /** Started, and ready. `keep`: what it tells is kept; else it goes to /dev/null, as in production it costs nothing. */
  static async start(tool: Tool, loads: Loads, keep: boolean): Promise<RunningTool> {
    const begin = performance.now();
    const running = new RunningTool(tool, loads, keep);
    try {
      if (keep) running.startMs = await running.ready(begin);
      else await Bun.sleep(1_500);
      if (running.run.exitCode !== null) throw new Error(`${tool.name} ended with ${running.run.exitCode}`);
      return running;
    } catch (error) {
      await running[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pids(): readonly number[] {
    return family(this.run.pid);
  }

  cpuSeconds(): number {
    return cpuSeconds(this.pids);
  }

  memory(): Memory {
    return memory(this.pids);
  }

  /**
   * What it told of the execs of `load` that bear `mark`. Peers keep some of it until they end; losses are those since
   * the last time this was asked.
   */
  told(load: Load, mark: string): Told {
    if (this.tool.tells === "records") return records(this.news(), load, mark);
    const text = readFileSync(this.output, "latin1");
    const seen = new Set<string>();
    const pattern = new RegExp(`${mark}[" ,]+(\\d+)`, "g");
    for (const match of text.matchAll(pattern)) seen.add(match[1] ?? "");
    return { named: seen.size, lost: 0 };
  }

  /** Of `treewarden run`: its /metrics. */
  async metrics(): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.port}/metrics`)).text();
  }

  /** Ended, what it told still there. */
  async end(): Promise<void> {
    this.run.kill("SIGINT");
    await Promise.race([this.run.exited, Bun.sleep(3_000)]);
    this.run.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    closeSync(this.fd);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async ready(begin: number): Promise<number> {
    const at: number[] = [];
    while (performance.now() - begin < READY_MS && this.run.exitCode === null) {
      at.push(performance.now() - begin);
      if (this.tool.tells !== "counts") Bun.spawnSync(["/bin/true", `ready${at.length - 1}.`]);
      const text = readFileSync(this.output, "latin1");
      const seen =
        /ready(\d+)\./.exec(text)?.[1] ?? (text.includes("warden.started") ? at.length - 1 : undefined);
      if (seen !== undefined) {
        await Bun.sleep(500);
        this.news();
        return at[Number(seen)] ?? Number.NaN;
      }
      await Bun.sleep(5);
    }
    throw new Error(`${this.tool.name} told nothing`);
  }

  private news(): string {
    const size = statSync(this.output).size;
    const bytes = Buffer.alloc(Math.max(0, size - this.read));
    if (bytes.length === 0) return "";
    const fd = openSync(this.output, "r");
    readSync(fd, bytes, 0, bytes.length, this.read);
    closeSync(fd);
    this.read = size;
    return bytes.toString("latin1");
  }
}

/** Every field is looked at, not only the mark. */
function records(text: string, load: Load, mark: string): Told {
  const seen = new Set<string>();
  let lost = 0;
  for (const line of text.split("\n")) {
    const loss = line.includes('"sensor.loss"');
    if (!loss && !line.includes(mark)) continue;
    const record: Readonly<Record<string, unknown>> = JSON.parse(line);
    if (loss) {
      lost += Number(record["sensor.loss.count"] ?? 1);
      continue;
    }
    const args = record["process.command_args"];
    const [program, first, number, ...more] = Array.isArray(args) ? args : [];
    const right =
      record["event.name"] === "process.exec" &&
      record["process.executable.path"] === load.executable &&
      program === load.program &&
      first === mark &&
      more.length === 0 &&
      /\/(spawn|paced)\/[^/]*$/.test(String(record["tree.path"])) &&
      String(record["tree.path"]).endsWith(`/${load.label}`);
    if (right) seen.add(String(number));
  }
  return { named: seen.size, lost };
}

/** A value of Prometheus text: the sum over the series of `name` whose labels include `labels`. */
export function sumOf(metrics: string, name: string, labels = ""): number {
  let sum = 0;
  for (const line of metrics.split("\n")) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
    if (line.includes(labels)) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}

export function newMark(): string {
  return `bench${Math.random().toString(36).slice(2)}`;
}
