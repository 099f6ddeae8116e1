// What a scrape takes while programs of ever new names run: 2,000 trees have series of their own, the rest are counted.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { privateMb } from "./memory.ts";
import type { Bench } from "./section.ts";
import { median, number, quantile, table, whole } from "./table.ts";
import { RunningTool, sumOf } from "./tool-run.ts";
import { runOf } from "./tools.ts";

/** Distinct names that the program of the load can make. */
const MOST_TREES = 125_000;
/** Scrapes, as often as a Prometheus that wants to know everything would do it, s. */
const EVERY = 5;

interface Scrape {
  readonly ms: number;
  readonly bytes: number;
}

/** `trees` distinct trees in `seconds`. */
export async function scrape(bench: Bench, trees: number, seconds: number): Promise<string> {
  await using running = await RunningTool.start(runOf("ebpf"), bench.loads, false);
  const folder = join(bench.loads.folder, "named");
  mkdirSync(folder);
  const count = Math.min(trees, MOST_TREES);
  const load = bench.loads.newNames(folder, count, count / seconds);
  const begin = performance.now();
  const scrapes: Scrape[] = [];
  const rows: string[][] = [];
  for (let at = EVERY; load.exitCode === null; at += EVERY) {
    await Promise.race([load.exited, Bun.sleep(begin + at * 1000 - performance.now())]);
    const taken = await scrapeOnce(running.port);
    scrapes.push(taken);
    const { all } = privateMb(running);
    rows.push([String(at), number(taken.ms), whole(taken.bytes / 1e3), number(all)]);
    bench.say(`scrape after ${at} s: ${number(taken.ms)} ms, ${number(all)} MB`);
  }
  const text = await running.metrics();
  const times = scrapes.map(({ ms }) => ms);
  const own = text.match(/^process_seconds_count\{/gm)?.length ?? 0;
  const execs = Number(/^treewarden_events_total\{event="exec"\} (\d+)/m.exec(text)?.[1]);
  return [
    `${whole(count)} programs of different names in ${seconds} s, a scrape with gzip every ${EVERY} s. Scrapes: median ` +
      `${number(median(times))} ms, 95 % ${number(quantile(times, 0.95))} ms, longest ${number(Math.max(...times))} ms. ` +
      `${whole(execs)} execs seen; ${own} trees with series of their own; ` +
      `${whole(sumOf(text, "treewarden_trees_overflow_total"))} folded into /overflow; ` +
      `${sumOf(text, "treewarden_events_lost_total")} events lost.`,
    table(["s", "scrape, ms", "kB", "private MB of all processes"], rows),
  ].join("\n\n");
}

/** By curl(1), as another process would do it: this one is busy with the load. */
async function scrapeOnce(port: number): Promise<Scrape> {
  const format = "%{time_total} %{size_download}";
  const url = `http://127.0.0.1:${port}/metrics`;
  const curl = Bun.spawn(["curl", "-s", "--compressed", "-o", "/dev/null", "-w", format, url], {
    stdout: "pipe",
  });
  const [seconds = Number.NaN, bytes = Number.NaN] = (await new Response(curl.stdout).text())
    .split(" ")
    .map(Number);
  return { ms: seconds * 1000, bytes };
}
