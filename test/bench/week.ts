// `npm run bench:week`: what a server does in a week, in half an hour: 10 million execs. Nearly all of them come from the
// synthetic server, as records of the kernel's through a pipe into the sensor of a real warden; the rest are live. Every
// process of `treewarden run` is a real one, from an executable in which that pipe is compiled into the sensor, and in
// which the hour for which an unknown tree keeps its series after its last process is an hour of that week: the stream runs
// that much faster, so that otherwise the trees of a whole week would be those of one hour.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeFifo } from "../../src/linux/fifo.ts";
import { Loads } from "./load.ts";
import { privateMb } from "./memory.ts";
import { number, table, whole } from "./table.ts";
import { newMark, RunningTool, sumOf } from "./tool-run.ts";
import { runOf } from "./tools.ts";
import { list } from "./usage.ts";
import { compileWithSensor } from "./week/executable.ts";

const { values: flags } = parseArgs({
  options: {
    execs: { type: "string", default: "10000000" },
    /** Execs a second: from the stream, and live. */
    rate: { type: "string", default: "6000" },
    live: { type: "string", default: "60" },
    samples: { type: "string", default: "40" },
    /** The share of jobs that run a program whose name is new: some 1,000 of them in 10 million execs. */
    releases: { type: "string", default: "0.0004" },
    /** Unknown trees keep their series for a real hour. */
    "real-hour": { type: "boolean", default: false },
  },
});
const execs = Number(flags.execs);
const rate = Number(flags.rate);
const samples = Number(flags.samples);

using loads = new Loads();
const pipe = join(loads.folder, "stream");
makeFifo(pipe);
const program = join(loads.folder, "week");
const WEEK_SECONDS = 7 * 86_400;
const hourMs = flags["real-hour"] ? 3_600_000 : (3_600_000 * (execs / rate)) / WEEK_SECONDS;
compileWithSensor(program, `withRecordedStream(open(options), ${JSON.stringify(pipe)})`, hourMs);
const tool = runOf("ebpf");
await using running = await RunningTool.start(
  { ...tool, command: (place) => tool.command({ ...place, treewarden: program }) },
  loads,
  false,
);
await execsSeen();
await using feeder = Bun.spawn(
  [
    process.execPath,
    join(import.meta.dir, "week/feeder.ts"),
    pipe,
    String(execs),
    String(rate),
    flags.releases,
  ],
  { stdout: "inherit", stderr: "inherit" },
);
const live = new AbortController();
const living = keepLiving(live.signal);
const rows: string[][] = [];
let names: readonly string[] = [];
const begin = performance.now();
for (let at = 0; at <= samples; at += 1) {
  for (;;) {
    const seen = await execsSeen();
    if (seen >= (execs / samples) * at || feeder.exitCode !== null) {
      sample(privateMb(running), seen);
      break;
    }
    await Bun.sleep(1_000);
  }
}
live.abort();
await living;
await Bun.sleep(20_000);
const atRest = privateMb(running);
sample(atRest, await execsSeen());
const lost = sumOf(await running.metrics(), "treewarden_events_lost_total");
console.log(`MB of private memory (RssAnon), all processes and each; ${lost} events lost.\n`);
console.log(table(["s", "execs", "all", "descriptors of the warden", ...names], rows));

/** A busy host answers late, and a start takes a while. */
async function execsSeen(): Promise<number> {
  for (let attempt = 0; ; attempt += 1)
    try {
      return sumOf(await running.metrics(), "treewarden_events_total", 'event="exec"');
    } catch (error) {
      if (attempt === 30) throw error;
      await Bun.sleep(1_000);
    }
}

function sample({ all, each }: ReturnType<typeof privateMb>, seen: number): void {
  if (names.length === 0) names = [...each.keys()];
  const warden = running.pids[[...each.keys()].indexOf("tw-warden")] ?? 0;
  const seconds = (performance.now() - begin) / 1000;
  rows.push([
    whole(seconds),
    whole(seen),
    number(all),
    String(list(`/proc/${warden}/fd`).length),
    ...names.map((name) => number(each.get(name) ?? Number.NaN)),
  ]);
  console.error(rows.at(-1)?.join("  "));
}

/** Programs that really run, beside the stream. */
async function keepLiving(signal: AbortSignal): Promise<void> {
  while (!signal.aborted)
    await Promise.all(
      loads.all.map((load) => loads.paced(load.program, Number(flags.live) / 2, 10, newMark())),
    );
}
