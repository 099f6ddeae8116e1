// `npm run bench:network`: what a connection costs with and without treewarden watching, beside tcplife of libbpf-tools, in
// one run; medians of several rounds. The load runs in a network namespace of its own, against an address of its own.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { countingRuns, programNs } from "./program-runs.ts";
import { median, number, table, whole } from "./table.ts";
import { cpuSeconds, family } from "./usage.ts";

const CONNECTIONS = 20_000;
const ROUNDS = 5;
const OWN = "10.99.0.1";
const LOOPBACK = "127.0.0.1";

interface Watcher {
  readonly name: string;
  readonly command: ((folder: string) => readonly string[]) | undefined;
  readonly address: string;
  /** Matches the lines of its output that report a connection or its end. */
  readonly reports: RegExp;
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

async function measure(watcher: Watcher, load: string, folder: string): Promise<readonly Round[]> {
  const output = join(folder, "output");
  writeFileSync(output, "");
  const tool =
    watcher.command === undefined
      ? undefined
      : Bun.spawn([...watcher.command(folder)], { stdio: ["ignore", Bun.file(output), "ignore"] });
  try {
    // A busy machine takes some seconds to start all processes of `run`.
    await Bun.sleep(5_000);
    const pids = tool === undefined ? [] : family(tool.pid);
    const rounds: Round[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = {
        ns: programNs(pids),
        cpu: cpuSeconds(pids),
        reported: reported(output, watcher.reports),
      };
      const us = connect(load, watcher.address);
      await Bun.sleep(500);
      rounds.push({
        us,
        kernelUs: (programNs(pids) - before.ns) / 1e3 / CONNECTIONS,
        cpuUs: ((cpuSeconds(pids) - before.cpu) * 1e6) / CONNECTIONS,
        reported: reported(output, watcher.reports) - before.reported,
      });
    }
    return rounds;
  } finally {
    tool?.kill("SIGINT");
    await tool?.exited;
  }
}

/** The load has a CPU for itself: programs in control groups can be preempted, and the kernel counts that time as theirs. */
function connect(load: string, address: string): number {
  const setUp = `ip link set lo up && ip address add ${OWN}/32 dev lo && exec chrt --fifo 1 ${load} ${CONNECTIONS} ${address}`;
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
    const rounds = await measure(watcher, load, folder);
    const middle = (of: (round: Round) => number) => median(rounds.map(of));
    // What other processes do on these CPUs meanwhile is counted, too: the least is nearest to the truth.
    const least = (of: (round: Round) => number) => Math.min(...rounds.map(of));
    const told = middle((round) => round.reported);
    rows.push([
      watcher.name,
      number(middle(({ us }) => us)),
      number(
        least(({ kernelUs }) => kernelUs),
        2,
      ),
      number(least(({ cpuUs }) => cpuUs)),
      watcher.reports.source === "^$" ? "-" : whole(told),
    ]);
  }
  const header = ["watched by", "us a connection", "of it BPF", "CPU us of the watcher", "reported"];
  console.log(table(header, rows));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
