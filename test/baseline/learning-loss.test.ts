// Learning while events are lost: whatever is learned has run exactly so. An intruder who makes the host lose events,
// for example by a flood of forks, must not dig a hole into the baseline.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { LearnedTree } from "../../src/baseline/learned.ts";
import { Learning } from "../../src/baseline/learning.ts";
import { startLearning } from "../../src/baseline/learning-state.ts";
import { createIdentifier } from "../../src/fingerprint/identify.ts";
import { programNames } from "../../src/fingerprint/title.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { Forest } from "../../src/forest/forest.ts";
import type { Process } from "../../src/forest/process.ts";
import { type ProcessFacts, type ScannedProcess, unknownFacts } from "../../src/sensor/event.ts";
import { RUN } from "./samples.ts";

/** As the warden's: a loss may be noticed this much later than it happened. */
const HOLD_S = 3;
const LATE_NS = 1e9;
/** How long after a notice the host is scanned. */
const RESCAN_NS = 100e6;

const identify = createIdentifier();
function newForest(): Forest {
  return new Forest({ ...programNames(identify), missedExit: () => undefined });
}

interface Actual {
  readonly pid: number;
  readonly startTicks: number;
  parentPid: number;
  program: string;
}

/** A host, all of whose events `whole` sees, and of which `lossy` misses some. */
class Host {
  readonly whole = newForest();
  readonly lossy = newForest();
  /** Every habit that a program had when it was executed. */
  readonly habits = new Set<string>();
  readonly learned: LearnedTree[] = [];
  readonly learning = new Learning({ state: startLearning(0, null, RUN), redact: (args) => args });
  private readonly actual = new Map<number, Actual>();
  private time = 1e9;
  private nextPid = 2;
  private noticeDue: number | undefined;
  private scanDue: number | undefined;

  constructor() {
    this.actual.set(1, { pid: 1, startTicks: 0, parentPid: 0, program: "/usr/lib/systemd/systemd" });
    for (const forest of [this.whole, this.lossy]) forest.reconcile(this.scan(), this.time);
  }

  private get second(): number {
    return Math.floor(this.time / 1e9);
  }

  private scan(): ScannedProcess[] {
    return [...this.actual.values()].map(({ pid, startTicks, parentPid, program }) => ({
      pid,
      kernelThread: false,
      facts: { ...factsOf(program, startTicks), parentPid },
    }));
  }

  /** Lets `ns` pass, with what the warden does in the meantime. */
  pass(ns: number): void {
    const end = this.time + ns;
    for (;;) {
      const due = Math.min(this.noticeDue ?? end, this.scanDue ?? end);
      this.time = Math.min(end, due);
      this.work();
      if (due >= end) return;
    }
  }

  private work(): void {
    if (this.noticeDue !== undefined && this.noticeDue <= this.time) {
      this.noticeDue = undefined;
      this.lossy.lost(this.time);
      this.learning.dropAfter(this.second - HOLD_S);
      this.scanDue = this.time + RESCAN_NS;
    }
    if (this.scanDue !== undefined && this.scanDue <= this.time) {
      this.scanDue = undefined;
      const { found, changed, missing } = this.lossy.reconcile(this.scan(), this.time);
      for (const { process, facts } of [...found, ...changed]) this.learn(process, facts);
      this.lossy.forget(missing);
    }
    this.report(this.second - HOLD_S);
  }

  report(until: number): void {
    this.learning.report((update) => {
      if (update.kind === "tree") this.learned.push(update.tree);
      return true;
    }, until);
  }

  private learn({ lineage }: Process, facts: ProcessFacts): void {
    this.learning.observe(lineage, "-", facts.args, this.second, facts);
  }

  /** Only `whole` sees what is done if it is lost; the loss is noticed `lateNs` after it. */
  private each(isLost: boolean, lateNs: number): readonly Forest[] {
    if (!isLost) return [this.whole, this.lossy];
    this.noticeDue ??= this.time + lateNs;
    return [this.whole];
  }

  private pick(index: number): Actual {
    const all = [...this.actual.values()];
    const picked = all[index % all.length];
    if (picked === undefined) throw new Error("there is always pid 1");
    return picked;
  }

  fork(index: number, isLost: boolean, lateNs: number): void {
    const parent = this.pick(index);
    const pid = this.nextPid;
    this.nextPid += 1;
    const startTicks = Math.floor(this.time / 1e7);
    this.actual.set(pid, { pid, startTicks, parentPid: parent.pid, program: parent.program });
    const event = { kind: "fork", source: "ebpf", time: this.time, pid, parentPid: parent.pid } as const;
    for (const forest of this.each(isLost, lateNs)) forest.fork({ ...event, startTicks, startExact: true });
  }

  exec(index: number, program: string, isLost: boolean, lateNs: number): void {
    const actual = this.pick(index);
    if (actual.pid === 1) return;
    actual.program = program;
    const facts = { ...factsOf(program, actual.startTicks), parentPid: actual.parentPid };
    const event = { kind: "exec", source: "ebpf", time: this.time, pid: actual.pid, facts } as const;
    for (const forest of this.each(isLost, lateNs)) {
      const process = forest.exec(event);
      if (process === undefined) throw new Error("an exec has a process");
      if (forest === this.whole) this.habits.add(treeOf(process.lineage).habit);
      else this.learn(process, facts);
    }
  }

  exit(index: number, isLost: boolean, lateNs: number): void {
    const { pid } = this.pick(index);
    if (pid === 1) return;
    this.actual.delete(pid);
    // An orphan gets pid 1 as its parent, which is what makes a scan misleading.
    for (const other of this.actual.values()) if (other.parentPid === pid) other.parentPid = 1;
    const event = { kind: "exit", source: "ebpf", time: this.time, pid, status: 0 } as const;
    for (const forest of this.each(isLost, lateNs)) forest.exit(event);
  }
}

function factsOf(executable: string, startTicks: number): ProcessFacts {
  return {
    ...unknownFacts,
    ...{ executable, executableMemfd: false, args: [executable], argsTruncated: false, cwd: "/" },
    ...{ uid: 0, realUid: 0, startTicks, cgroup: "/" },
  };
}

const step = fc.record({
  action: fc.constantFrom("fork", "exec", "exec", "exit"),
  index: fc.nat({ max: 9 }),
  program: fc.constantFrom("/usr/sbin/sshd", "/usr/bin/bash", "/usr/bin/curl", "/usr/bin/chmod"),
  isLost: fc.nat({ max: 14 }).map((chance) => chance === 0),
  lateNs: fc.integer({ min: 0, max: LATE_NS }),
  passNs: fc.oneof(fc.integer({ min: 0, max: 400e6 }), fc.constant(5e9)),
});

describe("a learning while events are lost", () => {
  test("never holds a tree that did not run exactly so", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), (steps) => {
        const host = new Host();
        for (const { action, index, program, isLost, lateNs, passNs } of steps) {
          if (action === "fork") host.fork(index, isLost, lateNs);
          else if (action === "exec") host.exec(index, program, isLost, lateNs);
          else host.exit(index, isLost, lateNs);
          host.pass(passNs);
        }
        // Long enough for every loss to be noticed, as a learning is not ended by the warden in the middle of one.
        host.pass(LATE_NS);
        host.pass(RESCAN_NS);
        host.report(Number.POSITIVE_INFINITY);
        for (const { habit } of host.learned) expect([...host.habits]).toContain(habit);
      }),
      { numRuns: 1_000 },
    );
  });

  test("learns a program anew when it is seen whole", () => {
    const host = new Host();
    host.fork(0, false, 0);
    host.exec(1, "/usr/sbin/sshd", false, 0);
    host.pass(10e9);
    // The exec of a shell is lost, so what it starts seems to be started by sshd.
    host.fork(1, false, 0);
    host.exec(2, "/usr/bin/bash", true, 500e6);
    host.fork(2, false, 0);
    host.exec(3, "/usr/bin/chmod", false, 0);
    host.pass(600e6);
    host.pass(10e9);
    expect(host.learned.map(({ habit }) => habit)).not.toContain("/sshd/chmod");
    expect(host.learning.state.uncertain).toBeGreaterThan(0);
    host.fork(1, false, 0);
    host.exec(4, "/usr/bin/bash", false, 0);
    host.fork(4, false, 0);
    host.exec(5, "/usr/bin/chmod", false, 0);
    host.pass(10e9);
    expect(host.learned.map(({ habit, complete }) => [habit, complete])).toContainEqual([
      "/sshd/bash/chmod",
      true,
    ]);
  });
});
