// Warden, Collector and what is between them, broken in one way after the other: what arrived is compared with what was
// judged, record by record. `npm run bench:telemetry` is the long form.
import { beforeAll, describe, expect, test } from "bun:test";
import { Alerts } from "../collector/alerts.ts";
import { reportedMissing } from "../collector/comparison.ts";
import { faultNames } from "../collector/hop.ts";
import { missingOtelcol, otelcol } from "../collector/otelcol.ts";
import { endOf, pidOf, type Role, whole } from "./live.ts";
import { ALERTS, RATE, TelemetryScene } from "./telemetry-scene.ts";
import { type Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot() ?? missingOtelcol();
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("between treewarden and a Collector", () => {
  // Builds it on a new machine.
  beforeAll(() => void otelcol(), 900_000);

  test.concurrent("every fault of an answer: nothing is missing that was not rejected, counted and reported", async () => {
    await using scene = new TelemetryScene();
    const { hop } = scene;
    await scene.start();
    for (const name of faultNames) {
      hop.break(name);
      await scene.during(
        () => until(`${name} was met`, () => hop.hits > 0),
        () => hop.break(undefined),
      );
    }
    const { missing, unknown, isInOrder, journaled, duplicates } = scene.compare();
    expect(missing.filter((uid) => !hop.rejected.has(uid))).toEqual([]);
    expect(unknown).toEqual([]);
    expect(isInOrder).toBe(true);
    console.log(`${journaled} verdicts, ${duplicates} of them twice, in ${hop.requests} requests`);
    const metrics = await scene.running.metrics();
    expect(metrics.value("treewarden_verdicts_total", { rule: Alerts.rule })).toBe(journaled);
    expect(metrics.value("treewarden_queue_dropped_total", { queue: "export" })).toBe(hop.rejected.size);
    expect(hop.rejected.size).toBeGreaterThan(0);
    // Losses that follow the first one closely are reported after a minute, or at the end.
    expect(await scene.running.stop()).toBe(0);
    expect(reportedMissing(scene.journal)).toBe(hop.rejected.size);
  }, 120_000);

  test.concurrent("no way at all: nobody listens, wrong certificates, a stopped Collector, a new one, a full disk", async () => {
    await using scene = new TelemetryScene();
    const { hop, collector, certificates, disk } = scene;
    await scene.start();
    const failed = (text: string) => async () => {
      await until(`it failed: ${text}`, async () => {
        const metrics = await scene.running.metrics();
        return (metrics.value("treewarden_export_failures_total", { signal: "logs" }) ?? 0) > before;
      });
      before =
        (await scene.running.metrics()).value("treewarden_export_failures_total", { signal: "logs" }) ?? 0;
    };
    let before = 0;
    await hop.close();
    await scene.during(failed("nobody listens"), () => hop.open(certificates.good));
    for (const name of ["expired", "misnamed", "foreign"] as const) {
      await hop.open(certificates[name]);
      await scene.during(failed(name), () => hop.open(certificates.good));
    }
    collector.signal("SIGSTOP");
    await scene.during(failed("the Collector is stopped"), () => collector.signal("SIGCONT"));
    await collector.stop();
    await scene.during(failed("the Collector is gone"), () => collector.start());
    disk.fill(0);
    await scene.during(
      () => until("it cannot be written", async () => (await scene.running.health()).status === 503),
      () => disk.makeRoom(),
    );
    const { missing, unknown, isInOrder, journaled, arrived } = scene.compare();
    expect({ missing, unknown, isInOrder }).toEqual({ missing: [], unknown: [], isInOrder: true });
    expect(arrived).toBe(journaled);
    expect(await scene.running.stop()).toBe(0);
  }, 120_000);

  test.concurrent("kill -9 of each process while the Collector is away: what was journaled arrives", async () => {
    await using scene = new TelemetryScene();
    const { hop, certificates } = scene;
    await scene.start();
    await using _end = endOf(scene.running);
    const kill = async (role: Role): Promise<void> => {
      const killed = pidOf(scene.running, role);
      process.kill(killed, "SIGKILL");
      await until(`there is another ${role}`, () => (whole(scene.running)?.get(role) ?? killed) !== killed);
      await until("it watches", () => isHealthy(scene.running));
    };
    await hop.close();
    for (const role of ["reporter", "warden", "supervisor", "standby"] as const) {
      await scene.alerts.different(ALERTS, RATE);
      // What a warden that is killed had not judged or not sent is lost.
      await until("all are judged", async () => {
        const metrics = await scene.running.metrics();
        return metrics.value("treewarden_verdicts_total", { rule: Alerts.rule }) === scene.alerts.started;
      });
      await kill(role);
    }
    await hop.open(certificates.good);
    await scene.alerts.different(ALERTS, RATE);
    await scene.delivered();
    const { missing, unknown, journaled, arrived } = scene.compare();
    expect({ missing, unknown }).toEqual({ missing: [], unknown: [] });
    expect(arrived).toBe(journaled);
  }, 120_000);
});

/** False also while a new reporter does not listen yet. */
async function isHealthy(running: Running): Promise<boolean> {
  return await running.health().then(
    ({ status }) => status === 200,
    () => false,
  );
}
