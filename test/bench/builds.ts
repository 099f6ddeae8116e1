// This build of treewarden beside another one: CPU and memory of both at once, on the same execs, so that what disturbs
// one disturbs the other; and how soon each kills, in turn.
import type { Loads } from "./load.ts";
import type { Bench, Section } from "./section.ts";
import { median, number, quantile, table, whole } from "./table.ts";
import { newMark, RunningTool, SETTLE_MS } from "./tool-run.ts";
import { before, runOf, type Tool } from "./tools.ts";
import { cpuSeconds, mainThreadSeconds, memory, nameOf } from "./usage.ts";
import { killing } from "./verdicts.ts";

/** 1.5 kB of environment, as services and logins have. */
const VARIABLES = 30;
/** Until the files of the host have been examined and the first garbage has been collected. */
const READY_MS = 8_000;
/** After the load, until garbage has been collected. */
const COLLECTED_MS = 12_000;
const KILL_RATE = 50;
const KILL_SECONDS = 4;

export const builds: Section = {
  title: "Two builds on the same execs",
  measure: async (bench) => {
    const other = bench.before;
    if (other === undefined) throw new Error("section builds needs --before FILE");
    const run = runOf("ebpf");
    const tools = [before(run, other), run];
    return [
      `\`treewarden run\`, eBPF, two builds at the same time: /bin/true with ${VARIABLES} variables in its environment, ` +
        `${whole(bench.count)} execs a round, ${bench.rounds} rounds after a first one; medians, in us of CPU for each exec. ` +
        "Private memory in MB, without the examiner, which ends: before the load, after it, and when garbage was collected.",
      await costs(bench, tools),
      `From a program's first instruction to its end by SIGKILL, as its parent sees it, ${KILL_RATE} a second: each build ` +
        `alone, in turn, ${bench.rounds} times.`,
      await killTimes(bench, other),
    ].join("\n\n");
  },
};

interface Use {
  /** Seconds of CPU of the warden's main thread; of the whole warden; of the others. */
  readonly main: number;
  readonly warden: number;
  readonly others: number;
}

function useOf(running: RunningTool): Use {
  const pids = running.pids.filter((pid) => nameOf(pid) !== "tw-examiner");
  const wardens = pids.filter((pid) => nameOf(pid) === "tw-warden");
  const others = pids.filter((pid) => !wardens.includes(pid));
  return {
    main: wardens.reduce((sum, pid) => sum + mainThreadSeconds(pid), 0),
    warden: cpuSeconds(wardens),
    others: cpuSeconds(others),
  };
}

function privateMb(running: RunningTool): number {
  const pids = running.pids.filter((pid) => nameOf(pid) !== "tw-examiner");
  return memory(pids).anonymous / 1024;
}

async function costs(bench: Bench, tools: readonly Tool[]): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const all: RunningTool[] = [];
  for (const tool of tools) all.push(stack.use(await RunningTool.start(tool, bench.loads, false)));
  await Bun.sleep(READY_MS);
  const [load] = bench.loads.all;
  if (load === undefined) throw new Error("there are no loads");
  const memories = all.map((running) => [privateMb(running)]);
  const rounds: Use[][] = all.map(() => []);
  const first: Use[] = [];
  for (let round = 0; round <= bench.rounds; round += 1) {
    bench.say(`builds, cost, round ${round} of ${bench.rounds}`);
    const start = all.map(useOf);
    await bench.loads.run(load, bench.count, 1, newMark(), VARIABLES);
    await Bun.sleep(2 * SETTLE_MS);
    for (const [at, running] of all.entries()) {
      const used = difference(useOf(running), start[at]);
      if (round === 0) first.push(used);
      else rounds[at]?.push(used);
    }
  }
  for (const [at, running] of all.entries()) memories[at]?.push(privateMb(running));
  await Bun.sleep(COLLECTED_MS);
  for (const [at, running] of all.entries()) memories[at]?.push(privateMb(running));
  const perExec = (seconds: number): string => number((seconds / bench.count) * 1e6);
  return table(
    [
      "",
      "first round",
      "main thread",
      "its helpers",
      "other processes",
      "MB before",
      "MB after",
      "MB collected",
    ],
    tools.map((tool, at) => {
      const used = rounds[at] ?? [];
      return [
        tool.name,
        perExec(first[at]?.main ?? Number.NaN),
        perExec(median(used.map(({ main }) => main))),
        perExec(median(used.map(({ main, warden }) => warden - main))),
        perExec(median(used.map(({ others }) => others))),
        ...(memories[at] ?? []).map((mb) => number(mb)),
      ];
    }),
  );
}

function difference(after: Use, start: Use | undefined): Use {
  return {
    main: after.main - (start?.main ?? 0),
    warden: after.warden - (start?.warden ?? 0),
    others: after.others - (start?.others ?? 0),
  };
}

async function killTimes(bench: Bench, other: string): Promise<string> {
  const names = ["before", "this build"];
  const times: number[][] = names.map(() => []);
  let started = 0;
  for (let round = 1; round <= bench.rounds; round += 1) {
    bench.say(`builds, kills, round ${round} of ${bench.rounds}`);
    const order = round % 2 === 0 ? [0, 1] : [1, 0];
    for (const at of order) {
      await using running = await startKilling(bench.loads, at === 0 ? other : undefined);
      void running;
      await bench.loads.run(bench.loads.shortest, 2_000, 1, newMark());
      await bench.loads.paced(bench.loads.victim, KILL_RATE, 2);
      const run = await bench.loads.paced(bench.loads.victim, KILL_RATE, KILL_SECONDS);
      times[at]?.push(...run.killed);
      if (at === 1) started += run.execs;
    }
  }
  const ms = (values: readonly number[], share: number): string => number(quantile(values, share) / 1e6, 2);
  return table(
    ["", "killed", "of", "p50 ms", "p90 ms", "p99 ms"],
    names.map((name, at) => {
      const values = times[at] ?? [];
      const quantiles = [0.5, 0.9, 0.99].map((share) => ms(values, share));
      return [name, whole(values.length), whole(started), ...quantiles];
    }),
  );
}

/** The build in the file `other`, or this one. One that does not know `armed` acts without it. */
async function startKilling(loads: Loads, other: string | undefined): Promise<RunningTool> {
  const toolOf = (isArmed: boolean): Tool => {
    const tool = killing(loads, "ebpf", isArmed);
    return other === undefined ? tool : before(tool, other);
  };
  const armed = await RunningTool.start(toolOf(true), loads, false).catch(() => undefined);
  return armed ?? (await RunningTool.start(toolOf(false), loads, false));
}
