import { expect, test } from "bun:test";
import { type ProcessCost, readProcessCost } from "../../src/linux/proc/cost.ts";
import { Totals } from "../../src/report/totals.ts";
import { OwnCost } from "../../src/warden/own-cost.ts";

const STARTED = 1_000;

/** An `OwnCost` of processes that are what `processes` holds; each measurement is a minute after the one before. */
function rig() {
  const totals = new Totals();
  const processes = new Map<number, ProcessCost>();
  let now = 0;
  const cost = new OwnCost({
    totals,
    read: (pid) => processes.get(pid),
    now: () => now,
    startTicks: STARTED,
  });
  const runs = (pid: number, startTicks: number, cpuSeconds: number): void => {
    processes.set(pid, { startTicks, cpuSeconds, residentBytes: 3_000, privateBytes: 1_000 });
  };
  const measure = (): void => {
    now += 60e9;
    cost.measure();
  };
  const value = (name: string, process: string): unknown => {
    totals.markAllChanged();
    const series = totals.takeChanged(1e6).map((text): unknown[] => JSON.parse(text));
    return series.find(([each, values]) => each === name && Bun.deepEquals(values, [process]))?.[2];
  };
  return { cost, processes, runs, measure, value };
}

test("each process has its memory, and the CPU time that it has used since the warden measured first", () => {
  const { cost, runs, measure, value } = rig();
  cost.setPids({ warden: 1, reporter: 2 });
  runs(1, STARTED, 0.5);
  runs(2, STARTED + 1, 0.25);
  measure();
  runs(1, STARTED, 0.75);
  measure();
  expect(value("processCpu", "warden")).toBe(0.75);
  expect(value("processCpu", "reporter")).toBe(0.25);
  expect(value("processResident", "reporter")).toBe(3_000);
  expect(value("processPrivate", "reporter")).toBe(1_000);
  expect(value("processResident", "examiner")).toBe(0);
});

test("a restarted process adds to what the one before it used, also with its pid", () => {
  const { cost, runs, measure, value } = rig();
  cost.setPids({ reporter: 2 });
  runs(2, STARTED + 1, 2);
  measure();
  runs(2, STARTED + 9, 0.5);
  measure();
  expect(value("processCpu", "reporter")).toBe(2.5);
});

test("what a process used before this warden was counted by the one before", () => {
  const { cost, runs, measure, value } = rig();
  cost.setPids({ reporter: 2 });
  runs(2, STARTED - 1, 7);
  measure();
  runs(2, STARTED - 1, 7.5);
  measure();
  expect(value("processCpu", "reporter")).toBe(0.5);
});

test("a standby that takes over goes on as supervisor, and nothing counts twice", () => {
  const { cost, runs, measure, value } = rig();
  cost.setPids({ supervisor: 1, standby: 5 });
  runs(1, STARTED, 3);
  runs(5, STARTED + 2, 1);
  measure();
  cost.setPids({ supervisor: 5 });
  runs(5, STARTED + 2, 1.5);
  measure();
  expect([value("processCpu", "supervisor"), value("processCpu", "standby")]).toEqual([3.5, 1]);
  expect(value("processResident", "standby")).toBe(0);
});

test("the kernel's files give the cost of this very process", () => {
  const cost = readProcessCost(process.pid);
  expect(cost?.cpuSeconds).toBeGreaterThan(0);
  expect(cost?.privateBytes).toBeGreaterThan(1e6);
  expect(cost?.residentBytes).toBeGreaterThan(cost?.privateBytes ?? 0);
  expect(readProcessCost(0)).toBeUndefined();
});
