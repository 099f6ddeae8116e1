// A warden that is behind leaves out plain events first, then the scoring of new names, and says so.
import { expect, test } from "bun:test";
import { LoadShedding } from "../../src/warden/load-shedding.ts";

function shedding() {
  const changes: string[] = [];
  const load = new LoadShedding({
    recordChange: (event, details) =>
      void changes.push([event, details["load.step"]].filter(Boolean).join(" ")),
  });
  return { load, changes, state: () => [load.shedsPlainEvents, load.shedsScoring] };
}

test("nothing is left out while verdicts come in time", () => {
  const { load, changes, state } = shedding();
  for (let now = 0; now < 10e9; now += 1e8) load.onVerdict(100e6, now);
  expect(state()).toEqual([false, false]);
  expect(changes).toEqual([]);
});

test("execs older than 250 ms cost the plain events, those older than a second the scoring", () => {
  const { load, changes, state } = shedding();
  load.onVerdict(300e6, 1e9);
  expect(state()).toEqual([true, false]);
  load.onVerdict(900e6, 2e9);
  expect(state()).toEqual([true, false]);
  load.onVerdict(1.2e9, 3e9);
  expect(state()).toEqual([true, true]);
  expect(changes).toEqual(["load.shed plain events", "load.shed scoring of names"]);
});

test("each step is taken back after a second of young execs, the last one first", () => {
  const { load, changes, state } = shedding();
  load.onVerdict(2e9, 1e9);
  load.onVerdict(2e9, 1e9);
  expect(state()).toEqual([true, true]);
  load.onVerdict(1e6, 1.5e9);
  expect(state()).toEqual([true, true]);
  load.onVerdict(1e6, 2e9);
  expect(state()).toEqual([true, false]);
  load.onVerdict(200e6, 2.5e9);
  load.onVerdict(1e6, 3.4e9);
  expect(state()).toEqual([true, false]);
  load.onVerdict(1e6, 3.5e9);
  expect(state()).toEqual([false, false]);
  expect(changes.at(-1)).toBe("load.normal");
});
