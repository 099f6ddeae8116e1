// Events that come during the first scan are judged with whole lineages, and nothing is judged twice.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { identify } from "../../src/fingerprint/identify.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { monotonicNow, suspendedFor } from "../../src/linux/clock.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import { type ProcessEvent, unknownFacts } from "../../src/sensor/event.ts";
import { FactsReader } from "../../src/sensor/procfs/facts-reader.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { FirstScan } from "../../src/warden/first-scan.ts";
import { Tracker } from "../../src/warden/tracker.ts";

let sleeping: Bun.Subprocess;
beforeEach(() => {
  sleeping = Bun.spawn(["sleep", "60"], { stdio: ["ignore", "ignore", "ignore"] });
});
afterEach(async () => {
  sleeping.kill();
  await sleeping.exited;
});

class Rig {
  readonly reported: { readonly pid: number; readonly source: string; readonly tree: string }[] = [];
  readonly tracker = new Tracker(
    {
      identify,
      totals: new Totals(),
      trees: new TreeTotals(new Totals()),
      suspendedNs: suspendedFor(),
      isKnown: () => false,
    },
    {
      onFork: () => undefined,
      onExec: ({ process, source, tree }) =>
        void this.reported.push({ pid: process.pid, source, tree: tree.exact }),
      onExit: () => undefined,
      onNetwork: () => undefined,
      onClose: () => undefined,
      onLoss: () => undefined,
    },
  );
  readonly scan = new FirstScan({
    reader: new FactsReader(),
    tracker: this.tracker,
    remembered: undefined,
    isRestart: false,
    isContinued: false,
    time: monotonicNow(),
  });

  /** `events` wait when the warden looks, and `later` when it looks again. */
  handle(events: readonly ProcessEvent[], later: readonly ProcessEvent[] = []): void {
    const hold = (held: readonly ProcessEvent[]): void => {
      for (const event of held) this.scan.hold(event);
    };
    hold(events);
    this.scan.handleHeld(
      () => hold(later),
      (event) => this.tracker.handle(event),
    );
  }

  finish(): void {
    while (!this.scan.readSlice());
    allSteps(this.scan.applying(this.scan.result()));
  }

  of(pid: number): readonly string[] {
    return this.reported.filter((each) => each.pid === pid).map(({ source }) => source);
  }
}

function execOf(pid: number, parentPid: number, executable = "/usr/bin/sleep"): ProcessEvent {
  const facts = { ...unknownFacts, executable, parentPid, uid: 0 };
  return { kind: "exec", source: "ebpf", time: monotonicNow(), pid, facts };
}

function forkOf(pid: number, parentPid: number): ProcessEvent {
  const startTicks = (new FactsReader().startTicks(parentPid) ?? 0) + 1;
  const time = monotonicNow();
  return { kind: "fork", source: "ebpf", time, pid, parentPid, startTicks, startExact: true };
}

const ownLabel = (rig: Rig): string => {
  const own = rig.tracker.forest.get(process.pid);
  return own === undefined ? "" : treeOf(own.lineage).exact;
};

test("an exec before the scan has reached anything has its ancestors, and is reported once", () => {
  const rig = new Rig();
  rig.handle([execOf(sleeping.pid, process.pid)]);
  const [exec] = rig.reported.filter(({ pid }) => pid === sleeping.pid);
  expect(ownLabel(rig)).not.toBe("");
  expect(exec?.tree).toBe(`${ownLabel(rig)}/sleep`);
  rig.finish();
  expect(rig.of(sleeping.pid)).toEqual(["ebpf"]);
  expect(rig.of(process.pid)).toEqual(["procfs"]);
});

test("a child of a process that the scan has not reached belongs to it, also when it has ended by then", () => {
  const rig = new Rig();
  const child = 4_194_303;
  rig.handle([forkOf(child, process.pid), execOf(child, process.pid)]);
  expect(rig.reported.find(({ pid }) => pid === child)?.tree).toBe(`${ownLabel(rig)}/sleep`);
});

test("what events did not name is found by the scan, whole", () => {
  const rig = new Rig();
  rig.finish();
  expect(rig.of(sleeping.pid)).toEqual(["procfs"]);
  const found = rig.tracker.forest.get(sleeping.pid);
  expect(found && treeOf(found.lineage).exact).toBe(`${ownLabel(rig)}/sleep`);
});

const child = 4_194_303;
const forked = (): ProcessEvent[] => [
  forkOf(child, sleeping.pid),
  execOf(child, sleeping.pid, "/usr/bin/true"),
];

for (const { when, handle } of [
  {
    when: "that waits behind its children's",
    handle: (rig: Rig) => rig.handle([...forked(), execOf(sleeping.pid, process.pid)]),
  },
  {
    when: "that is made while it is read",
    handle: (rig: Rig) => {
      rig.handle(forked(), [execOf(sleeping.pid, process.pid)]);
      rig.handle([]);
    },
  },
])
  test(`what a process ran before an exec ${when} is not known, and not what it runs since`, () => {
    const rig = new Rig();
    handle(rig);
    const of = rig.tracker.forest.get(child);
    expect(of && treeOf(of.lineage).exact).toBe(`${ownLabel(rig)}/unknown/true`);
    expect(of?.lineage.uncertain).toBe(true);
    const itself = rig.tracker.forest.get(sleeping.pid);
    expect(itself && treeOf(itself.lineage).exact).toBe(`${ownLabel(rig)}/sleep`);
    expect(itself?.lineage.uncertain).toBe(false);
    expect(itself?.lineage.earlier).toEqual([]);
    rig.finish();
    expect(rig.of(sleeping.pid)).toEqual(["ebpf"]);
  });

test("a child that lives on has, once the start is over, the ancestors that it has then, and is reported with them", async () => {
  const script = Bun.spawn(["sh", "-c", "tail -f /dev/null & tail -f /dev/null & exec sleep 60"]);
  const children = `/proc/${script.pid}/task/${script.pid}/children`;
  const pids = (): number[] => readFileSync(children, "latin1").split(" ").slice(0, -1).map(Number);
  const names = (): string[] =>
    [script.pid, ...pids()].map((pid) => readFileSync(`/proc/${pid}/comm`, "latin1").trimEnd());
  while (names().join(" ") !== "sleep tail tail") await Bun.sleep(5);
  const [executing = 0, copied = 0] = pids();
  try {
    const rig = new Rig();
    const fork = (pid: number): ProcessEvent => {
      const startTicks = new FactsReader().startTicks(pid) ?? 0;
      return { ...forkOf(pid, script.pid), startTicks } as ProcessEvent;
    };
    const exec = execOf(script.pid, process.pid);
    rig.handle([fork(executing), execOf(executing, script.pid, "/usr/bin/tail"), fork(copied), exec]);
    expect(rig.tracker.forest.get(copied)?.lineage.uncertain).toBe(true);
    rig.finish();
    rig.scan.settleLineages();
    for (const pid of [executing, copied]) {
      const of = rig.tracker.forest.get(pid);
      expect(of && treeOf(of.lineage).exact).toBe(`${ownLabel(rig)}/sleep/tail`);
      expect(of?.lineage.uncertain).toBe(false);
      expect(of?.lineage.complete).toBe(false);
    }
    expect(rig.of(executing)).toEqual(["ebpf", "procfs"]);
    expect(rig.of(copied)).toEqual(["procfs"]);
  } finally {
    for (const pid of [executing, copied, script.pid]) process.kill(pid);
    await script.exited;
  }
});

test("after an exec the children of a process belong to what it runs since", () => {
  const rig = new Rig();
  rig.handle([execOf(sleeping.pid, process.pid), ...forked()]);
  const of = rig.tracker.forest.get(child);
  expect(of && treeOf(of.lineage).exact).toBe(`${ownLabel(rig)}/sleep/true`);
  expect(of?.lineage.uncertain).toBe(false);
});

test("what has ended before anything could be read of it has lost its ancestors", () => {
  const rig = new Rig();
  rig.handle([execOf(child, 0, "/usr/bin/true")]);
  const of = rig.tracker.forest.get(child);
  expect(of && treeOf(of.lineage).exact).toBe("/true");
  expect(of?.lineage.uncertain).toBe(true);
});
