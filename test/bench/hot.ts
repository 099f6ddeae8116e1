// `npm run bench:hot`: the hot path alone, in us of CPU and bytes for each exec, and what each of its caches is worth.
// Neither root nor a kernel feature is needed. Noise is bounded by taking turns: a short round of the source as it is,
// then some without a cache each, and so on. What disturbs a round only makes it longer, so that a process counts with
// the lower quartile of its rounds; a figure is the median of several processes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dice } from "../../build/randomness-names.ts";
import { machine, writeSection } from "./document.ts";
import { type StreamKind, streamKinds } from "./hot/host.ts";
import { namingCosts } from "./hot/naming.ts";
import { HotProcess, type Variant } from "./hot/process.ts";
import { writeStream } from "./hot/stream.ts";
import { trials } from "./hot/trials.ts";
import { median, number, percent, quantile, table, whole } from "./table.ts";

const TITLE = "The hot path alone";
/** Less than this is not worth a cache. */
const WORTH = 0.03;
/** After that many rounds without a cache comes one of the source as it is. */
const TURN = 3;
/** Processes that take turns, besides the one of the source as it is. */
const GROUP = 6;
/** Execs of a round: some 5 ms. */
const EXECS = 500;
/** A new name takes many times as long as a known one. */
const EXECS_NEW = 50;
/** Execs whose allocations are added up. */
const EXECS_ALLOCATED = 4_000;

const { values: flags } = parseArgs({
  options: {
    /** Rounds of each process. */
    rounds: { type: "string", default: "40" },
    /** Sets of processes: what one process's compiler or memory happened to do must not be a cache's. */
    processes: { type: "string", default: "3" },
    /** Only trials with one of these texts in their name, separated by commas. */
    only: { type: "string", default: "" },
    /** Instead of the trials: another checkout of the repository, which must have this benchmark. */
    against: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(flags.rounds);
const sets = Number(flags.processes);

/** What is compared with the source as it is. */
const variants: readonly (Variant & { readonly name: string })[] =
  flags.against === undefined
    ? trials
        .filter(({ name }) => flags.only.split(",").some((text) => name.includes(text)))
        .map(({ name }) => ({ name, without: name }))
    : [{ name: flags.against, checkout: flags.against }];

const directory = mkdtempSync(join(tmpdir(), "hot-streams-"));
try {
  const when = machine();
  const text = [
    `${when}.`,
    "The synthetic web server of `test/bench/hot/host.ts` (nginx, php-fpm, cron, sshd, containers, checks, a backup), " +
      "its records decoded, in the forest, identified, looked up in a baseline of some 4,000 trees, judged by the roles " +
      "web and base, recorded: no sensor, no kernel. us are those of the main thread's CPU, the median of " +
      `${sets} processes with the least and the most of them; bytes are what is allocated.`,
    await streamsTable(),
    "Naming alone: what the identifier takes for a program.",
    namingTable(),
    `The server at work without one of the caches: time and bytes more than with all of them. What was not worth ${percent(WORTH, 0)} has been removed.`,
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
    const ofProcesses: number[] = [];
    for (let set = 0; set < sets; set++) {
      using measured = new HotProcess(path);
      const times: number[] = [];
      for (let i = 0; i < rounds; i++) times.push(await timeOf(measured, execs));
      ofProcesses.push(undisturbed(times));
    }
    const bytes = await bytesOf(path);
    rows.push([
      kind,
      number(median(ofProcesses), 2),
      spread(ofProcesses, (us) => number(us, 2)),
      whole(bytes),
    ]);
    console.error(`bench: ${rows.at(-1)?.join("  ")}`);
  }
  return table(["stream", "us for each exec", "of the processes", "bytes"], rows);
}

function namingTable(): string {
  const rows = namingCosts(rounds, dice(7)).map(([kind, us]) => [kind, number(us, 2)]);
  return table(["program with", "us"], rows);
}

async function trialsTable(): Promise<string> {
  const turns = Math.ceil(GROUP / TURN);
  const path = streamOf("mixed", Math.max(rounds * turns * EXECS, EXECS_ALLOCATED));
  const shares = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  for (let set = 0; set < sets; set++) {
    for (let first = 0; first < variants.length; first += GROUP) {
      const group = variants.slice(first, first + GROUP);
      for (const [name, share] of await turnsOf(path, group)) shares.get(name)?.push(share);
    }
    console.error(`bench: set ${set + 1} of ${sets}`);
  }
  const bytes = await bytesOf(path);
  const rows: string[][] = [];
  for (const variant of variants) {
    const { name } = variant;
    const list = shares.get(name) ?? [];
    const more = (await bytesOf(path, variant)) - bytes;
    rows.push([name, percent(median(list)), spread(list, percent), whole(more)]);
  }
  return table(["without", "time", "of the processes", "bytes"], rows);
}

/** One process without each of the caches, and one with all: by which share each of the former takes longer. */
async function turnsOf(path: string, group: typeof variants): Promise<Map<string, number>> {
  using stack = new DisposableStack();
  const reference = stack.use(new HotProcess(path));
  const usual: number[] = [];
  const others = group.map((variant) => {
    const times: number[] = [];
    return { name: variant.name, process: stack.use(new HotProcess(path, variant)), times };
  });
  for (let round = 0; round < rounds; round++) {
    for (const [i, { process, times }] of others.entries()) {
      if (i % TURN === 0) usual.push(await timeOf(reference, EXECS));
      times.push(await timeOf(process, EXECS));
    }
  }
  return new Map(others.map(({ name, times }) => [name, undisturbed(times) / undisturbed(usual) - 1]));
}

/** us of CPU for each exec of the next round. */
async function timeOf(process: HotProcess, execs: number): Promise<number> {
  const round = await process.round(execs);
  return round.cpuMicroseconds / round.execs;
}

/** Bytes allocated for each exec, by a process that collects no garbage. */
async function bytesOf(path: string, variant: Variant = {}): Promise<number> {
  using process = new HotProcess(path, { ...variant, collects: false });
  const round = await process.round(EXECS_ALLOCATED);
  return round.bytes / round.execs;
}

/** The lower quartile. */
function undisturbed(times: readonly number[]): number {
  return quantile(times, 0.25);
}

function spread(values: readonly number[], text: (value: number) => string): string {
  return `${text(Math.min(...values))} to ${text(Math.max(...values))}`;
}
