// More programs than anybody starts: every exec is counted, or counted as lost, and nothing stays behind.
import { describe, expect, test } from "bun:test";
import { Loads } from "../bench/load.ts";
import { forestEqualsProc, memoryOf, pidOf, quietPolicy, settled } from "./live.ts";
import { type Metrics, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const PARENTS = 4;
const EACH = 5_000;

/** The collectors of four processes breathe by some megabytes; 1 KB that stayed of each exec would be more than this. */
const SLACK_MB = 12;

const execs = (metrics: Metrics): number => metrics.sum("treewarden_events_total", { event: "exec" });
const lost = (metrics: Metrics): number => metrics.sum("treewarden_events_lost_total");

for (const source of ["netlink", "ebpf"]) {
  describe.skipIf(reason !== undefined)(`20,000 execs from four parents, seen by ${source}`, () => {
    test("are all counted or counted as lost; the forest and the memory are then as before", async () => {
      using loads = new Loads();
      const [, leave] = loads.all;
      if (leave === undefined) throw new Error("no load");
      await using running = await Running.start(["--source", source, "--policy", quietPolicy(loads.folder)]);
      // What the first of everything takes stays: code, series, the journal's cache.
      await loads.run(leave, 500, PARENTS, "warm-up");
      await forestEqualsProc(running);
      const memory = memoryOf(running);
      const before = await running.metrics();
      const { seconds } = await loads.run(leave, EACH, PARENTS, "flood");
      const all = () =>
        running.metrics().then((now) => execs(now) + lost(now) - execs(before) - lost(before));
      await until("all are counted", async () => (await all()) >= PARENTS * EACH, 30_000);
      const after = await settled(running, execs);
      await forestEqualsProc(running);
      const counted = execs(after) - execs(before);
      const missed = lost(after) - lost(before);
      console.log(
        `${source}: ${PARENTS * EACH} execs in ${seconds.toFixed(1)} s, ${counted} counted, ${missed} events lost`,
      );
      expect(counted + missed).toBeGreaterThanOrEqual(PARENTS * EACH);
      await until("memory is back", () => memoryOf(running) < memory + SLACK_MB, 30_000);
      console.log(`${source}: ${memory.toFixed(1)} MB before, ${memoryOf(running).toFixed(1)} MB after`);
      expect((await running.health()).status).toBe(200);
    }, 90_000);

    test("while the warden stands still: the loss is told, and a look at /proc repairs the forest", async () => {
      using loads = new Loads();
      const [, leave] = loads.all;
      if (leave === undefined) throw new Error("no load");
      await using running = await Running.start(["--source", source, "--policy", quietPolicy(loads.folder)]);
      const before = await running.metrics();
      const warden = pidOf(running, "warden");
      process.kill(warden, "SIGSTOP");
      let load: Promise<unknown>;
      try {
        // Fewer seconds than the supervisor waits for a warden that does not come back.
        load = loads.run(leave, EACH, PARENTS, "overrun");
        await Promise.race([load, Bun.sleep(7_000)]);
        // One that starts while nobody looks and goes on: only the look at /proc can find it.
        using sleeper = disposable(Bun.spawn(["sleep", "30"], { stdio: ["ignore", "ignore", "ignore"] }));
        process.kill(warden, "SIGCONT");
        const loss = await running.seen((record) => record["event.name"] === "sensor.loss");
        expect(loss["sensor.loss.count"]).toBeGreaterThan(0);
        const resync = await running.seen((record) => record["event.name"] === "sensor.resync");
        expect(resync["sensor.source"]).toBe(source);
        await load;
        await forestEqualsProc(running);
        expect(sleeper.child.exitCode).toBeNull();
      } finally {
        process.kill(warden, "SIGCONT");
      }
      const after = await settled(running, execs);
      const missed = lost(after) - lost(before);
      console.log(`${source}: ${execs(after) - execs(before)} counted, ${missed} events lost`);
      expect(pidOf(running, "warden")).toBe(warden);
      expect(execs(after) - execs(before) + missed).toBeGreaterThanOrEqual(PARENTS * EACH);
      expect(after.sum("treewarden_resyncs_total")).toBeGreaterThan(before.sum("treewarden_resyncs_total"));
    }, 60_000);
  });
}

function disposable(child: Bun.Subprocess): Disposable & { readonly child: Bun.Subprocess } {
  return { child, [Symbol.dispose]: () => child.kill("SIGKILL") };
}
