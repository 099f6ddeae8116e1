// CPU, memory and start-up of treewarden and its peers on the same loads.
import type { Load } from "./load.ts";
import type { Bench, Section } from "./section.ts";
import { median, number, percent, table } from "./table.ts";
import { newMark, RunningTool, SETTLE_MS, sumOf } from "./tool-run.ts";
import { sizeOf, type Tool } from "./tools.ts";
import { kernelThreadSeconds } from "./usage.ts";

interface Cost {
  /** us of CPU for each exec of the first load, and of the second, when its code has been compiled. */
  readonly first: number;
  readonly later: number;
  /** us for each exec that kernel threads used. */
  readonly woken: number;
  readonly residentMb: number;
  readonly privateMb: number;
}

export const cost: Section = {
  title: "CPU and memory",
  measure: async (bench) => {
    const parts = [
      "CPU of all its processes in us for each exec, output to /dev/null, medians: for the first " +
        `${bench.count} execs after the start, and for the next ${bench.count}. "Of extrace" and "of execsnoop" compare the ` +
        "latter. What kernel threads used is that which they used more than in the run without any tool. Memory is taken " +
        "right after the load; private is RssAnon of all its processes together.",
    ];
    for (const load of bench.loads.all) parts.push(`**${load.name}**, one parent`, await costOf(bench, load));
    return parts.join("\n\n");
  },
};

async function costOf(bench: Bench, load: Load): Promise<string> {
  const all = [...bench.peers, ...bench.wardens];
  const costs = new Map<Tool, Cost[]>();
  const alone: number[] = [];
  for (let round = 1; round <= bench.rounds; round++) {
    bench.say(`cost, ${load.name}, round ${round} of ${bench.rounds}`);
    const before = kernelThreadSeconds();
    const { execs } = await bench.loads.run(load, bench.count, 1, newMark());
    alone.push(((kernelThreadSeconds() - before) / execs) * 1e6);
    for (const tool of all) {
      costs.set(tool, [...(costs.get(tool) ?? []), await measure(bench, tool, load)]);
    }
  }
  const middle = (tool: Tool, pick: (cost: Cost) => number): number =>
    median((costs.get(tool) ?? []).map(pick));
  const compared = (tool: Tool, name: string): string => {
    const peer = all.find((one) => one.name === name);
    if (peer === undefined) return "-";
    return `${number(middle(tool, (one) => one.later) / middle(peer, (one) => one.later), 2)} x`;
  };
  return table(
    ["", "first", "later", "of extrace", "of execsnoop", "kernel threads", "RSS MB", "private MB"],
    all.map((tool) => [
      tool.name,
      number(middle(tool, (one) => one.first)),
      number(middle(tool, (one) => one.later)),
      compared(tool, "extrace"),
      compared(tool, "execsnoop"),
      number(Math.max(0, middle(tool, (one) => one.woken) - median(alone))),
      number(middle(tool, (one) => one.residentMb)),
      number(middle(tool, (one) => one.privateMb)),
    ]),
  );
}

async function measure(bench: Bench, tool: Tool, load: Load): Promise<Cost> {
  await using running = await RunningTool.start(tool, bench.loads, false);
  const [start, kernelStart] = [running.cpuSeconds(), kernelThreadSeconds()];
  await bench.loads.run(load, bench.count, 1, newMark());
  await Bun.sleep(SETTLE_MS);
  const between = running.cpuSeconds();
  await bench.loads.run(load, bench.count, 1, newMark());
  await Bun.sleep(SETTLE_MS);
  const memory = running.memory();
  return {
    first: ((between - start) / bench.count) * 1e6,
    later: ((running.cpuSeconds() - between) / bench.count) * 1e6,
    woken: ((kernelThreadSeconds() - kernelStart) / (2 * bench.count)) * 1e6,
    residentMb: memory.resident / 1024,
    privateMb: memory.anonymous / 1024,
  };
}

const PARENTS = [1, 4];

export const attribution: Section = {
  title: "Attribution",
  measure: async (bench) => {
    const tools = [...bench.peers, ...bench.wardens];
    const rows = tools.map((tool) => [tool.name]);
    const starts: number[][] = tools.map(() => []);
    for (const load of bench.loads.all) {
      for (const parents of PARENTS) {
        for (const [at, tool] of tools.entries()) {
          bench.say(`attribution, ${load.name}, ${parents} parents, ${tool.name}`);
          const { named, lost, startMs } = await attribute(bench, tool, load, parents);
          rows[at]?.push(lost > 0 ? `${percent(named, 2)}, ${lost} lost` : percent(named, 2));
          starts[at]?.push(startMs);
        }
      }
    }
    for (const [at, tool] of tools.entries()) {
      rows[at]?.push(
        number(median(starts[at] ?? []), 0),
        number(sizeOf(tool, bench.loads.treewarden) / 1e6, 2),
      );
    }
    const columns = bench.loads.all.flatMap((load) =>
      PARENTS.map(
        (parents) => `${load.label === "base" ? load.name : "static"}, ${parents} x ${bench.count}`,
      ),
    );
    return [
      "Share of the execs that it names: for the peers those whose arguments appear at all; for `treewarden trace` those " +
        "whose executable, every argument and tree are right; for `treewarden run`, which tells no plain exec, those that " +
        "its own counters do not call lost or unattributed. The start is that to the first exec told (`run`: to being " +
        "ready), the median of all these runs; the size is the program's, without the libraries it loads.",
      table(["", ...columns, "start ms", "size MB"], rows),
    ].join("\n\n");
  },
};

async function attribute(bench: Bench, tool: Tool, load: Load, parents: number) {
  await using running = await RunningTool.start(tool, bench.loads, true);
  const mark = newMark();
  const before = tool.tells === "counts" ? counted(await running.metrics()) : undefined;
  const { execs } = await bench.loads.run(load, bench.count, parents, mark);
  await Bun.sleep(SETTLE_MS * (parents > 1 ? 3 : 1));
  const { startMs } = running;
  if (before === undefined) {
    await running.end();
    const { named, lost } = running.told(load, mark);
    return { named: named / execs, lost, startMs };
  }
  // Totals cross to the reporter once a second.
  await Bun.sleep(1_500);
  const after = counted(await running.metrics());
  const seen = Math.min(execs, after.execs - before.execs) - (after.unattributed - before.unattributed);
  return { named: seen / execs, lost: after.lost - before.lost, startMs };
}

function counted(metrics: string): { execs: number; unattributed: number; lost: number } {
  return {
    execs: sumOf(metrics, "treewarden_events_total", 'event="exec"'),
    unattributed: sumOf(metrics, "treewarden_execs_unattributed_total"),
    lost: sumOf(metrics, "treewarden_events_lost_total"),
  };
}
