// `npm run bench`: treewarden and its peers on the same loads, in one run, medians of several rounds.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Loads } from "./load.ts";
import { type Measured, measure, measureAlone } from "./tool-run.ts";
import { type Tool, tools } from "./tools.ts";
import { median } from "./usage.ts";

const { values: flags } = parseArgs({
  options: {
    count: { type: "string", default: "5000" },
    rounds: { type: "string", default: "3" },
    parents: { type: "string", default: "1" },
    only: { type: "string", default: "" },
  },
});
const count = Number(flags.count);
const rounds = Number(flags.rounds);
const parents = Number(flags.parents);

if (process.geteuid?.() !== 0) {
  console.error("bench: only root may watch every process");
  process.exit(3);
}

const chosen = tools.filter((tool) => tool.name.includes(flags.only) && isThere(tool));
using tracefs = chosen.some((tool) => tool.needsTracefs) ? mountTracefs() : undefined;
void tracefs;
using loads = new Loads();

const header = [
  "",
  "named",
  "CPU µs/exec",
  "of extrace's",
  "load's rate",
  "RSS MB",
  "private MB",
  "start ms",
];
for (const load of loads.all) {
  const alone: number[] = [];
  const results = new Map<Tool, Measured[]>();
  for (let round = 0; round < rounds; round++) {
    console.error(`bench: ${load.name}, round ${round + 1} of ${rounds}`);
    alone.push(await measureAlone(loads, load, count, parents));
    for (const tool of chosen) {
      try {
        const list = results.get(tool) ?? [];
        list.push(await measure(tool, loads, load, count, parents));
        results.set(tool, list);
      } catch (error) {
        console.error(`bench: ${tool.name}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  print(load.name, median(alone), results);
}
const binary = join(import.meta.dir, "../../dist/treewarden");
console.log(`\nBinary: ${(statSync(binary).size / 1e6).toFixed(1)} MB`);

function print(name: string, alone: number, results: ReadonlyMap<Tool, readonly Measured[]>): void {
  const peer = [...results].find(([tool]) => tool.name === "extrace")?.[1].map((one) => one.cpuMicros) ?? [];
  const rows = [...results].map(([tool, list]) => {
    const middle = (pick: (one: Measured) => number): number => median(list.map(pick));
    return [
      tool.name,
      percent(middle((one) => one.named)),
      number(middle((one) => one.cpuMicros)),
      peer.length === 0 ? "-" : `${number(middle((one) => one.cpuMicros) / median(peer), 2)}x`,
      percent(middle((one) => one.rate) / alone),
      number(middle((one) => one.memory.resident) / 1024),
      number(middle((one) => one.memory.anonymous) / 1024),
      number(
        middle((one) => one.startMs),
        0,
      ),
    ];
  });
  const who = parents === 1 ? "one parent" : `${parents} parents`;
  console.log(
    `\n${name}, ${count} back to back from ${who}, median of ${rounds}; alone ${Math.round(alone)} a second\n`,
  );
  const table = [header, header.map(() => "---"), ...rows];
  const widths = header.map((_, column) => Math.max(...table.map((row) => (row[column] ?? "").length)));
  for (const row of table) {
    console.log(`| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`);
  }
}

function number(value: number, digits = 1): string {
  return Number.isNaN(value) ? "-" : value.toFixed(digits);
}

function percent(value: number): string {
  return Number.isNaN(value) ? "-" : `${(value * 100).toFixed(1)} %`;
}

function isThere(tool: Tool): boolean {
  if (tool.package === undefined || Bun.which(tool.name) !== null) return true;
  console.error(`bench: ${tool.name} is not installed (Debian package ${tool.package})`);
  return false;
}

/** Mounted for the run, and only if it was not. */
function mountTracefs(): Disposable | undefined {
  const path = "/sys/kernel/tracing";
  if (existsSync(`${path}/events`)) return undefined;
  if (!Bun.spawnSync(["mount", "-t", "tracefs", "tracefs", path]).success) return undefined;
  return { [Symbol.dispose]: () => void Bun.spawnSync(["umount", path]) };
}
