// What the tracker makes of a stream of events.
import { expect, test } from "bun:test";
import { identify } from "../../src/fingerprint/identify.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { records } from "../../src/report/records.ts";
import { recordUids } from "../../src/report/stamp.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import { Tracker } from "../../src/warden/tracker.ts";
import { execSubject } from "../../src/warden/verdict-handler.ts";

const source = "ebpf";

class World {
  readonly records: EventRecord[] = [];
  readonly missedExits: number[] = [];
  private ms = 1_000;
  private readonly tracker: Tracker;

  constructor() {
    const totals = new Totals();
    const stamp = recordUids(new Uint8Array(5));
    const inputs = { bootTimeMs: Date.UTC(2000, 0, 1), userName: () => undefined };
    this.tracker = new Tracker(
      { identify, totals, trees: new TreeTotals(totals), suspendedNs: 0, isKnown: () => false },
      {
        onFork: () => undefined,
        onExec: (exec) =>
          this.records.push(records.exec(execSubject(exec, 0, inputs), "process.exec", stamp)),
        onExit: (process, tree, event) =>
          this.records.push(records.exit(event, process, tree, inputs.bootTimeMs, event.time, stamp)),
        onMissedExit: ({ pid }) => this.missedExits.push(pid),
        onNetwork: () => undefined,
        onClose: () => undefined,
        onLoss: () => undefined,
      },
    );
  }

  private step(): number {
    this.ms += 100;
    return this.ms * 1e6;
  }

  fork(pid: number): void {
    const time = this.step();
    const startTicks = Math.floor(time / 1e7);
    this.tracker.handle({ kind: "fork", source, time, pid, parentPid: 50, startTicks, startExact: true });
  }

  /** A scan that finds nothing. */
  scan(): void {
    const { missing } = this.tracker.reconcile([], this.step());
    this.tracker.forget(missing);
  }

  /** A whole life: fork, exec, exit. `exact`: the sensor knows the start from the kernel. */
  life(pid: number, executable: string, status: number, exact = true): void {
    const time = this.step();
    const startTicks = Math.floor(time / 1e7);
    this.tracker.handle({ kind: "fork", source, time, pid, parentPid: 50, startTicks, startExact: exact });
    const facts = { ...unknownFacts, executable, parentPid: 50, startTicks: exact ? startTicks : undefined };
    this.tracker.handle({ kind: "exec", source, time: this.step(), pid, facts });
    this.tracker.handle({ kind: "exit", source, time: this.step(), pid, status });
  }
}

test("an exit is joined to its exec by pid and creation time, though the pid was given out again", () => {
  const world = new World();
  world.life(300, "/usr/bin/first", 1 << 8);
  world.life(300, "/usr/bin/second", 2 << 8);
  const key = (record: EventRecord) => `${record["process.pid"]} ${record["process.creation.time"]}`;
  const execs = new Map(
    world.records.filter((one) => one["event.name"] === "process.exec").map((one) => [key(one), one]),
  );
  const exits = world.records.filter((one) => one["event.name"] === "process.exit");
  expect(
    exits.map((exit) => [execs.get(key(exit))?.["process.executable.path"], exit["process.exit.code"]]),
  ).toEqual([
    ["/usr/bin/first", 1],
    ["/usr/bin/second", 2],
  ]);
});

test("an exit's record names the process that ended, the one that forked it and its tree", () => {
  const world = new World();
  world.life(300, "/opt/shop/run", 0);
  expect(world.records.at(-1)).toMatchObject({
    "event.name": "process.exit",
    "process.pid": 300,
    "process.creation.time": "2000-01-01T00:00:01.100000Z",
    "process.parent_pid": 50,
    "process.exit.code": 0,
    "tree.path": "/run",
    "tree.id": world.records.at(-2)?.["tree.id"],
    "sensor.source": source,
  });
});

test("an exit of a process whose start is known to a few ticks only has no creation time", () => {
  const world = new World();
  world.life(300, "/opt/shop/run", 0, false);
  expect(world.records.at(-1)).not.toHaveProperty("process.creation.time");
});

test("a process whose exit was lost has ended once a scan lacks it, or its pid is given out again", () => {
  const world = new World();
  world.life(300, "/opt/shop/run", 0);
  world.fork(301);
  world.fork(302);
  world.fork(301);
  expect(world.missedExits).toEqual([301]);
  world.scan();
  expect(world.missedExits.toSorted()).toEqual([301, 301, 302]);
});
