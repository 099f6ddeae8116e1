// `npm run bench`: treewarden and its peers on the same loads, in one run; medians of several rounds.
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { builds } from "./builds.ts";
import { attribution, cost } from "./cost.ts";
import { circumstances, writeSection } from "./document.ts";
import { inKernel, latency, throughput } from "./impact.ts";
import { Loads } from "./load.ts";
import { loss } from "./loss.ts";
import { memory } from "./memory.ts";
import { prevention } from "./prevention.ts";
import { scrape } from "./scrape.ts";
import type { Bench, Section } from "./section.ts";
import { soak } from "./soak.ts";
import { before, isThere, peers, wardens } from "./tools.ts";
import { verdicts } from "./verdicts.ts";

const sections: Readonly<Record<string, Section>> = {
  cost,
  attribution,
  throughput,
  kernel: inKernel,
  verdicts,
  latency,
  prevention,
  loss,
  memory,
};
/** Only asked for by name, with `--before`. */
const comparison: Readonly<Record<string, Section>> = { builds };
const SOAK = "Memory over time";
const SCRAPE = "Scrapes while every program has another name";

const { values: flags } = parseArgs({
  options: {
    count: { type: "string", default: "10000" },
    rounds: { type: "string", default: "3" },
    sections: { type: "string", default: Object.keys(sections).join(",") },
    write: { type: "boolean", default: false },
    soak: { type: "boolean", default: false },
    scrape: { type: "boolean", default: false },
    trees: { type: "string", default: "100000" },
    seconds: { type: "string", default: "3600" },
    /** Another build of treewarden, measured in turn with this one. */
    before: { type: "string" },
    /** Only tools whose names match this regular expression. */
    tools: { type: "string", default: "" },
  },
});

if (process.geteuid?.() !== 0) {
  console.error("bench: only root may watch every process");
  process.exit(3);
}

const all = { ...sections, ...comparison };
const unknown = flags.sections.split(",").find((name) => all[name] === undefined);
if (unknown !== undefined) {
  console.error(`bench: no section ${unknown} (there are: ${Object.keys(all).join(", ")})`);
  process.exit(2);
}

const asked = new RegExp(flags.tools);
const found = peers.filter((tool) => asked.test(tool.name) && isThere(tool));
const other = flags.before;
const tools = other === undefined ? wardens : wardens.flatMap((tool) => [before(tool, other), tool]);
using tracefs = found.some((tool) => tool.needsTracefs) ? mountTracefs() : undefined;
void tracefs;
using loads = new Loads();
const bench: Bench = {
  loads,
  peers: found,
  wardens: tools.filter((tool) => asked.test(tool.name)),
  before: flags.before,
  count: Number(flags.count),
  rounds: Number(flags.rounds),
  say: (text) => console.error(`bench: ${text}`),
};

if (flags.scrape) {
  const when = await circumstances(bench);
  tell(SCRAPE, `${when}.\n\n${await scrape(bench, Number(flags.trees), Number(flags.seconds))}`);
} else if (flags.soak) {
  const seconds = Number(flags.seconds);
  const when = await circumstances(bench);
  const { text } = await soak(bench, seconds, Math.min(60, Math.max(1, Math.floor(seconds / 10))));
  tell(SOAK, `${when}.\n\n${text}`);
} else {
  for (const name of flags.sections.split(",")) {
    const section = all[name];
    if (section === undefined) continue;
    const when = await circumstances(bench);
    tell(section.title, `${when}.\n\n${await section.measure(bench)}`);
  }
}

function tell(title: string, text: string): void {
  console.log(`\n## ${title}\n\n${text}`);
  if (flags.write) writeSection(title, text, [...Object.values(all).map((one) => one.title), SOAK, SCRAPE]);
}

/** Mounted for the run, and only if it was not. */
function mountTracefs(): Disposable | undefined {
  const path = "/sys/kernel/tracing";
  if (existsSync(`${path}/events`)) return undefined;
  if (!Bun.spawnSync(["mount", "-t", "tracefs", "tracefs", path]).success) return undefined;
  return { [Symbol.dispose]: () => void Bun.spawnSync(["umount", path]) };
}
