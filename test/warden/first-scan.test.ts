// Events that come during the first scan are judged with whole lineages, and nothing is judged twice.
import { afterEach, beforeEach, expect, test } from "bun:test";
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
    time: monotonicNow(),
  });

  handle(event: ProcessEvent): void {
    this.scan.onEvent(event);
    this.tracker.handle(event);
  }

  finish(): void {
    while (!this.scan.readSlice());
    allSteps(this.scan.applying(this.scan.result()));
  }

  of(pid: number): readonly string[] {
    return this.reported.filter((each) => each.pid === pid).map(({ source }) => source);
  }
}

function execOf(pid: number, parentPid: number): ProcessEvent {
  const facts = { ...unknownFacts, executable: "/usr/bin/sleep", parentPid, uid: 0 };
  return { kind: "exec", source: "ebpf", time: monotonicNow(), pid, facts };
}

const ownLabel = (rig: Rig): string => {
  const own = rig.tracker.forest.get(process.pid);
  return own === undefined ? "" : treeOf(own.lineage).exact;
};

test("an exec before the scan has reached anything has its ancestors, and is reported once", () => {
  const rig = new Rig();
  rig.handle(execOf(sleeping.pid, process.pid));
  const [exec] = rig.reported.filter(({ pid }) => pid === sleeping.pid);
  expect(ownLabel(rig)).not.toBe("");
  expect(exec?.tree).toBe(`${ownLabel(rig)}/sleep`);
  rig.finish();
  expect(rig.of(sleeping.pid)).toEqual(["ebpf"]);
  expect(rig.of(process.pid)).toEqual(["procfs"]);
});

test("a child of a process that the scan has not reached belongs to it, also when it has ended by then", () => {
  const rig = new Rig();
  const startTicks = new FactsReader().startTicks(process.pid) ?? 0;
  const child = 4_194_303;
  const time = monotonicNow();
  rig.handle({
    kind: "fork",
    source: "ebpf",
    time,
    pid: child,
    parentPid: process.pid,
    startTicks: startTicks + 1,
    startExact: true,
  });
  rig.handle(execOf(child, process.pid));
  expect(rig.reported.find(({ pid }) => pid === child)?.tree).toBe(`${ownLabel(rig)}/sleep`);
});

test("what events did not name is found by the scan, whole", () => {
  const rig = new Rig();
  rig.finish();
  expect(rig.of(sleeping.pid)).toEqual(["procfs"]);
  const found = rig.tracker.forest.get(sleeping.pid);
  expect(found && treeOf(found.lineage).exact).toBe(`${ownLabel(rig)}/sleep`);
});
