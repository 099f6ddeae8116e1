// Private memory against live and dead processes.
import type { Bench, Section } from "./section.ts";
import { number, table, whole } from "./table.ts";
import { newMark, RunningTool } from "./tool-run.ts";
import { runOf } from "./tools.ts";
import { memory as memoryOf, nameOf } from "./usage.ts";

const LIVE = [1_000, 5_000];
/** After it has been collected: treewarden does so 10 s after the last event. */
const SETTLED_MS = 12_000;

/** Private memory in MB of each of the processes, by name, and of all. */
export function privateMb(running: RunningTool): {
  readonly all: number;
  readonly each: ReadonlyMap<string, number>;
} {
  const each = new Map<string, number>();
  let all = 0;
  for (const pid of running.pids) {
    const mb = memoryOf([pid]).anonymous / 1024;
    each.set(nameOf(pid), mb);
    all += mb;
  }
  return { all, each };
}

export const memory: Section = {
  title: "Memory against live and dead processes",
  measure: async (bench) => {
    const rows: string[][] = [];
    let names: readonly string[] = [];
    await using running = await RunningTool.start(runOf("ebpf"), bench.loads, false);
    const sample = async (live: string, dead: string): Promise<void> => {
      bench.say(`memory, ${live} live, ${dead} dead`);
      const { all: atOnce } = privateMb(running);
      await Bun.sleep(SETTLED_MS);
      const { all, each } = privateMb(running);
      if (names.length === 0) names = [...each.keys()];
      rows.push([
        live,
        dead,
        number(atOnce),
        number(all),
        ...names.map((name) => number(each.get(name) ?? Number.NaN)),
      ]);
    };
    await sample("those of the host", "none");
    for (const count of LIVE) {
      await using _ = await bench.loads.hold(count);
      await sample(`${whole(count)} more`, "none");
    }
    await sample("those of the host", "as many as lived");
    let dead = 0;
    for (const more of [bench.count, 4 * bench.count, 5 * bench.count]) {
      await flood(bench, more);
      dead += more;
      await sample("those of the host", `${whole(dead)} more`);
    }
    return [
      "`treewarden run`, eBPF, MB of RssAnon of all processes together: right after the load, and 12 s later; then of each. " +
        "The dead were started back to back by one parent.",
      table(["live", "dead", "at once", "settled", ...names], rows),
    ].join("\n\n");
  },
};

async function flood(bench: Bench, count: number): Promise<void> {
  await bench.loads.run(bench.loads.shortest, count, 1, newMark());
}
