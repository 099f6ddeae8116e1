// What the kernel is given: sets for each process, voided by every change until all processes are judged again.
import { describe, expect, test } from "bun:test";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { Forest } from "../../src/forest/forest.ts";
import type { Process } from "../../src/forest/process.ts";
import { monotonicNow } from "../../src/linux/clock.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import type {
  ClosedProcess,
  ClosedSet,
  ClosedSets,
  FileIdentity,
} from "../../src/sensor/prevention/closed-set.ts";
import type { Payer } from "../../src/vocabulary/shares.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { ClosedLineages } from "../../src/warden/closed-lineages.ts";
import { IdentifiedFiles } from "../../src/warden/identified-files.ts";
import { ListedFiles } from "../../src/warden/listed-files.ts";
import { policyOf } from "../policy/helpers.ts";

const path = { var: "process.executable.path" };
const HELPER = "/usr/bin/tw-helper";
const ofNginx = policyOf([
  { id: "k", when: { under: ["nginx"] }, except: [{ "==": [path, HELPER] }], action: "kill" },
]);
const identity: FileIdentity = {
  device: 1,
  inode: 2n,
  generation: 3,
  changed: 1_000n,
  changedNanoseconds: 0,
  filesystem: 0xef53,
};

class FakeKernel {
  isInherited = false;
  readonly sets = new Map<number, ClosedSet>();
  readonly assigned = new Map<number, ClosedSets>();
  readonly payers = new Map<number, readonly Payer[]>();
  readonly log: string[] = [];
  define(set: number, closed: ClosedSet): void {
    this.sets.set(set, closed);
  }
  remove(set: number): void {
    this.sets.delete(set);
  }
  assign({ pid, payers }: ClosedProcess, { own, child }: ClosedSets): boolean {
    this.assigned.set(pid, { own, child });
    this.payers.set(pid, payers);
    return true;
  }
  exited(): void {}
  setEpoch(epoch: number): void {
    this.log.push(`epoch ${epoch}`);
  }
  enforceEpoch(): void {
    this.isInherited = false;
    this.log.push("enforced");
  }
  setActing(acts: boolean): void {
    this.log.push(acts ? "acts" : "opens");
  }
  beat(): void {}
  identify(_: number, descriptors: readonly number[]): ReadonlyMap<number, FileIdentity> {
    return new Map(descriptors.map((fd) => [fd, identity]));
  }
  readonly refused = 0;
  refusals() {
    return { count: 0, ofPayers: new Map<Payer, number>() };
  }
  counts() {
    return { prevented: new Map<number, number>(), failed: 0, full: 0 };
  }
}

/** A host with nginx, a worker of its and cron. */
function host() {
  const forest = new Forest({
    identify,
    identifyRunning: identify,
    kernelProgram: identify(unknownFacts),
    missedExit: () => undefined,
  });
  const start = (pid: number, parentPid: number, executable: string, uid = 33): Process => {
    const time = pid * 1e9;
    const source = "ebpf" as const;
    forest.fork({ kind: "fork", source, time, pid, parentPid, startTicks: pid * 100, startExact: true });
    const facts = { ...unknownFacts, executable, startTicks: pid * 100, uid };
    const process = forest.exec({ kind: "exec", source, time, pid, facts });
    if (process === undefined) throw new Error("not taken");
    return process;
  };
  const nginx = start(10, 1, "/usr/sbin/nginx");
  const worker = start(11, 10, "/usr/bin/tw-worker");
  const cron = start(12, 1, "/usr/sbin/cron");
  return { forest, start, nginx, worker, cron };
}

function rig(policy = ofNginx) {
  const kernel = new FakeKernel();
  const processes = host();
  const epoch = { current: 1 };
  const enforcement = { mayPrevent: true, states: ruleStatesOf(policy, () => true, noOverrides) };
  const asked: string[] = [];
  const scheduled = { times: 0, new: 0 };
  const clock = { now: 1_800_000_000_000_000_000n };
  const files = new IdentifiedFiles({
    ask: (paths) => asked.push(...paths),
    now: () => clock.now,
  });
  const { kind: _, ...known } = testSubject({ lineage: ["/usr/bin/any"] });
  const closings = new ClosedLineages({
    policy: { current: policy },
    enforcement,
    epoch,
    processes: () => processes.forest.processes(),
    kernel: () => kernel,
    subjectOf: ({ lineage }) => ({ ...known, lineage, facts: { ...known.facts, uid: lineage.uid } }),
    closing: () => ({ identify, knowledgeOf: () => ({}), scopeOf: () => "-", programs: undefined }),
    files,
    listed: new ListedFiles({ ask: () => undefined, now: () => 0n }),
    isOpen: () => false,
    limit: { look: () => undefined },
    onUnrecorded: () => undefined,
    scheduleNew: () => {
      scheduled.new += 1;
    },
    isAlive: () => true,
    schedule: () => {
      scheduled.times += 1;
    },
  });
  const apply = (): void => allSteps(closings.applying());
  const answer = (): void =>
    void files.onOpened(
      1,
      asked.splice(0).map((each, fd) => ({ path: each, is: "file", fd }) as const),
      kernel,
    );
  return {
    kernel,
    ...processes,
    epoch,
    enforcement,
    asked,
    clock,
    scheduled,
    files,
    closings,
    apply,
    answer,
  };
}

test("a process whose exceptions are not identified yet is open; then it has a set with them, and what follows", () => {
  const { kernel, nginx, worker, cron, asked, apply, answer } = rig();
  apply();
  expect(asked).toEqual([HELPER]);
  expect(kernel.assigned.get(nginx.pid)).toEqual({ own: 0, child: 0 });
  answer();
  apply();
  const { own, child } = kernel.assigned.get(nginx.pid) ?? { own: -1, child: -1 };
  expect(own).toBe(0);
  const set = kernel.sets.get(child);
  expect(set).toMatchObject({ ofUser: false, carriersDie: true, exceptions: [{ file: identity }] });
  const next = set?.exceptions[0]?.next;
  expect(kernel.sets.get(next?.own ?? 0)?.exceptions).toHaveLength(1);
  expect(kernel.assigned.get(worker.pid)?.own).not.toBe(0);
  expect(kernel.assigned.get(cron.pid)).toEqual({ own: 0, child: 0 });
});

/** A rig whose nginx may execute as many programs, all of them identified. */
function rigOf(count: number) {
  const programs = Array.from({ length: count }, (_, i) => `${HELPER}-${String.fromCharCode(97 + i)}`);
  const may = { in: [path, programs] };
  const made = rig(policyOf([{ id: "k", when: { under: ["nginx"] }, except: [may], action: "kill" }]));
  made.apply();
  made.answer();
  return made;
}

test("what follows 15 exceptions is known beforehand; of many more, what follows the first", () => {
  const followed = (count: number): number => {
    const { kernel, nginx, worker, closings } = rigOf(count);
    let steps = 0;
    for (const _ of closings.applying()) steps += 1;
    const followedBy = (set = 0): number => {
      const exceptions = kernel.sets.get(set)?.exceptions ?? [];
      expect(exceptions).toHaveLength(count);
      return exceptions.filter(({ next }) => next.child !== 0).length;
    };
    const ofChildren = followedBy(kernel.assigned.get(nginx.pid)?.child);
    expect(followedBy(kernel.assigned.get(worker.pid)?.own)).toBe(ofChildren);
    expect(steps).toBeGreaterThan(ofChildren);
    return ofChildren;
  };
  expect(followed(15)).toBe(15);
  expect([followed(26) > 5, followed(26) < 26]).toEqual([true, true]);
});

test("a process that executes another program while it is judged is judged by that", () => {
  const { kernel, forest, nginx, closings, scheduled } = rigOf(15);
  kernel.assigned.clear();
  const steps = closings.applying();
  steps.next();
  const facts = { ...unknownFacts, executable: "/usr/sbin/cron", startTicks: nginx.startTicks, uid: 33 };
  forest.exec({ kind: "exec", source: "ebpf", time: 13e9, pid: nginx.pid, facts });
  closings.onProcess(nginx);
  allSteps(steps);
  expect([kernel.assigned.has(nginx.pid), scheduled.new > 0]).toEqual([false, true]);
  allSteps(closings.judgingNew());
  // Now nginx is above it, and decides what it executes in its own place.
  expect(kernel.assigned.get(nginx.pid)?.own).toBeGreaterThan(0);
});

test("what is closed is named by program and rule, and charged to the user to whom root handed over", () => {
  const { kernel, nginx, worker, cron, closings, apply, answer } = rig();
  apply();
  answer();
  apply();
  expect(closings.summary()).toEqual({
    closed: 2,
    programs: [
      { path: "/usr/sbin/nginx", rule: "role/k", processes: 1 },
      { path: "/usr/bin/tw-worker", rule: "role/k", processes: 1 },
    ],
  });
  expect([nginx, worker, cron].map(({ pid }) => kernel.payers.get(pid))).toEqual([[33], [33], []]);
});

test("a child that was forked is pointed to its set at the end of the turn, unless it has executed a program or ended", () => {
  const { kernel, forest, nginx, closings, apply, answer } = rig();
  apply();
  answer();
  apply();
  const fork = (pid: number): Process => {
    const at = { source: "ebpf", time: pid * 1e9, startTicks: pid * 100, startExact: true } as const;
    const child = forest.fork({ kind: "fork", pid, parentPid: nginx.pid, ...at });
    if (child === undefined) throw new Error("not taken");
    closings.onFork(child);
    return child;
  };
  const [waiting, executed] = [fork(20), fork(21)];
  const judgeNew = (): void => allSteps(closings.judgingNew());
  closings.onProcess(executed);
  judgeNew();
  expect([kernel.assigned.has(waiting.pid), kernel.assigned.has(executed.pid)]).toEqual([false, true]);
  kernel.assigned.delete(executed.pid);
  closings.work(monotonicNow());
  judgeNew();
  expect([kernel.assigned.has(waiting.pid), kernel.assigned.has(executed.pid)]).toEqual([true, false]);
  // As many as are forked in a burst do not wait for the end of the turn.
  for (let pid = 1_000; pid < 1_300; pid += 1) fork(pid);
  expect([1_000, 1_255, 1_256].map((pid) => kernel.assigned.has(pid))).toEqual([true, true, false]);
});

test("users for whom the same may run share a set: with subordinate ids one user could fill the kernel with them", () => {
  const users = { ">": [{ var: "process.user.id" }, 1_000] };
  const { kernel, start, closings, apply } = rig(policyOf([{ id: "k", when: users, action: "kill" }]));
  const people = [...Array(50).keys()].map((i) => start(100 + i, 1, "/usr/bin/tw-shell", 100_000 + i));
  apply();
  expect(closings.closedProcesses).toBe(people.length);
  const ofOne = kernel.assigned.get(people[0]?.pid ?? 0);
  for (const { pid } of people) expect(kernel.assigned.get(pid)).toEqual(ofOne);
  expect([...kernel.sets.values()]).toMatchObject([{ ofUser: true }]);
});

test("what the warden before has closed stays so until the files are identified; an order ends that", () => {
  const { kernel, worker, closings, apply, answer } = rig();
  kernel.isInherited = true;
  apply();
  closings.onProcess(worker);
  expect([kernel.log, kernel.assigned.size]).toEqual([[], 0]);
  answer();
  apply();
  expect(kernel.log).toEqual(["epoch 1", "enforced", "acts"]);
  expect(kernel.assigned.get(worker.pid)).not.toEqual({ own: 0, child: 0 });

  const other = rig();
  other.kernel.isInherited = true;
  other.apply();
  other.closings.onEpoch("enforcement");
  other.apply();
  expect(other.kernel.log).toEqual(["opens", "epoch 1", "enforced", "acts"]);
});

test("an order opens everything at once, and acts again when all processes are judged", () => {
  const { kernel, apply, answer, closings, epoch, scheduled } = rig();
  apply();
  answer();
  apply();
  kernel.log.length = 0;
  epoch.current = 2;
  closings.onEpoch("enforcement");
  expect(kernel.log).toEqual(["opens"]);
  expect(scheduled.times).toBe(1);
  apply();
  expect(kernel.log).toEqual(["opens", "epoch 2", "enforced", "acts"]);
});

test("an upgrade of packages opens nothing: the files are identified again meanwhile", () => {
  const { kernel, nginx, asked, clock, apply, answer, closings, epoch } = rig();
  apply();
  answer();
  apply();
  kernel.log.length = 0;
  epoch.current = 2;
  clock.now += 1_000_000_000n;
  closings.onEpoch("packages");
  apply();
  expect(kernel.log).toEqual(["epoch 2", "acts"]);
  const before = kernel.assigned.get(nginx.pid)?.child ?? 0;
  expect(kernel.sets.has(before)).toBe(true);
  expect(asked).toEqual([HELPER]);
  clock.now += 1_000_000_000n;
  answer();
  apply();
  // A child whose fork was not read yet may have the set of before.
  const after = kernel.assigned.get(nginx.pid)?.child ?? 0;
  expect([after === before, kernel.sets.has(after), kernel.sets.has(before)]).toEqual([false, true, true]);
  // What was ended before counts once for both.
  expect(kernel.sets.get(after)?.countedAs).toBe(kernel.sets.get(before)?.countedAs ?? 0);
  closings.work(monotonicNow() + 6e9);
  expect([kernel.sets.has(after), kernel.sets.has(before)]).toEqual([true, false]);
});

test("two seconds after the files were identified they are once more, which opens nothing", () => {
  const { kernel, nginx, asked, clock, scheduled, apply, answer, closings } = rig();
  apply();
  answer();
  apply();
  const identifiedAt = (): bigint | undefined =>
    kernel.sets.get(kernel.assigned.get(nginx.pid)?.child ?? 0)?.identifiedAt;
  const before = clock.now;
  expect(identifiedAt()).toBe(before);
  kernel.log.length = 0;
  const now = monotonicNow();
  closings.work(now);
  expect(closings.dueIn(now)).toBeLessThanOrEqual(2e9);
  clock.now += 2_300_000_000n;
  expect(closings.dueIn(now)).toBe(0);
  closings.work(now);
  expect([asked, closings.dueIn(now)]).toEqual([[HELPER], 2e9]);
  answer();
  scheduled.times = 0;
  apply();
  expect(identifiedAt()).toBe(clock.now);
  expect([kernel.log, scheduled.times]).toEqual([["epoch 1", "acts"], 0]);
});

test("a mount over an exception opens everything at once, and what is there now is an exception once it is identified", () => {
  const { kernel, nginx, epoch, asked, files, closings, apply, answer } = rig();
  apply();
  answer();
  apply();
  kernel.log.length = 0;
  epoch.current += 1;
  expect(files.forgetBelow(new Set(["/usr/bin"]))).toBe(true);
  closings.onEpoch("mounts");
  expect(kernel.log).toEqual(["opens"]);
  apply();
  expect([kernel.assigned.get(nginx.pid), asked]).toEqual([{ own: 0, child: 0 }, [HELPER]]);
  answer();
  apply();
  expect(kernel.log.at(-1)).toBe("acts");
  expect(kernel.assigned.get(nginx.pid)?.child).toBeGreaterThan(0);
});

test("a pause leaves nothing closed, and no set in the kernel", () => {
  const { kernel, apply, answer, closings, epoch, enforcement } = rig();
  apply();
  answer();
  apply();
  enforcement.mayPrevent = false;
  epoch.current = 2;
  closings.onEpoch("enforcement");
  apply();
  expect(kernel.log.at(-1)).toBe("enforced");
  expect(kernel.sets.size).toBe(0);
});

test("a change that comes while processes are judged has them judged again before anything acts", () => {
  const { kernel, apply, answer, closings, epoch } = rig();
  apply();
  answer();
  kernel.log.length = 0;
  const steps = closings.applying();
  steps.next();
  epoch.current = 2;
  closings.onEpoch("policy");
  allSteps(steps);
  expect(kernel.log).not.toContain("acts");
  apply();
  expect(kernel.log.at(-1)).toBe("acts");
});

test("a file that others can replace leaves the process open", () => {
  const { kernel, nginx, asked, apply, files } = rig();
  apply();
  files.onOpened(
    1,
    asked.splice(0).map((each) => ({ path: each, is: "unsafe" }) as const),
    kernel,
  );
  apply();
  expect(kernel.assigned.get(nginx.pid)).toEqual({ own: 0, child: 0 });
});

describe("a program that the kernel has ended and the policy lets be", () => {
  /** A rig in which nginx is closed, and its number of sets that are in force. */
  function closed() {
    const made = rig();
    made.apply();
    made.answer();
    made.apply();
    made.scheduled.times = 0;
    return { ...made, childOf: (process: Process) => made.kernel.assigned.get(process.pid)?.child ?? 0 };
  }

  test("is identified again, and nothing else is; if that does not help, it is no exception any more", () => {
    const { closings, start, nginx, apply, answer, asked, scheduled, childOf, files } = closed();
    files.get("/usr/bin/other");
    const helper = start(20, 10, HELPER);
    closings.onMismatch(helper, HELPER);
    expect(scheduled.times).toBe(1);
    apply();
    expect(childOf(nginx)).toBe(0);
    expect(asked.toSorted()).toEqual([HELPER, "/usr/bin/other"].toSorted());
    answer();
    apply();
    expect(childOf(nginx)).not.toBe(0);
    closings.onMismatch(helper, HELPER);
    apply();
    answer();
    apply();
    expect(childOf(nginx)).toBe(0);
  });

  test("opens only what is below the same lineage if no file there was identified, until the next epoch", () => {
    const { closings, start, nginx, worker, apply, epoch, scheduled, asked, childOf } = closed();
    const stranger = start(20, 10, "/usr/bin/tw-stranger");
    for (let i = 0; i < 3; i += 1) closings.onMismatch(stranger, "/usr/bin/tw-stranger");
    expect(scheduled.times).toBe(1);
    apply();
    expect(asked).toEqual([]);
    expect([childOf(nginx), childOf(worker) === 0]).toEqual([0, false]);
    epoch.current = 2;
    closings.onEpoch("policy");
    apply();
    expect(childOf(nginx)).not.toBe(0);
  });
});

test("processes of new kinds that come without end keep no other work from being done", () => {
  const { closings, start, apply, answer, scheduled } = rig();
  apply();
  answer();
  apply();
  let pid = 100;
  const come = (): void => {
    pid += 1;
    closings.onProcess(start(pid, 1, `/usr/bin/tw-new-${pid}`));
  };
  come();
  for (const _ of closings.judgingNew()) {
    come();
    expect(pid).toBeLessThan(110);
  }
  // The rest waits for its turn.
  expect(scheduled.new).toBeGreaterThan(1);
});
