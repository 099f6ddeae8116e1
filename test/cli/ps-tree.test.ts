import { expect, test } from "bun:test";
import { type TreeRow, treeLines } from "../../src/cli/ps/tree-lines.ts";
import type { FoundProcess } from "../../src/forest/forest.ts";
import { type ProcessFacts, unknownFacts } from "../../src/sensor/event.ts";
import { World } from "../forest/world.ts";

const plain: TreeRow = { isUnknown: false, hasVerdict: false, user: "root", start: "12:00", unit: "-" };

/** Pid, parent, start in ticks, arguments. */
type Spec = readonly [number, number, number, ...string[]];

function found(...specs: readonly Spec[]): readonly FoundProcess[] {
  const world = new World();
  const facts = new Map<number, Partial<ProcessFacts>>(
    specs.map(([pid, parentPid, , ...args]) => [pid, { parentPid, args }]),
  );
  const scan = specs.map(([pid, parentPid, ticks, program = ""]) =>
    world.found(pid, parentPid, program, ticks),
  );
  return world
    .scan(...scan)
    .found.map(({ process }) => ({ process, facts: { ...unknownFacts, ...facts.get(process.pid) } }));
}

function commands(processes: readonly FoundProcess[]): string[] {
  return treeLines(processes, () => plain, 200)
    .slice(1)
    .map((line) => line.replace(/^ *(\d+) .*?- {5}/, "$1 "));
}

test("each process stands below the one that started it, in the order of pids", () => {
  const processes = found(
    [1, 0, 0, "systemd"],
    [30, 1, 5, "sshd"],
    [20, 1, 4, "cron", "-f"],
    [40, 30, 6, "bash"],
    [25, 30, 7, "scp"],
  );
  expect(commands(processes)).toEqual([
    "1 systemd",
    "20 └ cron -f",
    "30 └ sshd",
    "25   └ scp",
    "40   └ bash",
  ]);
});

test("a pid that was given to a younger process is not taken for the parent", () => {
  expect(commands(found([1, 0, 0, "systemd"], [30, 1, 9, "sshd"], [40, 30, 6, "bash"]))).toEqual([
    "1 systemd",
    "30 └ sshd",
    "40 bash",
  ]);
});

test("marks what the baseline does not know, and what drew a verdict", () => {
  const processes = found([1, 0, 0, "systemd"], [30, 1, 5, "sshd"]);
  const lines = treeLines(
    processes,
    ({ process }) => ({ ...plain, isUnknown: process.pid === 30, hasVerdict: process.pid === 30 }),
    200,
  );
  expect(lines[0]).toMatch(/^ +PID {2}USER {2}START {2}UNIT {2}COMMAND$/);
  expect(lines[1]).toStartWith("    ");
  expect(lines[2]).toStartWith("*! ");
});

test("hostile arguments are escaped, and a line is no longer than the terminal", () => {
  const processes = found([1, 0, 0, "sh", "\u001b[2J", "x".repeat(100_000)]);
  const [, line = ""] = treeLines(processes, () => plain, 60);
  expect(line).toContain("\\x1b[2J");
  expect(line).toHaveLength(60);
  expect(treeLines(processes, () => plain, Number.POSITIVE_INFINITY)[1]?.length).toBeLessThan(400);
});
