// The disk of the state directory is full, because somebody filled it or because alerts did: decisions, metrics and
// exports go on, /healthz says what is wrong, and afterwards nothing is missing that was not counted.
import { describe, expect, test } from "bun:test";
import { copyFileSync, linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { JournalReader } from "../../src/reporter/journal-reader.ts";
import { Collector } from "../reporter/collector.ts";
import { pidOf } from "./live.ts";
import { SmallDisk } from "./small-disk.ts";
import { Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** More records than fit on the disk and than the reporter keeps in memory while it cannot write them. */
const ALERTS = 2_400;
/** Alerts for which the reporter has memory twice over; a divisor of ALERTS. */
const AT_ONCE = 300;

/** Programs of different names, so that each alert is of a kind of its own. */
class Programs {
  readonly policy: string;
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = join(folder, "programs");
    mkdirSync(this.folder);
    copyFileSync("/bin/true", join(this.folder, "tw-alert-0"));
    for (let i = 1; i < ALERTS; i += 1)
      linkSync(join(this.folder, "tw-alert-0"), join(this.folder, `tw-alert-${i}`));
    this.policy = join(folder, "policy.json");
    const when = { starts_with: [{ var: "process.executable.path" }, `${this.folder}/tw-alert-`] };
    const rules = [{ id: "seen", when, action: "alert" }];
    writeFileSync(this.policy, JSON.stringify({ role: "disk", rules, default: "allow" }));
  }

  /**
   * Runs them beside the test, whose collector has to answer meanwhile; no faster than it takes their alerts, because
   * what neither the disk nor the memory can take is counted and given up.
   */
  async run(collector: Collector): Promise<void> {
    for (let first = 0; first < ALERTS; first += AT_ONCE) {
      const loop = `i=${first}; while [ $i -lt ${first + AT_ONCE} ]; do ${this.folder}/tw-alert-$i; i=$((i + 1)); done`;
      await Bun.spawn(["sh", "-c", loop], { stdio: ["ignore", "ignore", "ignore"] }).exited;
      await until("the collector keeps up", () => exported(collector) >= first, 20_000);
    }
  }
}

const verdicts = (collector: Collector): readonly (readonly [uid: string, count: number])[] => [
  ...new Map(
    collector.logs
      .filter(({ attributes }) => attributes["security_rule.name"] === "seen")
      .map(
        ({ attributes }) =>
          [String(attributes["log.record.uid"]), Number(attributes["treewarden.policy.count"])] as const,
      ),
  ),
];
const recordsIn = (collector: Collector): number =>
  new Set(collector.logs.map(({ attributes }) => attributes["log.record.uid"])).size;
const exported = (collector: Collector): number =>
  verdicts(collector).reduce((sum, [, count]) => sum + count, 0);

interface Journaled {
  /** Verdicts and all records in the journal, and the records that it says are missing. */
  readonly verdicts: number;
  readonly records: number;
  readonly missing: number;
}

function journaled(state: string): Journaled {
  using reader = new JournalReader(join(state, "report/journal.sqlite"));
  let verdicts = 0;
  let missing = 0;
  const rows = [...reader.rows()];
  for (const { record } of rows) {
    const isVerdict =
      record["event.name"] === "policy.verdict" || record["event.name"] === "policy.verdict.repeated";
    if (isVerdict && record["security_rule.name"] === "seen") verdicts += Number(record["policy.count"]);
    if (record["event.name"] === "report.gap") missing += Number(record["report.missing"]);
  }
  return { verdicts, records: rows.length, missing };
}

async function running(disk: SmallDisk, programs: Programs, collector: Collector): Promise<Running> {
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
    OTEL_METRIC_EXPORT_INTERVAL: "500",
  };
  return await Running.start(["--policy", programs.policy, "--state-dir", disk.state], environment);
}

describe.skipIf(reason !== undefined)("a full disk", () => {
  test("delays no export and no metric, is told by /healthz, and what the journal lacks is counted", async () => {
    using disk = new SmallDisk();
    const programs = new Programs(disk.folder);
    await using collector = new Collector();
    await using treewarden = await running(disk, programs, collector);
    disk.fill();
    await programs.run(collector);
    await until("all alerts are exported", () => exported(collector) === ALERTS, 20_000);
    const full = await treewarden.metrics();
    expect(full.value("treewarden_verdicts_total", { rule: "seen" })).toBe(ALERTS);
    const health = await treewarden.health();
    expect(health.status).toBe(503);
    expect(health.body).toContain("the journal cannot be written");
    expect(journaled(disk.state).verdicts).toBeLessThan(ALERTS);
    const shown = (): number =>
      treewarden.records
        .filter((record) => record["security_rule.name"] === "seen")
        .reduce((sum, record) => sum + Number(record["policy.count"]), 0);
    await until("all alerts are shown", () => shown() >= ALERTS);
    expect(shown()).toBe(ALERTS);

    disk.makeRoom();
    await until("it is healthy again", async () => (await treewarden.health()).status === 200);
    await until("the gap is journaled and exported", () => {
      const { records, missing } = journaled(disk.state);
      return missing > 0 && records + missing === recordsIn(collector);
    });
    const after = await treewarden.metrics();
    const dropped = after.sum("treewarden_queue_dropped_total", { queue: "journal" });
    const { missing, verdicts: written } = journaled(disk.state);
    console.log(`${written} of ${ALERTS} verdicts are in the journal, ${missing} records counted as missing`);
    expect(missing).toBe(dropped);
    expect(after.sum("treewarden_queue_dropped_total", { queue: "reliable" })).toBe(0);
    await Bun.sleep(1_000);
    expect(exported(collector)).toBe(ALERTS);
    expect(verdicts(collector).length).toBe(ALERTS);
  }, 60_000);

  test("does not keep treewarden from its first start: it judges, says so, and keeps a journal once there is room", async () => {
    using disk = new SmallDisk();
    const programs = new Programs(disk.folder);
    await using collector = new Collector();
    disk.fill(0);
    await using treewarden = await running(disk, programs, collector);
    Bun.spawnSync([join(disk.folder, "programs/tw-alert-0")]);
    await until("the alert is exported", () => exported(collector) === 1);
    const health = await treewarden.health();
    expect([health.status, health.body]).toEqual([
      503,
      expect.stringContaining("the journal cannot be written"),
    ]);
    disk.makeRoom();
    // Its reporter starts again to open the journal.
    const isHealthy = (): Promise<boolean> =>
      treewarden.health().then(
        ({ status }) => status === 200,
        () => false,
      );
    await until("it is healthy", isHealthy, 20_000);
    Bun.spawnSync([join(disk.folder, "programs/tw-alert-1")]);
    await until("both alerts are journaled", () => journaled(disk.state).verdicts === 2);
  }, 60_000);

  test("and a warden that is killed meanwhile: counters do not go back, what is missing is counted", async () => {
    using disk = new SmallDisk();
    const programs = new Programs(disk.folder);
    await using collector = new Collector();
    await using treewarden = await running(disk, programs, collector);
    disk.fill();
    await programs.run(collector);
    await until("all alerts are exported", () => exported(collector) === ALERTS, 20_000);
    // What a warden that is killed had not sent is lost, also of its counters: a scrape has it send them.
    await treewarden.metrics();
    process.kill(pidOf(treewarden, "warden"), "SIGKILL");
    const starts = () => treewarden.records.filter((record) => record["event.name"] === "warden.started");
    await until("another warden watches", () => starts().length === 2, 20_000);
    disk.makeRoom();
    await until("it is healthy again", async () => (await treewarden.health()).status === 200);
    const after = await treewarden.metrics();
    expect(after.value("treewarden_verdicts_total", { rule: "seen" })).toBe(ALERTS);
    const counted = (): number => {
      const { verdicts, missing } = journaled(disk.state);
      return verdicts + missing;
    };
    await until("every alert is in the journal, or counted as missing", () => counted() >= ALERTS);
  }, 60_000);

  test("and a reporter that is killed with its warden: the next one knows how many records are missing", async () => {
    using disk = new SmallDisk();
    const programs = new Programs(disk.folder);
    await using collector = new Collector();
    await using treewarden = await running(disk, programs, collector);
    disk.fill();
    await programs.run(collector);
    await until("all alerts are exported", () => exported(collector) === ALERTS, 20_000);
    const before = journaled(disk.state).verdicts;
    for (const role of ["warden", "reporter"] as const) process.kill(pidOf(treewarden, role), "SIGKILL");
    const starts = () => treewarden.records.filter((record) => record["event.name"] === "warden.started");
    await until("another warden watches", () => starts().length >= 2, 20_000);
    disk.makeRoom();
    await until("the gap is journaled", () => journaled(disk.state).missing > 0);
    const { verdicts, missing } = journaled(disk.state);
    expect(verdicts).toBe(before);
    // Programs of the host draw records, too.
    expect(verdicts + missing).toBeWithin(ALERTS, ALERTS + 100);
    const metrics = await treewarden.metrics();
    expect(metrics.sum("treewarden_queue_dropped_total", { queue: "journal" })).toBeGreaterThanOrEqual(
      missing,
    );
  }, 60_000);

  test("keeps treewarden from starting no more than from running, and the journal is used when it can be", async () => {
    using disk = new SmallDisk();
    const programs = new Programs(disk.folder);
    await using collector = new Collector();
    await (await running(disk, programs, collector)).stop();
    disk.fill(0);
    await using treewarden = await running(disk, programs, collector);
    await programs.run(collector);
    await until("all alerts are exported", () => exported(collector) === ALERTS, 20_000);
    const full = await treewarden.metrics();
    expect(full.value("treewarden_verdicts_total", { rule: "seen" })).toBe(ALERTS);
    expect((await treewarden.health()).body).toContain("the journal cannot be written");
    disk.makeRoom();
    await until("it is healthy again", async () => {
      const { status } = await treewarden.health().catch(() => ({ status: 0 }));
      return status === 200;
    });
    const counted = (): number => {
      const { verdicts, missing } = journaled(disk.state);
      return verdicts + missing;
    };
    await until("every alert is in the journal, or counted as missing", () => counted() >= ALERTS);
    expect(verdicts(collector).length).toBe(ALERTS);
  }, 60_000);
});
