// `npm run bench:idle`: what every process of `treewarden run` costs on a host where nothing starts. A host that measures is
// no such host, so the eBPF sensor is attached and nothing of it is read.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Loads } from "./load.ts";
import { privateMb } from "./memory.ts";
import { number, table } from "./table.ts";
import { RunningTool } from "./tool-run.ts";
import { runOf } from "./tools.ts";
import { cpuSeconds, list, nameOf } from "./usage.ts";
import { compileWithSensor } from "./week/executable.ts";

const { values: flags } = parseArgs({ options: { seconds: { type: "string", default: "300" } } });
const seconds = Number(flags.seconds);
/** Until the examiner sleeps, and garbage of the start is collected. */
const SETTLED_MS = 20_000;

using loads = new Loads();
const program = join(loads.folder, "idle");
compileWithSensor(program, "withoutEvents(open(options))");
const tool = runOf("ebpf");
await using running = await RunningTool.start(
  { ...tool, command: (place) => tool.command({ ...place, treewarden: program }) },
  loads,
  false,
);
await Bun.sleep(SETTLED_MS);
const { pids } = running;
const before = pids.map((pid) => ({ cpu: cpuSeconds([pid]), switches: switches(pid) }));
await Bun.sleep(seconds * 1000);
const { each } = privateMb(running);
let share = 0;
const rows = pids.map((pid, i) => {
  const cpu = ((cpuSeconds([pid]) - (before[i]?.cpu ?? 0)) / seconds) * 100;
  share += cpu;
  const name = nameOf(pid);
  const woken = (switches(pid) - (before[i]?.switches ?? 0)) / seconds;
  return [name, cpu.toFixed(4), number(woken), number(each.get(name) ?? Number.NaN)];
});
console.log(`${seconds} s: ${share.toFixed(3)} % of a CPU.\n`);
console.log(table(["process", "% of a CPU", "wake-ups a second", "private MB"], rows));

/** How often the threads of a process have waited (proc_pid_status(5), voluntary_ctxt_switches). */
function switches(pid: number): number {
  let all = 0;
  for (const task of list(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, "latin1");
    all += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return all;
}
