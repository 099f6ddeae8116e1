// What the host's own work loses: throughput, latency of an exec, time in the kernel.
import type { Load, PacedRun } from "./load.ts";
import { countingRuns, programNs } from "./program-runs.ts";
import type { Bench, Section } from "./section.ts";
import { median, number, percent, quantile, table } from "./table.ts";
import { newMark, RunningTool } from "./tool-run.ts";
import { execsnoop, extrace, forkstat, runOf, type Tool, traceOf } from "./tools.ts";

function watchers(bench: Bench): readonly Tool[] {
  return [...bench.peers.filter((tool) => tool !== forkstat), traceOf("ebpf"), runOf("ebpf")];
}

export const throughput: Section = {
  title: "The load's own throughput",
  measure: async (bench) => {
    const tools = watchers(bench);
    const rounds = bench.rounds * 4;
    const lines = tools.map((tool) => [tool.name]);
    for (const load of bench.loads.all) {
      // As long for both: about half a second.
      const count = load === bench.loads.shortest ? bench.count / 2 : bench.count / 10;
      const shares: number[][] = tools.map(() => []);
      for (let round = 1; round <= rounds; round++) {
        bench.say(`throughput, ${load.name}, round ${round} of ${rounds}`);
        for (const [at, tool] of tools.entries()) shares[at]?.push(await share(bench, tool, load, count));
      }
      for (const [at, list] of shares.entries()) {
        lines[at]?.push(
          percent(median(list)),
          `${percent(quantile(list, 0.25))} - ${percent(quantile(list, 0.75))}`,
        );
      }
    }
    return [
      `Execs a second with the tool as a share of those without, one parent, back to back: short runs with and without it ` +
        `in turn, each compared with the ones right before and after it; medians of ${rounds}, and the quarters. Before its run each tool ` +
        `has seen ${COMPILED_AFTER} execs.`,
      table(["", "/bin/true", "quarters", "static", "quarters"], lines),
    ].join("\n\n");
  },
};

/** Execs. */
const COMPILED_AFTER = 20_000;

async function share(bench: Bench, tool: Tool, load: Load, count: number): Promise<number> {
  const rate = async (): Promise<number> => {
    const { execs, seconds } = await bench.loads.run(load, Math.round(count), 1, newMark());
    return execs / seconds;
  };
  const before = await rate();
  let withIt: number;
  {
    await using running = await RunningTool.start(tool, bench.loads, false);
    void running;
    // Its code has been compiled by then: servers run for months.
    await bench.loads.run(bench.loads.shortest, COMPILED_AFTER, 1, newMark());
    withIt = await rate();
  }
  return withIt / ((before + (await rate())) / 2);
}

/** Execs a second; 0: as fast as one parent can. */
const RATES = [200, 1000, 0];
const LATENCY_SECONDS = 2;

export const latency: Section = {
  title: "Latency of an exec",
  measure: async (bench) => {
    const tools: readonly (Tool | undefined)[] = [
      undefined,
      ...bench.peers.filter((tool) => tool === extrace || tool === execsnoop),
      runOf("ebpf"),
      runOf("netlink"),
      runOf("ebpf", "--enforcement", "kill"),
    ];
    const names = ["none", ...tools.slice(1, -1).map((tool) => tool?.name ?? ""), "the former with `kill`"];
    const found: number[][][] = tools.map(() => RATES.map(() => []));
    for (let round = 1; round <= bench.rounds; round++) {
      for (const [at, tool] of tools.entries()) {
        bench.say(`latency, round ${round} of ${bench.rounds}, ${names[at]}`);
        for (const [which, run] of (await paced(bench, tool)).entries())
          found[at]?.[which]?.push(...run.starts);
      }
    }
    names[names.length - 1] = "treewarden run (ebpf) --enforcement kill";
    const cells = (starts: readonly number[]): string[] =>
      [0.5, 0.99].map((part) => number(quantile(starts, part) / 1e3, 0));
    const header = RATES.flatMap((rate) =>
      ["p50", "p99"].map((part) => `${rate === 0 ? "back to back" : `${rate}/s`} ${part}`),
    );
    return [
      "From posix_spawn(3) to the first instruction of a static program, in us: fork, exec and what watches them.",
      table(
        ["watched by", ...header],
        names.map((name, at) => [name, ...(found[at] ?? []).flatMap(cells)]),
      ),
    ].join("\n\n");
  },
};

async function paced(bench: Bench, tool: Tool | undefined): Promise<PacedRun[]> {
  await using running = tool === undefined ? undefined : await RunningTool.start(tool, bench.loads, false);
  if (running !== undefined) await bench.loads.run(bench.loads.shortest, 5_000, 1, newMark());
  const runs: PacedRun[] = [];
  for (const rate of RATES) runs.push(await bench.loads.paced(bench.loads.stamp, rate, LATENCY_SECONDS));
  return runs;
}

export const inKernel: Section = {
  title: "The programs' cost in the kernel",
  measure: async (bench) => {
    using _ = countingRuns();
    const tools = [...bench.peers.filter((tool) => tool === execsnoop), traceOf("ebpf")];
    const rows: string[][] = [];
    for (const tool of tools) {
      bench.say(`in the kernel, ${tool.name}`);
      await using running = await RunningTool.start(tool, bench.loads, false);
      const row = [tool.name];
      for (const load of bench.loads.all) {
        const each: number[] = [];
        for (let round = 0; round < bench.rounds; round++) {
          const before = programNs(running.pids);
          const { execs } = await bench.loads.run(load, bench.count, 1, newMark());
          each.push((programNs(running.pids) - before) / execs / 1e3);
        }
        row.push(number(median(each), 2));
      }
      rows.push(row);
    }
    return [
      "us of BPF for each exec, its fork and exit included (execsnoop: exec alone), as kernel.bpf_stats_enabled has it, " +
        "which is on for this part only. The clock it reads around each run is in these figures.",
      table(["", "/bin/true", "static"], rows),
      "`treewarden run` with a role that asks for the environment, the static program, by the size of its environment in " +
        `variables of 50 bytes, each size in turn ${ENVIRONMENT_ROUNDS} times: medians, also of what each turn takes more ` +
        "than the one without variables right before it, and the quarters.",
      await byEnvironment(bench),
    ].join("\n\n");
  },
};

/** None, 0.5, 2 and 8 kB. */
const ENVIRONMENTS = [0, 10, 40, 160];

/** Short turns: a host that does something else meanwhile spoils few of them, and one and its neighbour alike. */
const ENVIRONMENT_ROUNDS = 60;

async function byEnvironment(bench: Bench): Promise<string> {
  bench.say("in the kernel, environments");
  // Kept, because only then it is waited for until its programs are there.
  await using running = await RunningTool.start(runOf("ebpf"), bench.loads, true);
  const costs = ENVIRONMENTS.map((): number[] => []);
  const increases = ENVIRONMENTS.map((): number[] => []);
  const count = Math.ceil(bench.count / 20);
  for (let round = 0; round < ENVIRONMENT_ROUNDS; round++) {
    let without = 0;
    for (const [at, variables] of ENVIRONMENTS.entries()) {
      const before = programNs(running.pids);
      const { execs } = await bench.loads.run(bench.loads.shortest, count, 1, newMark(), variables);
      const cost = (programNs(running.pids) - before) / execs / 1e3;
      if (at === 0) without = cost;
      costs[at]?.push(cost);
      increases[at]?.push(cost - without);
    }
  }
  const row = (list: readonly (readonly number[])[], part: number): string[] =>
    list.map((values) => number(quantile(values, part), 2));
  return table(
    ["", ...ENVIRONMENTS.map((variables) => `${variables} variables`)],
    [
      ["us", ...row(costs, 0.5)],
      ["more than without", ...row(increases, 0.5)],
      ["lower quarter", ...row(increases, 0.25)],
      ["upper quarter", ...row(increases, 0.75)],
    ],
  );
}
