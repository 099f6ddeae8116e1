// Births, ends and changes as the eBPF sensor tells them: what every sensor must, and what only this one can.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type EbpfSensor, openEbpfSensor } from "../../src/sensor/ebpf/sensor.ts";
import type { ForkEvent } from "../../src/sensor/event.ts";
import { FactsReader } from "../../src/sensor/procfs/facts-reader.ts";
import { everySensor } from "../sensor/suite.ts";
import { Held, Stage, Watch, whyNot } from "./ebpf-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** The table names the whole family of environment variables by one called NAME. */
function open(): EbpfSensor {
  const sensor = openEbpfSensor({ environmentNames: ["NAME"] });
  sensor.readEnvironment(true);
  return sensor;
}

everySensor("ebpf", open, reason);

describe.skipIf(reason !== undefined)("the life of a process", () => {
  let stage: Stage;
  let watch: Watch;

  beforeAll(() => {
    stage = new Stage();
    watch = new Watch({ bufferBytes: 16 << 20 });
  });

  afterAll(() => {
    watch[Symbol.dispose]();
    stage[Symbol.dispose]();
  });

  const children = (pid: number): readonly ForkEvent[] =>
    watch.drain().filter((event): event is ForkEvent => event.kind === "fork" && event.parentPid === pid);

  test("begins at the same tick in its fork, its exec and /proc", async () => {
    using reader = new FactsReader();
    await using held = await Held.start([stage.actor, "hold"]);
    const [fork] = watch.of(held.pid);
    const known = reader.read(held.pid);
    expect(fork?.kind === "fork" && fork.startTicks).toBe(known.startTicks ?? 0);
    expect(watch.exec(held.pid).facts.startTicks).toBe(known.startTicks ?? 0);
  });

  test("that is killed ends with the signal", async () => {
    const child = Bun.spawn([stage.actor, "hold"], { stdin: "pipe", stdout: "ignore" });
    child.kill("SIGKILL");
    await child.exited;
    expect(watch.of(child.pid).at(-1)).toMatchObject({ kind: "exit", status: 9 });
  });

  test("belongs to who made it, whoever is its parent later", () => {
    const { pid } = watch.run(["sh", "-c", `'${stage.actor}' clone-parent; true`]);
    const maker = children(pid)[0]?.pid ?? 0;
    expect(children(maker).length).toBe(1);
  });

  test("2,000 short lives, four at a time: each is told once, whole, and none is lost", async () => {
    const loop = `i=0; while [ $i -lt 500 ]; do '${stage.actor}' exit $i "$0"; i=$((i+1)); done`;
    const marks = ["w", "x", "y", "z"];
    await Promise.all(marks.map((mark) => Bun.spawn(["sh", "-c", loop, mark]).exited));
    const told = new Map<string, number>();
    for (const event of watch.drain()) {
      expect(event.kind).not.toBe("loss");
      if (event.kind !== "exec" || event.facts.args?.length !== 4) continue;
      if (event.facts.executable !== stage.actor) continue;
      const key = event.facts.args.slice(2).join(" ");
      told.set(key, (told.get(key) ?? 0) + 1);
    }
    expect(told.size).toBe(2000);
    for (const mark of marks) for (let i = 0; i < 500; i += 1) expect(told.get(`${i} ${mark}`)).toBe(1);
  }, 60_000);
});

describe.skipIf(reason !== undefined)("what the ring cannot take", () => {
  test("is counted to the last event, told once, and followed by what comes next", () => {
    using stage = new Stage();
    // One page: some ten processes.
    using watch = new Watch({ bufferBytes: 4096 });
    watch.drain();
    const before = watch.events.length;
    const made = Bun.spawnSync([
      "sh",
      "-c",
      `i=0; while [ $i -lt 100 ]; do '${stage.actor}' exit 0; i=$((i+1)); done`,
    ]);
    const events = watch.drain().slice(before);
    const losses = events.filter((event) => event.kind === "loss");
    expect(losses.length).toBe(1);
    expect(losses[0]).toMatchObject({ source: "ebpf", reason: "overrun" });
    const kept = events.filter(({ kind }) => kind === "fork" || kind === "exec" || kind === "exit").length;
    // 101 processes of three events each; other programs of this machine may add to it.
    expect(kept + (losses[0]?.kind === "loss" ? (losses[0].count ?? 0) : 0)).toBeGreaterThanOrEqual(303);
    const { pid } = watch.run([stage.actor, "exit", "0"]);
    expect(watch.kinds(pid)).toEqual(["fork", "exec", "exit"]);
    expect(made.exitCode).toBe(0);
    expect(watch.drain().filter((event) => event.kind === "loss").length).toBe(1);
  });
});

test.skipIf(reason !== undefined)(
  "the mark of a sensor can be read after its end, when the forest is saved",
  () => {
    using watch = new Watch();
    watch.drain();
    const { mark } = watch.sensor;
    watch.sensor[Symbol.dispose]();
    expect(watch.sensor.mark).toBe(mark);
  },
);
