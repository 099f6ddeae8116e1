// `npm run bench:hot`: the hot path alone, in us of CPU and bytes for each exec, and what each of its caches is worth.
// Neither root nor a kernel feature is needed. Noise is bounded by taking turns: a short round of the source as it is,
// then one without a cache, and so on; a figure is the median of the rounds of several processes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine, writeSection } from "./document.ts";
import { type StreamKind, streamKinds } from "./hot/host.ts";
import { HotProcess } from "./hot/process.ts";
import { writeStream } from "./hot/stream.ts";
import { trials } from "./hot/trials.ts";
import { median, number, percent, quantile, table, whole } from "./table.ts";

const TITLE = "The hot path alone";
/** Less than this is not worth a cache. */
const WORTH = 0.03;
/** After so many rounds without a cache comes one of the source as it is. */
const TURN = 3;
/** Execs of a round: some 10 ms. */
const EXECS = 1_000;
/** A new name takes many times as long as a known one. */
const EXECS_NEW = 100;
/** Execs whose allocations are added up. */
const EXECS_ALLOCATED = 4_000;

const { values: flags } = parseArgs({
  options: {
    /** Rounds of each process. */
    rounds: { type: "string", default: "20" },
    /** Sets of processes: what one process's compiler or memory happened to do must not be a cache's. */
    processes: { type: "string", default: "3" },
    /** Only trials with one of these texts in their name, separated by commas. */
    only: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(flags.rounds);
const sets = Number(flags.processes);
const chosen = trials.filter(({ name }) => flags.only.split(",").some((text) => name.includes(text)));

const directory = mkdtempSync(join(tmpdir(), "hot-streams-"));
try {
  const when = machine();
  const text = [
    `${when}.`,
    "The synthetic web server of `test/bench/hot/host.ts` (nginx, php-fpm, cron, sshd, containers, checks, a backup), " +
      "its records decoded, in the forest, identified, looked up in a baseline of some 4,000 trees, judged by the roles " +
      "web and base, recorded: no sensor, no kernel. us are those of the main thread's CPU, bytes what is allocated.",
    await streamsTable(),
    "The server at work without one of the caches: time and bytes more than with it, the median of the rounds; their " +
      `quarters; the medians of ${sets} processes. What was not worth ${percent(WORTH, 0)} has been removed.`,
    await trialsTable(),
  ].join("\n\n");
  console.log(`\n## ${TITLE}\n\n${text}`);
  if (flags.write) writeSection(TITLE, text, []);
} finally {
  rmSync(directory, { recursive: true });
}

/** The file of a stream of `execs` execs. */
function streamOf(kind: StreamKind, execs: number): string {
  const path = join(directory, `${kind}-${execs}`.replaceAll(" ", "-"));
  writeStream(path, kind, execs);
  return path;
}

async function streamsTable(): Promise<string> {
  const rows: string[][] = [];
  for (const kind of streamKinds) {
    const execs = kind.endsWith("new name") ? EXECS_NEW : EXECS;
    const path = streamOf(kind, Math.max(rounds * execs, EXECS_ALLOCATED));
    const times: number[] = [];
    for (let set = 0; set < sets; set++) {
      using measured = new HotProcess(path, undefined);
      for (let i = 0; i < rounds; i++) times.push(await timeOf(measured, execs));
    }
    const bytes = await bytesOf(path, undefined);
    rows.push([kind, number(median(times), 2), quarters(times, (us) => number(us, 2)), whole(bytes)]);
    console.error(`bench: ${rows.at(-1)?.join("  ")}`);
  }
  return table(["stream", "us for each exec", "quarters", "bytes"], rows);
}

async function trialsTable(): Promise<string> {
  const turns = Math.ceil(chosen.length / TURN);
  const path = streamOf("mixed", (rounds * turns + 1) * EXECS);
  const ratios = new Map<string, number[]>(chosen.map(({ name }) => [name, []]));
  const medians = new Map<string, number[]>(chosen.map(({ name }) => [name, []]));
  for (let set = 0; set < sets; set++) {
    using stack = new DisposableStack();
    const whole = stack.use(new HotProcess(path, undefined));
    const others = chosen.map(({ name }) => ({ name, process: stack.use(new HotProcess(path, name)) }));
    const ofSet = new Map<string, number[]>(chosen.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (let first = 0; first < others.length; first += TURN) {
        const turn = others.slice(first, first + TURN);
        const reference = await timeOf(whole, EXECS);
        for (const { name, process } of turn)
          ofSet.get(name)?.push((await timeOf(process, EXECS)) / reference - 1);
      }
    }
    for (const [name, list] of ofSet) {
      ratios.get(name)?.push(...list);
      medians.get(name)?.push(median(list));
    }
    console.error(`bench: set ${set + 1} of ${sets}`);
  }
  const bytes = await bytesOf(path, undefined);
  const rows: string[][] = [];
  for (const { name } of chosen) {
    const list = ratios.get(name) ?? [];
    const each = (medians.get(name) ?? []).map((share) => percent(share)).join(", ");
    const more = (await bytesOf(path, name)) - bytes;
    rows.push([name, percent(median(list)), quarters(list, percent), each, whole(more)]);
  }
  return table(["without", "time", "quarters", "processes", "bytes"], rows);
}

/** us of CPU for each exec of the next round. */
async function timeOf(process: HotProcess, execs: number): Promise<number> {
  const round = await process.round(execs);
  return round.cpuMicroseconds / round.execs;
}

/** Bytes allocated for each exec, by a process that collects no garbage. */
async function bytesOf(path: string, without: string | undefined): Promise<number> {
  using process = new HotProcess(path, without, false);
  const round = await process.round(EXECS_ALLOCATED);
  return round.bytes / round.execs;
}

function quarters(values: readonly number[], text: (value: number) => string): string {
  return `${text(quantile(values, 0.25))} - ${text(quantile(values, 0.75))}`;
}
