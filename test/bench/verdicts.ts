// How soon a program that may not run is dead.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Loads } from "./load.ts";
import type { Bench, Section } from "./section.ts";
import { number, percent, quantile, table } from "./table.ts";
import { newMark, RunningTool } from "./tool-run.ts";
import { runOf, type Source, type Tool } from "./tools.ts";

const RATE = 50;
const SECONDS = 6;
/** Execs a second beside it. */
const BESIDE = 500;

export const verdicts: Section = {
  title: "Verdict latency",
  measure: async (bench) => {
    const rows: string[][] = [];
    for (const source of ["ebpf", "netlink"] as const) {
      for (const beside of ["nothing", `${BESIDE} execs a second`, "execs back to back"] as const) {
        bench.say(`verdicts, ${source}, beside ${beside}`);
        rows.push([source, beside, ...(await latencies(bench, source, beside))]);
      }
    }
    return [
      `\`--enforcement kill\`, a policy that kills one program by its path, started ${RATE} times a second for ${SECONDS} s, ` +
        "beside other programs as said. Kernel time of the exec to the verdict carried out, SIGKILL sent: " +
        "`treewarden_verdict_seconds`, within its buckets interpolated. Seen from outside: the program's first instruction to its " +
        "end as waitpid(2) of its parent tells it.",
      table(
        [
          "source",
          "beside",
          "killed",
          "p50 ms",
          "p99 ms",
          "within 300 us",
          "within 3 ms",
          "outside p50 ms",
          "outside p99 ms",
        ],
        rows,
      ),
    ].join("\n\n");
  },
};

async function latencies(bench: Bench, source: Source, beside: string): Promise<string[]> {
  const { loads } = bench;
  await using running = await RunningTool.start(killing(loads, source), loads, true);
  await loads.run(loads.shortest, 5_000, 1, newMark());
  await loads.paced(loads.victim, RATE, 2);
  await Bun.sleep(1_500);
  const before = histogram(await running.metrics());
  const seconds = SECONDS + 0.5;
  const [run] = await Promise.all([
    loads.paced(loads.victim, RATE, SECONDS),
    beside === "nothing"
      ? undefined
      : loads.paced(loads.shortest.program, beside.startsWith("execs") ? 0 : BESIDE, seconds),
  ]);
  await Bun.sleep(1_500);
  const after = histogram(await running.metrics());
  const grown = after.map(([bound, count], at): Bucket => [bound, count - (before[at]?.[1] ?? 0)]);
  const outside = (part: number): string => number(quantile(run.killed, part) / 1e6, 2);
  return [
    percent(run.killed.length / run.execs),
    number(interpolated(grown, 0.5) * 1e3, 2),
    number(interpolated(grown, 0.99) * 1e3, 2),
    percent(within(grown, 300e-6)),
    percent(within(grown, 3e-3)),
    outside(0.5),
    outside(0.99),
  ];
}

/** Its policy can hit nothing but the benchmark's own program. `isArmed`: false for builds that know no `armed`. */
export function killing(loads: Loads, source: Source, isArmed = true): Tool {
  const policy = join(loads.folder, "policy.json");
  const config = join(loads.folder, "config.yaml");
  const rule = {
    id: "bench-victim",
    when: { "==": [{ var: "process.executable.path" }, loads.victim] },
    action: "kill",
  };
  writeFileSync(policy, JSON.stringify({ role: "bench", rules: [rule], default: "allow" }));
  const armed = isArmed ? "armed: all\narmed_since_hours: 0\n" : "";
  writeFileSync(config, `${armed}kill:\n  max_per_minute: 10000\n`);
  return runOf(source, "--config", config, "--policy", policy, "--enforcement", "kill");
}

type Bucket = readonly [bound: number, count: number];

/** Cumulative, as Prometheus has them. */
function histogram(metrics: string): Bucket[] {
  const bounds = [50e-6, 100e-6, 300e-6, 1e-3, 3e-3, 10e-3, 50e-3, 1];
  const buckets: Bucket[] = [];
  for (const line of metrics.split("\n")) {
    if (!line.startsWith("treewarden_verdict_seconds_bucket{") || !line.includes('outcome="killed"'))
      continue;
    const bound = /le="([^"]+)"/.exec(line)?.[1] ?? "";
    buckets.push([
      bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound),
      Number(line.slice(line.lastIndexOf(" ") + 1)),
    ]);
  }
  return buckets.length > 0 ? buckets : bounds.map((bound): Bucket => [bound, 0]);
}

function interpolated(buckets: readonly Bucket[], part: number): number {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total === 0) return Number.NaN;
  const wanted = total * part;
  let [lowBound, lowCount] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= wanted) {
      if (bound === Number.POSITIVE_INFINITY || count === lowCount) return lowBound;
      return lowBound + ((bound - lowBound) * (wanted - lowCount)) / (count - lowCount);
    }
    [lowBound, lowCount] = [bound, count];
  }
  return lowBound;
}

function within(buckets: readonly Bucket[], bound: number): number {
  const total = buckets.at(-1)?.[1] ?? 0;
  const found = buckets.find(([one]) => Math.abs(one - bound) < 1e-9);
  return total === 0 || found === undefined ? Number.NaN : found[1] / total;
}
