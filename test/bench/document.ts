// docs/performance.md: a section for each part of the benchmark, each replaced by itself.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import type { Bench } from "./section.ts";
import { versionOf } from "./tools.ts";

const path = join(import.meta.dir, "../../docs/performance.md");

const introduction = `# Performance

Written by the benchmark (\`npm run bench -- --write\`), not by hand. To repeat it, as root on a host that does nothing else, with a C compiler and Debian's packages extrace, forkstat, libbpf-tools and fapolicyd:

    npm run bench                                all of it, to standard output
    npm run bench -- --sections cost,verdicts    parts of it
    npm run bench -- --count 5000 --rounds 1     shorter
    npm run bench -- --sections prevention --rounds 5   what prevention costs an exec, beside fapolicyd
    npm run bench -- --write                     into this page
    npm run bench:soak -- --seconds 3600         an hour at 500 execs a second
    npm run bench:week                           10 million execs, synthetic and live, through every process
    npm run bench:idle                           what a host costs where nothing starts
    npm run bench:starved -- --cpu 0             busy loops and a storm for five minutes, then processes that hang
    npm run bench:telemetry                      export: cost, chaos, an hour without a collector; to standard output
    npm run bench:scrape                         100,000 different trees in ten minutes, and what a scrape takes
    npm run bench -- --sections builds --before FILE   this build and another one at once, on the same execs
    npm run bench:network                        what a connection costs, beside tcplife (--write: into this page)
    npm run bench:hot                            the hot path alone and what its caches are worth, without root
    npm run bench:hot -- --only lineages         parts of it (--write: into this page)

The loads are in \`test/bench/programs\`: programs started back to back with posix_spawn(3), each with arguments of its own. Figures of one machine at one time; what carries over are the ratios, since peers and treewarden ran in turn on the same load. CPU is that of all processes of a tool to the nanosecond (/proc/PID/task/TID/schedstat).
`;

/** Machine, kernel and versions: what the figures are of. */
export async function circumstances(bench: Bench): Promise<string> {
  const run = Bun.spawnSync([bench.loads.treewarden, "version"]);
  const version = run.stdout.toString().trim().split("\n")[0] ?? "";
  const peers = bench.peers.map((tool) => `${tool.package} ${versionOf(tool)}`).join(", ");
  return machine([version], [peers]);
}

/** When and on what: `programs` stand before Bun's version, `more` after the machine. */
export function machine(programs: readonly string[] = [], more: readonly string[] = []): string {
  const [load = ""] = readFileSync("/proc/loadavg", "latin1").split(" ");
  const [cpu] = cpus();
  const software = [...programs, `Bun ${Bun.version}`, `Linux ${release()}`];
  const hardware = [`${cpus().length} x ${cpu?.model ?? "CPU"}`, `${Math.round(totalmem() / 2 ** 30)} GiB`];
  const when = `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`;
  return [[when, ...software, ...hardware].join(", "), ...more, `load before it ${load}`].join("; ");
}

/** Puts `text` in the place of the section `title`, or at the end. */
export function writeSection(title: string, text: string, order: readonly string[]): void {
  const sections = new Map<string, string>();
  for (const part of readPage().split(/^## /m).slice(1)) {
    const end = part.indexOf("\n");
    sections.set(part.slice(0, end), part.slice(end + 1).trim());
  }
  sections.set(title, text);
  const titles = [
    ...order.filter((one) => sections.has(one)),
    ...[...sections.keys()].filter((one) => !order.includes(one)),
  ];
  const page = titles.map((one) => `## ${one}\n\n${sections.get(one)}\n`);
  writeFileSync(path, [introduction, ...page].join("\n"));
}

function readPage(): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
