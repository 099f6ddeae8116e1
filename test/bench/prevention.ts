// What prevention costs an exec, as its caller sees it and as the kernel counts it, beside fapolicyd.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Fapolicyd } from "./fapolicyd.ts";
import { countingRuns, programNs } from "./program-runs.ts";
import type { Bench, Section } from "./section.ts";
import { median, number, quantile, table } from "./table.ts";
import { RunningTool } from "./tool-run.ts";
import { runOf, type Tool } from "./tools.ts";

/** Execs a second; 0: as fast as one parent can. */
const RATES = [200, 0];
const SECONDS = 1.5;
/** So much of a run is not counted: the process that starts the programs is new to whoever watches. */
const WARM_UP = 0.1;
/** What has changed in the last 2 s has no identity yet. */
const SETTLED_MS = 2_500;
/** After its start treewarden reads packages for a time. */
const READS_PACKAGES_MS = 1_500;

interface Watched {
  readonly name: string;
  /** undefined: nobody watches. */
  readonly tool: Tool | "fapolicyd" | undefined;
  readonly isClosed: boolean;
}

const kindsOfArguments = ["same", "different"] as const;

/** Of one watcher, a value a round. */
interface Figures {
  /** By rate: quantiles of the us that posix_spawn(3) took, with the same arguments. */
  readonly middle: number[][];
  readonly tail: number[][];
  /** By `kindsOfArguments`: us an exec, its fork and its exit. */
  readonly bpf: number[][];
}

export const prevention: Section = {
  title: "The cost of prevention",
  measure: async (bench) => {
    using load = new PreventionLoad(bench);
    await Bun.sleep(SETTLED_MS);
    const run = (name: string, enforcement: string, parent: string, isClosed = false): Watched => ({
      name,
      tool: withPolicy(enforcement, parent, load.program),
      isClosed,
    });
    const all: Watched[] = [
      { name: "none", tool: undefined, isClosed: false },
      run("treewarden run, `observe`", "observe", load.pacer),
      run("treewarden run, `kill`", "kill", `${load.pacer}-another`),
      run("treewarden run, `prevent`, an open process", "prevent", `${load.pacer}-another`),
      run("treewarden run, `prevent`, a closed process and an exception", "prevent", load.pacer, true),
    ];
    const missing = Fapolicyd.missing();
    if (missing === undefined) all.push({ name: Fapolicyd.title(), tool: "fapolicyd", isClosed: false });
    else bench.say(`prevention: without fapolicyd: ${missing}`);
    const figures = all.map((): Figures => ({ middle: [[], []], tail: [[], []], bpf: [[], []] }));
    for (let round = 1; round <= bench.rounds; round += 1) {
      for (const [at, watched] of all.entries()) {
        bench.say(`prevention, round ${round} of ${bench.rounds}, ${watched.name}`);
        const into = figures[at];
        if (into !== undefined) await measure(bench, load, watched, into);
      }
    }
    const header = RATES.flatMap((rate) =>
      ["p50", "p99"].map((part) => `${rate === 0 ? "back to back" : `${rate}/s`} ${part}`),
    );
    return [
      "posix_spawn(3) of a static program on tmpfs, in us: it returns when the child's exec is done. " +
        `${SECONDS} s at each rate, each watcher in turn, ${bench.rounds} rounds: medians of their quantiles. BPF is what ` +
        "the kernel counts in us for an exec with its fork and exit, in runs of their own: first of execs with the same " +
        "arguments, as those before; then of execs that are all different, for which `kill` and `prevent` wake the warden " +
        "at once. fapolicyd allows everything, and watches a mount namespace with nothing else in it.",
      table(
        ["watched by", ...header, "BPF, same", "BPF, different"],
        all.map(({ name }, at) => [name, ...row(figures[at])]),
      ),
    ].join("\n\n");
  },
};

function row(figures: Figures | undefined): readonly string[] {
  if (figures === undefined) return [];
  const { middle, tail, bpf } = figures;
  const latency = RATES.flatMap((_, at) => [median(middle[at] ?? []), median(tail[at] ?? [])]);
  return [
    ...latency.map((value) => number(value, 0)),
    ...bpf.map((values) => number(values.length === 0 ? Number.NaN : median(values), 2)),
  ];
}

async function measure(bench: Bench, load: PreventionLoad, watched: Watched, into: Figures): Promise<void> {
  if (watched.tool === "fapolicyd") {
    await using fapolicyd = await Fapolicyd.start(load.folder, load.program);
    await measureLatency(load, into, fapolicyd.inside);
    return;
  }
  if (watched.tool === undefined) return measureLatency(load, into);
  await using running = await RunningTool.start(watched.tool, bench.loads, false);
  await Bun.sleep(READS_PACKAGES_MS);
  if (watched.isClosed) await load.untilClosed();
  await measureLatency(load, into);
  using _ = countingRuns();
  for (const [at, args] of kindsOfArguments.entries()) {
    const before = programNs(running.pids);
    const { execs } = await load.paced(0, SECONDS / 3, args);
    into.bpf[at]?.push((programNs(running.pids) - before) / execs / 1e3);
  }
}

async function measureLatency(
  load: PreventionLoad,
  into: Figures,
  inside: readonly string[] = [],
): Promise<void> {
  for (const [at, rate] of RATES.entries()) {
    const { spawns } = await load.paced(rate, SECONDS, "same", inside);
    const counted = spawns.slice(Math.floor(spawns.length * WARM_UP)).map((ns) => ns / 1e3);
    into.middle[at]?.push(quantile(counted, 0.5));
    into.tail[at]?.push(quantile(counted, 0.99));
  }
}

/** Everything that `parent` starts dies, but for `program`. */
function withPolicy(enforcement: string, parent: string, program: string): Tool {
  const rule = {
    id: "nothing-else",
    when: { "==": [{ var: "process.parent.executable.path" }, parent] },
    except: [{ "==": [{ var: "process.executable.path" }, program] }],
    action: "kill",
  };
  const policy = JSON.stringify({ role: "bench", rules: [rule], default: "allow" });
  const tool = runOf("ebpf", "--enforcement", enforcement);
  return {
    ...tool,
    command: (place) => {
      const file = join(place.folder, "policy.json");
      writeFileSync(file, policy, { mode: 0o644 });
      return [...tool.command(place), "--policy", file];
    },
  };
}

/** The programs, on a tmpfs of their own. */
class PreventionLoad implements Disposable {
  readonly folder: string;
  readonly pacer: string;
  readonly program: string;
  private readonly stranger: string;
  private readonly bench: Bench;

  constructor(bench: Bench) {
    const { loads } = bench;
    this.bench = bench;
    this.folder = join(loads.folder, "prevention");
    mkdirSync(this.folder);
    const { success, stderr } = Bun.spawnSync(
      ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", this.folder],
      {
        stderr: "pipe",
      },
    );
    if (!success) throw new Error(`no tmpfs for the programs: ${stderr.toString()}`);
    const copied = (path: string, name = basename(path)): string => {
      const copy = join(this.folder, name);
      cpSync(path, copy);
      return copy;
    };
    this.pacer = copied(loads.pacer);
    this.program = copied(loads.stamp);
    this.stranger = copied(loads.stamp, "stranger");
  }

  /** Starts the program `rate` times a second; `inside`: what executes the pacer. */
  paced(
    rate: number,
    seconds: number,
    args: (typeof kindsOfArguments)[number],
    inside: readonly string[] = [],
  ) {
    return this.bench.loads.pacedBy([...inside, this.pacer], this.program, rate, seconds, args);
  }

  /** Until the kernel ends what the pacer may not start. Throws if it does not. */
  async untilClosed(): Promise<void> {
    const { loads } = this.bench;
    for (let attempt = 0; attempt < 10; attempt += 1) {
      const { starts, execs } = await loads.pacedBy([this.pacer], this.stranger, 200, 0.3, "same");
      // Of the first ones the pacer was not judged yet.
      if (starts.length < execs / 2) return;
    }
    throw new Error("the process is not closed");
  }

  [Symbol.dispose](): void {
    Bun.spawnSync(["umount", this.folder]);
  }
}
