// Is memory flat? 500 execs a second for a while, private memory of all processes at intervals.
import { privateMb } from "./memory.ts";
import type { Bench } from "./section.ts";
import { median, number, percent, table, whole } from "./table.ts";
import { newMark, RunningTool, sumOf } from "./tool-run.ts";
import { runOf } from "./tools.ts";

/** Half of them /bin/true, half the static program. */
const RATE = 500;

export interface Soak {
  readonly text: string;
  /** MB at each interval, the start left out. */
  readonly privateMb: readonly number[];
  readonly lost: number;
}

export async function soak(bench: Bench, seconds: number, interval: number): Promise<Soak> {
  await using running = await RunningTool.start(runOf("ebpf"), bench.loads, false);
  const rows: string[][] = [];
  const all: number[] = [];
  let names: readonly string[] = [];
  const sample = (at: number): void => {
    const now = privateMb(running);
    if (names.length === 0) names = [...now.each.keys()];
    if (at > 0) all.push(now.all);
    rows.push([
      String(at),
      number(now.all),
      ...names.map((name) => number(now.each.get(name) ?? Number.NaN)),
    ]);
    bench.say(`soak, ${at} of ${seconds} s: ${number(now.all)} MB`);
  };
  sample(0);
  const cpu = running.cpuSeconds();
  const load = Promise.all(
    bench.loads.all.map((one) => bench.loads.paced(one.program, RATE / 2, seconds, newMark())),
  );
  const begin = performance.now();
  for (let at = interval; at <= seconds; at += interval) {
    await Bun.sleep(begin + at * 1000 - performance.now());
    sample(at);
  }
  const execs = (await load).reduce((sum, run) => sum + run.execs, 0);
  const share = (running.cpuSeconds() - cpu) / seconds;
  await Bun.sleep(1_500);
  const lost = sumOf(await running.metrics(), "treewarden_events_lost_total");
  const half = all.length >> 1;
  const [early, late] = [median(all.slice(0, half)), median(all.slice(half))];
  const text = [
    `\`treewarden run\`, eBPF, ${RATE} execs a second for ${seconds} s (${whole(execs)} execs), half of them /bin/true: MB of RssAnon ` +
      `of all processes together, then of each. ${percent(share)} of a CPU, ${lost} events lost. Median of the first half ` +
      `${number(early)} MB, of the second ${number(late)} MB.`,
    table(["s", "all", ...names], rows),
  ].join("\n\n");
  return { text, privateMb: all, lost };
}
