// Which execs the warden must read at once: those with which a denial begins or ends.
import { expect, test } from "bun:test";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { Process } from "../../src/forest/process.ts";
import { SystemCallError } from "../../src/linux/libc.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import type { DeniedProcess, DenySets, NetworkDenials } from "../../src/sensor/network/denial.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { DenialsInForce } from "../../src/warden/denials-in-force.ts";
import { policyOf } from "../policy/helpers.ts";

const shell = testSubject({ lineage: ["/bin/sh"] });
const shop = testSubject({ lineage: ["/bin/sh", "/usr/bin/shopd"] });
const below = testSubject({ lineage: ["/bin/sh", "/usr/bin/shopd", "/bin/date"] });
const other = testSubject({ lineage: ["/bin/sh", "/bin/date"] });

/** asm-generic/errno-base.h */
const ENOSPC = 28;

/** A kernel that notes what it is asked for. */
class FakeKernel implements NetworkDenials {
  renewed = 0;
  full = 0;
  beats = 0;
  readonly isInherited = false;
  readonly calls: string[] = [];

  /** How many sets there is room for. */
  room = 100;
  /** What `check` finds, and what the first denial does. */
  wrong: string | undefined;
  wrongAtDenial: string | undefined;
  problem: string | undefined;

  check(): void {
    this.problem = this.wrong;
  }

  define(): void {
    this.room -= 1;
    this.problem ??= this.wrongAtDenial;
    if (this.room < 0) throw new SystemCallError("bpf(MAP_UPDATE_ELEM)", ENOSPC);
  }

  remove(): void {}

  assign({ pid }: DeniedProcess, sets: DenySets): boolean {
    this.calls.push(`assign ${pid} ${sets.set === 0 ? "nothing" : "a set"}`);
    this.lastSets = sets;
    return true;
  }

  lastSets: DenySets | undefined;

  setEpoch(): void {}

  beat(): void {
    this.beats += 1;
  }

  awaitPrograms(): void {
    this.calls.push("await");
  }

  enforceEpoch(): void {
    this.calls.push("enforce");
  }
}

const start = { startTicks: 1, startExact: true, time: 0 };

function rig(...conditions: readonly unknown[]) {
  return rigOn(new FakeKernel(), ...conditions);
}

function rigOn(kernel: FakeKernel, ...conditions: readonly unknown[]) {
  const rules = conditions.map((when, i) => ({ id: `d${i}`, on: ["connect"], when, action: "deny" }));
  const policy = policyOf(rules);
  const states = ruleStatesOf(policy, () => true, noOverrides);
  const epoch = { current: 1 };
  const subjects = new Map([shell, shop, below, other].map((each) => [each.lineage, each]));
  const processes: Process[] = [];
  const spared = new Set<Process>();
  const parents = new Map<Process, readonly Process[]>();
  const denials = new DenialsInForce({
    policy: { current: policy },
    enforcement: { mayAct: true, states },
    epoch,
    processes: () => processes,
    above: (process) => parents.get(process) ?? [],
    kernel: () => kernel,
    subjectOf: ({ lineage }) => subjects.get(lineage) ?? shell,
    isSpared: (process) => spared.has(process),
  });
  allSteps(denials.applying());
  /** A process that was forked by one of `parent`, and has executed what makes it one of `child`. */
  function execed(parent: typeof shell, child: typeof shell): Process {
    const process = new Process(7, start, parent.lineage, null, 1, false);
    denials.assign(process);
    process.lineage = child.lineage;
    return process;
  }
  return { denials, epoch, execed, kernel, parents, processes, spared };
}

function processOf(pid: number, { lineage }: typeof shell): Process {
  return new Process(pid, start, lineage, null, 1, false);
}

test("what a service is denied begins with its exec, and what is below it inherits that", () => {
  const { denials, execed } = rig({ under: ["shopd"] });
  expect(denials.isInherited(execed(shell, shop))).toBe(false);
  expect(denials.isInherited(execed(shop, below))).toBe(true);
  expect(denials.isInherited(execed(shell, other))).toBe(true);
});

test("what is wrong with the kernel is known as soon as a rule may deny, before any process is denied something", () => {
  const kernel = new FakeKernel();
  kernel.wrong = "the kernel keeps nothing for a socket";
  expect(rigOn(kernel, { under: ["shopd"] }).denials.problem).toBe("the kernel keeps nothing for a socket");
  expect(rigOn(new FakeKernel(), { under: ["shopd"] }).denials.problem).toBeUndefined();
});

test("where no rule denies anything, nothing is wrong", () => {
  const kernel = new FakeKernel();
  kernel.wrong = "the kernel keeps nothing for a socket";
  expect(rigOn(kernel).denials.problem).toBeUndefined();
});

test("what the kernel finds at a later denial is known, too", () => {
  const { denials, execed, kernel } = rig({ under: ["shopd"] });
  kernel.wrongAtDenial = "packets with a source route evade what is denied";
  expect(denials.problem).toBeUndefined();
  denials.assign(execed(shell, shop));
  expect(denials.problem).toBe("packets with a source route evade what is denied");
});

test("what depends on the program itself begins with each exec of it", () => {
  const { denials, execed } = rig({ "==": [{ var: "process.executable.name" }, "date"] });
  expect(denials.isInherited(execed(shop, below))).toBe(false);
  expect(denials.isInherited(execed(shell, shop))).toBe(true);
});

test("in an epoch whose denials are not in force yet, nothing is known to be inherited", () => {
  const { denials, epoch, execed } = rig({ under: ["shopd"] });
  epoch.current += 1;
  expect(denials.isInherited(execed(shop, below))).toBe(false);
  allSteps(denials.applying());
  expect(denials.isInherited(execed(shop, below))).toBe(true);
});

test("what an earlier epoch denied is void only once every fork that had inherited it was read", () => {
  const { denials, epoch, kernel, processes } = rig({ under: ["shopd"] });
  processes.push(processOf(10, shop));
  epoch.current += 1;
  // Forked before its parent was pointed to its set, and its own child after that was read.
  const unread = [processOf(11, below), processOf(12, below)];
  denials.catchUp = () => {
    const next = unread.shift();
    if (next === undefined) return;
    denials.assign(next);
    kernel.renewed += 1;
  };
  allSteps(denials.applying());
  expect(kernel.calls.slice(2)).toEqual([
    "assign 10 a set",
    "await",
    "assign 11 a set",
    "await",
    "assign 12 a set",
    "await",
    "enforce",
  ]);
});

test("forks without end put a change off for a moment only", () => {
  const { denials, epoch, kernel } = rig({ under: ["shopd"] });
  epoch.current += 1;
  denials.catchUp = () => {
    kernel.renewed += 1;
  };
  allSteps(denials.applying());
  expect(kernel.calls.at(-1)).toBe("enforce");
});

test("a process of treewarden's own is denied nothing", () => {
  const { denials, kernel, spared } = rig({ under: ["shopd"] });
  const own = processOf(10, below);
  spared.add(own);
  denials.assign(own);
  expect(kernel.calls.at(-1)).toBe("assign 10 nothing");
  expect(denials.isInherited(own)).toBe(true);
});

test("the kernel learns every 2 s that the warden lives, while anything is denied", () => {
  const { denials, kernel } = rig({ under: ["shopd"] });
  const before = kernel.beats;
  for (let now = 1e9; now <= 21e9; now += 0.5e9) if (denials.dueIn(now) === 0) denials.work(now);
  expect([before, kernel.beats - before]).toEqual([1, 10]);
});

test("a process for which the kernel has no room keeps what it inherited, whatever it executes", () => {
  const port = (number: number) => ({ "==": [{ var: "network.peer.port" }, number] });
  const { denials, execed, kernel, parents } = rig(
    { and: [{ under: ["shopd"] }, port(80)] },
    { and: [{ "==": [{ var: "process.executable.name" }, "date"] }, port(25)] },
  );
  const service = processOf(10, shop);
  denials.assign(service);
  const inherited = kernel.lastSets?.afterExec;
  expect(inherited).toBeGreaterThan(0);
  kernel.room = 0;
  const unlucky = execed(shop, below);
  expect(denials.isInherited(unlucky)).toBe(true);
  denials.assign(unlucky);
  expect(kernel.lastSets).toEqual({ set: inherited ?? 0, afterExec: inherited ?? 0 });
  expect(denials.problem).toContain("no room");

  // One whose fork nobody has seen.
  const found = processOf(11, below);
  parents.set(found, [processOf(12, below), service]);
  denials.assign(found);
  expect(kernel.lastSets).toEqual({ set: inherited ?? 0, afterExec: inherited ?? 0 });
});

test("a child for which the kernel had no room is reported, until every process is pointed to its set again", () => {
  const { denials, epoch, kernel } = rig({ under: ["shopd"] });
  denials.work(1e9);
  expect(denials.problem).toBeUndefined();
  kernel.full += 1;
  denials.work(3e9);
  expect(denials.problem).toContain("no room");
  epoch.current += 1;
  allSteps(denials.applying());
  denials.work(5e9);
  expect(denials.problem).toBeUndefined();
});
