// `npm run bench:telemetry`: what telemetry costs, and what arrives at a Collector whatever happens on the way.
//   --sections cost,chaos,outage   --count N (verdicts of cost and of each half of chaos)
//   --seconds N (the outage's verdicts are those of so many seconds at 100 a second)   --rate N (how many of them a second)
//   --protocols none,http/protobuf,http/json (of cost; none: no export)
import { readFileSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { JournalReader } from "../../src/reporter/journal-reader.ts";
import { Alerts } from "../collector/alerts.ts";
import { faultNames } from "../collector/hop.ts";
import { otelcol } from "../collector/otelcol.ts";
import { Sink } from "../collector/sink.ts";
import { freePort } from "../ports.ts";
import { endOf, pidOf, type Role, roles, whole } from "../system/live.ts";
import { TelemetryScene } from "../system/telemetry-scene.ts";
import { binary, newFolder, Running, until } from "../system/treewarden.ts";
import { number, table } from "./table.ts";
import { cpuSeconds, family, memory } from "./usage.ts";

const { values: flags } = parseArgs({
  options: {
    sections: { type: "string", default: "cost,chaos,outage" },
    count: { type: "string", default: "6000" },
    seconds: { type: "string", default: "3600" },
    rate: { type: "string", default: "1000" },
    protocols: { type: "string", default: "none,http/protobuf,http/json" },
  },
});
const count = Number(flags.count);

/** Verdicts a second: of the costs, of chaos, and those that the outage stands for. */
const RATE = 200;
const OUTAGE_RATE = 100;
const CHAOS_RATE = 400;
/** Kills of each process in chaos. */
const KILLS = 10;
const DELIVERY_MS = 120_000;

const sections: Readonly<Record<string, () => Promise<string>>> = { cost, chaos, outage };

if (process.geteuid?.() !== 0) {
  console.error("bench: only root may watch every process");
  process.exit(3);
}
otelcol();
for (const name of flags.sections.split(",")) console.log(`\n## ${name}\n\n${await sections[name]?.()}`);
process.exit(0);

/** The reporter's CPU for verdicts that do not fold, for each way to send them. */
async function cost(): Promise<string> {
  const rows: string[][] = [];
  for (const protocol of flags.protocols.split(","))
    for (const compression of protocol === "none" ? ["none"] : ["gzip", "none"])
      rows.push([protocol, compression, ...(await costOf(protocol, compression))]);
  return table(["protocol", "compression", "CPU ms / 1,000", "KB / 1,000", "requests", "reporter MB"], rows);
}

async function costOf(protocol: string, compression: string): Promise<readonly string[]> {
  await using sink = new Sink();
  sink.listen();
  const folder = newFolder();
  const alerts = new Alerts(folder);
  const environment: Record<string, string> =
    protocol === "none"
      ? {}
      : {
          OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
          OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
          OTEL_EXPORTER_OTLP_COMPRESSION: compression,
        };
  // With nothing on standard output, as under systemd.
  const run = Bun.spawn(
    [
      binary,
      "run",
      "--output",
      "none",
      "--listen",
      `127.0.0.1:${freePort()}`,
      "--policy",
      alerts.policy,
      "--state-dir",
      `${folder}/state`,
    ],
    { stdio: ["ignore", "ignore", "inherit"], env: { PATH: process.env.PATH ?? "", ...environment } },
  );
  try {
    await Bun.sleep(3_000);
    const reporter = family(run.pid).find((pid) => nameOf(pid) === "tw-reporter") ?? 0;
    await alerts.different(1_000, RATE);
    await Bun.sleep(2_000);
    const [cpu, sent, asked] = [cpuSeconds([reporter]), sink.bytes, sink.requests];
    await alerts.different(count, RATE);
    await Bun.sleep(2_000);
    const used = cpuSeconds([reporter]) - cpu;
    return [
      number((used / count) * 1e6, 0),
      number((sink.bytes - sent) / count),
      String(sink.requests - asked),
      number(memory([reporter]).resident / 1_024),
    ];
  } finally {
    run.kill("SIGTERM");
    await run.exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}

/** Every hop broken in turn and every process killed, while verdicts that fold and that do not keep coming. */
async function chaos(): Promise<string> {
  await using scene = new TelemetryScene(512);
  await scene.start();
  await using _end = endOf(scene.running);
  const { hop, collector, certificates, alerts } = scene;
  let isLoading = true;
  const load = (async () => {
    await alerts.different(count, CHAOS_RATE);
    await alerts.same(count, CHAOS_RATE);
    isLoading = false;
  })();
  const breaks: readonly (() => Promise<void>)[] = [
    ...faultNames.filter((name) => name !== "a partial success").map((name) => async () => hop.break(name)),
    () => hop.close(),
    ...(["expired", "misnamed", "foreign"] as const).map((name) => () => hop.open(certificates[name])),
    async () => collector.signal("SIGSTOP"),
  ];
  const mend = async (): Promise<void> => {
    hop.break(undefined);
    collector.signal("SIGCONT");
    await hop.open(certificates.good);
  };
  const kills: Role[] = Array.from({ length: KILLS }, () => roles).flat();
  let killed = 0;
  for (let i = 0; isLoading || killed < kills.length; i += 1) {
    await breaks[i % breaks.length]?.();
    await Bun.sleep(1_000);
    const role = kills[killed];
    if (role !== undefined && whole(scene.running) !== undefined) {
      process.kill(pidOf(scene.running, role), "SIGKILL");
      killed += 1;
    }
    await Bun.sleep(1_000);
    await mend();
    await Bun.sleep(500);
  }
  await load;
  await until("it is whole again", () => whole(scene.running) !== undefined, 20_000);
  const ended = performance.now();
  let comparison = scene.compare();
  // The last folded verdicts are reported after a minute.
  while (performance.now() - ended < 62_000 || comparison.missing.length > 0) {
    if (performance.now() - ended > DELIVERY_MS) break;
    await Bun.sleep(5_000);
    comparison = scene.compare();
  }
  const { journaled, arrived, missing, unknown, duplicates, isInOrder } = comparison;
  const metrics = await scene.running.metrics();
  return table(
    ["", ""],
    [
      ["programs started", String(alerts.started)],
      ["kill -9", String(killed)],
      [
        "verdicts judged (treewarden_verdicts_total)",
        String(metrics.sum("treewarden_verdicts_total", { rule: Alerts.rule })),
      ],
      ["verdicts in the journal", String(journaled)],
      ["verdicts at the Collector", String(arrived)],
      ["records missing", String(missing.length)],
      ["records unknown to the journal", String(unknown.length)],
      ["records twice", String(duplicates)],
      ["in order", String(isInOrder)],
      ["events lost, counted", String(metrics.sum("treewarden_events_lost_total"))],
      ["reliable records dropped, counted", String(metrics.sum("treewarden_queue_dropped_total"))],
    ],
  );
}

/** No collector while the verdicts of an hour are made, in less time; then everything arrives. */
async function outage(): Promise<string> {
  const seconds = Number(flags.seconds);
  const rate = Number(flags.rate);
  await using sink = new Sink();
  sink.listen();
  const folder = newFolder();
  const alerts = new Alerts(folder);
  // With the default bounds of the journal, which must suffice for an hour.
  await using running = await Running.start(
    ["--policy", alerts.policy],
    { OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint },
    folder,
  );
  const journal = `${folder}/state/report/journal.sqlite`;
  const reporter = pidOf(running, "reporter");
  const resident = (): number => memory([reporter]).resident / 1_024;
  await alerts.different(500, OUTAGE_RATE);
  await until("the first have arrived", () => sink.uids.size >= 500, 20_000);
  await sink.close();
  const samples: number[] = [];
  const closed = performance.now();
  for (let part = 0; part < 10; part += 1) {
    await alerts.different((OUTAGE_RATE * seconds) / 10, rate);
    samples.push(resident());
    running.records.length = 0;
  }
  const filled = (performance.now() - closed) / 1_000;
  const before = sink.uids.size;
  const journaled = uidsIn(journal);
  sink.listen();
  const back = performance.now();
  const cpu = cpuSeconds([reporter]);
  let highest = 0;
  let first = 0;
  const isMissing = (): boolean => {
    highest = Math.max(highest, resident());
    if (first === 0 && sink.uids.size > before) first = performance.now();
    return sink.uids.size < journaled.length;
  };
  await until("everything has arrived", () => !isMissing(), DELIVERY_MS);
  const end = performance.now();
  const used = cpuSeconds([reporter]) - cpu;
  const [load = 0] = loadavg();
  const missing = journaled.filter((uid) => !sink.uids.has(uid));
  return table(
    ["", ""],
    [
      ["verdicts of so many s at 100 a second, made within s", `${seconds}, ${number(filled, 0)}`],
      ["records in the journal", String(journaled.length)],
      ["of these missing", String(missing.length)],
      ["records twice", String(sink.duplicates)],
      ["in order", String(sink.isInOrder)],
      ["journal, MB", number(Bun.file(journal).size / 1e6)],
      ["reporter's RSS at each tenth, MB", samples.map((each) => number(each, 0)).join(" ")],
      ["highest while it delivers, MB", number(highest, 0)],
      [
        "s from the return to the first record, and to the last",
        `${number((first - back) / 1_000)}, ${number((end - back) / 1_000)}`,
      ],
      ["the reporter's CPU meanwhile, s; load average", `${number(used)}; ${number(load)}`],
      ["programs started", String(alerts.started)],
    ],
  );
}

function uidsIn(journal: string): readonly string[] {
  using reader = new JournalReader(journal);
  return [...reader.rows()].map(({ record }) => String(record["log.record.uid"]));
}
