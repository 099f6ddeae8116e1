// `npm run bench:network`: what a connection costs with and without treewarden watching, beside tcplife of libbpf-tools, in
// one run; medians of several rounds. The load runs in a network namespace of its own, against an address of its own.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { machine, writeSection } from "./document.ts";
import { countingRuns, programNs } from "./program-runs.ts";
import { median, number, percent, table } from "./table.ts";
import { cpuSeconds, family } from "./usage.ts";

const TITLE = "Connections";
const CONNECTIONS = 20_000;
const ROUNDS = 5;
const STEADY_ROUNDS = 3;
/** Of the load that must be reported without loss. */
const RATE = 5_000;
const PACED = 15_000;
const WARM_UP_MS = 5_000;
const OWN = "10.99.0.1";
const LOOPBACK = "127.0.0.1";

interface Watcher {
  readonly name: string;
  readonly command: ((folder: string) => readonly string[]) | undefined;
  readonly address: string;
  /** Matches the lines of its output that report a connection or its end. */
  readonly reports: RegExp;
}

/** What was reported of connections at a steady rate, and what that cost. */
interface Steady {
  readonly cpuUs: number;
  readonly reported: number;
}

interface Measured {
  readonly rounds: readonly Round[];
  readonly steady: readonly Steady[];
}

interface Round {
  readonly us: number;
  readonly kernelUs: number;
  readonly cpuUs: number;
  readonly reported: number;
}

/** A rule that every connection must be compared with, and none matches. */
const policy = {
  role: "bench",
  rules: [
    {
      id: "metadata",
      on: ["connect"],
      when: {
        and: [
          { under: ["nginx", "sh", "connections"] },
          { cidr: [{ var: "network.peer.address" }, ["169.254.0.0/16"]] },
        ],
      },
      action: "alert",
      severity: "high",
    },
  ],
};

const treewarden = resolve(import.meta.dir, "../../dist/treewarden");
const trace = [treewarden, "trace", "--output", "json", "--source", "ebpf"];
const peer = "mount -t tracefs none /sys/kernel/tracing && exec tcplife";
const watchers: readonly Watcher[] = [
  { name: "nobody", command: undefined, address: OWN, reports: /^$/ },
  {
    name: "treewarden trace, without --network",
    command: () => trace,
    address: OWN,
    reports: /"network\.connect"/,
  },
  {
    name: "treewarden trace --network, filtered",
    command: () => [...trace, "--network"],
    address: LOOPBACK,
    reports: /"network\.connect"/,
  },
  {
    name: "treewarden trace --network",
    command: () => [...trace, "--network"],
    address: OWN,
    reports: /"network\.connect"/,
  },
  {
    name: "treewarden run, with a rule on connect",
    command: (folder) => {
      const file = join(folder, "policy.json");
      writeFileSync(file, JSON.stringify(policy));
      const state = ["--state-dir", join(folder, "state"), "--listen", "off", "--output", "none"];
      return [treewarden, "run", "--source", "ebpf", "--policy", file, ...state];
    },
    address: OWN,
    reports: /^$/,
  },
  {
    name: "tcplife",
    command: () => ["unshare", "--mount", "sh", "-c", peer],
    address: OWN,
    reports: /\b10\.99\.0\.1\b/,
  },
];

async function measure(watcher: Watcher, load: string, folder: string): Promise<Measured> {
  const output = join(folder, "output");
  writeFileSync(output, "");
  const tool =
    watcher.command === undefined
      ? undefined
      : Bun.spawn([...watcher.command(folder)], { stdio: ["ignore", Bun.file(output), "ignore"] });
  try {
    // A busy machine takes some seconds to start all processes of `run`.
    await Bun.sleep(WARM_UP_MS);
    // Asked anew each time: the examiner starts and ends meanwhile, and what it took before a round is not the round's.
    const pids = (): number[] => (tool === undefined ? [] : family(tool.pid));
    const rounds: Round[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = {
        ns: programNs(pids()),
        cpu: cpuSeconds(pids()),
        reported: reported(output, watcher.reports),
      };
      const us = connect(load, watcher.address, CONNECTIONS);
      await Bun.sleep(500);
      rounds.push({
        us,
        kernelUs: (programNs(pids()) - before.ns) / 1e3 / CONNECTIONS,
        cpuUs: ((cpuSeconds(pids()) - before.cpu) * 1e6) / CONNECTIONS,
        reported: reported(output, watcher.reports) - before.reported,
      });
    }
    const steady: Steady[] = [];
    for (let round = 0; round < STEADY_ROUNDS; round += 1) {
      const before = { cpu: cpuSeconds(pids()), reported: reported(output, watcher.reports) };
      connect(load, watcher.address, PACED, RATE);
      await Bun.sleep(1_000);
      steady.push({
        cpuUs: ((cpuSeconds(pids()) - before.cpu) * 1e6) / PACED,
        reported: reported(output, watcher.reports) - before.reported,
      });
    }
    return { rounds, steady };
  } finally {
    tool?.kill("SIGINT");
    await tool?.exited;
  }
}

/** The load has a CPU for itself: programs in control groups can be preempted, and the kernel counts that time as theirs. */
function connect(load: string, address: string, count: number, rate?: number): number {
  const command = [load, count, address, ...(rate === undefined ? [] : [rate])].join(" ");
  const setUp = `ip link set lo up && ip address add ${OWN}/32 dev lo && exec chrt --fifo 1 ${command}`;
  const { stdout, success, stderr } = Bun.spawnSync(["unshare", "--net", "sh", "-c", setUp]);
  if (!success) throw new Error(stderr.toString());
  return Number(stdout.toString());
}

function reported(output: string, pattern: RegExp): number {
  return readFileSync(output, "latin1")
    .split("\n")
    .filter((line) => pattern.test(line)).length;
}

const folder = mkdtempSync(join(tmpdir(), "tw-bench-"));
// The reporter is another user.
chmodSync(folder, 0o755);
try {
  using _ = countingRuns();
  const load = join(folder, "connections");
  const source = join(import.meta.dir, "programs/connections.c");
  if (!Bun.spawnSync(["gcc", "-O1", "-o", load, source]).success) throw new Error("no gcc");
  const rows: string[][] = [];
  for (const watcher of watchers) {
    if (watcher.name === "tcplife" && Bun.which("tcplife") === null) {
      console.error("bench: tcplife is not installed (Debian package libbpf-tools)");
      continue;
    }
    const { rounds, steady } = await measure(watcher, load, folder);
    const middle = (of: (round: Round) => number) => median(rounds.map(of));
    // What other processes do on these CPUs meanwhile is counted, too: the least is nearest to the truth.
    const least = (of: (round: Round) => number) => Math.min(...rounds.map(of));
    const reports = watcher.reports.source !== "^$" && watcher.address === OWN;
    rows.push([
      watcher.name,
      number(middle(({ us }) => us)),
      number(
        least(({ kernelUs }) => kernelUs),
        2,
      ),
      number(least(({ cpuUs }) => cpuUs)),
      reports ? percent(middle(({ reported }) => reported) / CONNECTIONS) : "-",
      number(Math.min(...steady.map(({ cpuUs }) => cpuUs))),
      reports ? percent(Math.min(...steady.map(({ reported }) => reported)) / PACED) : "-",
    ]);
  }
  const header = [
    "watched by",
    "us a connection",
    "of it BPF",
    "CPU us of the watcher",
    "reported",
    `CPU us at ${RATE} a second`,
    "reported of these",
  ];
  const text = `${machine(["libbpf-tools' tcplife"])}.

One process connects ${CONNECTIONS} times as fast as it can to a port of its own host that refuses it, ${ROUNDS} rounds, and then
${RATE} times a second, ${STEADY_ROUNDS} rounds. BPF and CPU are those of all processes of the watcher, in us for each connection; of both the least of
the rounds, as other processes disturb them. treewarden reports two events for each, with the tree of the process; tcplife one
line. \`run\` judges each by a rule, and reports only what it matches.

${table(header, rows)}`;
  console.log(text);
  if (process.argv.includes("--write")) writeSection(TITLE, text, []);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
