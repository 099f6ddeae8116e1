// Events lost against the rate of execs.
import type { Bench, Section } from "./section.ts";
import { percent, table, whole } from "./table.ts";
import { newMark, RunningTool, SETTLE_MS } from "./tool-run.ts";
import { traceOf } from "./tools.ts";

const RATES = [100, 300, 1000, 3000];
const SECONDS = 2;

export const loss: Section = {
  title: "Events lost against exec rate",
  measure: async (bench) => {
    const tools = [...bench.peers, traceOf("netlink"), traceOf("ebpf")];
    const columns: string[][] = [];
    const reached: string[] = [];
    for (const [at, tool] of tools.entries()) {
      bench.say(`loss, ${tool.name}`);
      await using running = await RunningTool.start(tool, bench.loads, true);
      const column: string[] = [];
      const told: (() => string)[] = [];
      for (const start of loads(bench)) {
        const mark = newMark();
        const { execs, seconds } = await start(mark);
        await Bun.sleep(2 * SETTLE_MS);
        const share = (): string => {
          const { named, lost } = running.told(bench.loads.shortest, mark);
          return tool.tells === "records"
            ? `${percent(named / execs)}, ${lost} lost`
            : percent(named / execs);
        };
        if (tool.tells === "records") column.push(share());
        else told.push(share);
        if (at === tools.length - 1) reached.push(whole(execs / seconds));
      }
      await running.end();
      columns.push([...column, ...told.map((share) => share())]);
    }
    const names = [
      ...RATES.map((rate) => `${rate}`),
      "one parent, back to back",
      "four parents, back to back",
    ];
    return [
      `Share of the execs of a static program that only exits which are named, and events that treewarden knows it lost, over ` +
        `${SECONDS} s each. The rate reached is that of the last run.`,
      table(
        ["execs a second", "reached", ...tools.map((tool) => tool.name)],
        names.map((name, row) => [name, reached[row] ?? "", ...columns.map((column) => column[row] ?? "")]),
      ),
    ].join("\n\n");
  },
};

function loads(bench: Bench) {
  const { shortest } = bench.loads;
  const paced = RATES.map(
    (rate) => (mark: string) => bench.loads.paced(shortest.program, rate, SECONDS, mark),
  );
  const flood = [1, 4].map(
    (parents) => (mark: string) => bench.loads.run(shortest, bench.count, parents, mark),
  );
  return [...paced, ...flood];
}
