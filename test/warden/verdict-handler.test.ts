// What verdicts are counted as.
import { expect, test } from "bun:test";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { ProcessKiller } from "../../src/enforcement/kill.ts";
import { KillBudget } from "../../src/enforcement/kill-budget.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { StoppedTrees } from "../../src/enforcement/stopped-trees.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import type { Policy } from "../../src/policy/policy.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { JournalChain } from "../../src/report/journal-chain.ts";
import { Outbox } from "../../src/report/outbox.ts";
import { RepeatedVerdicts } from "../../src/report/repeated-verdicts.ts";
import { recordUids } from "../../src/report/stamp.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import { type ProcessFacts, unknownFacts } from "../../src/sensor/event.ts";
import { LateVerdicts } from "../../src/warden/late-verdicts.ts";
import { LimitedKills } from "../../src/warden/limited-kills.ts";
import { LoadShedding } from "../../src/warden/load-shedding.ts";
import { NewTrees } from "../../src/warden/new-trees.ts";
import { Tracker, type TrackerListener } from "../../src/warden/tracker.ts";
import { VerdictHandler, type VerdictInputs } from "../../src/warden/verdict-handler.ts";
import { VerdictTotals } from "../../src/warden/verdict-totals.ts";
import { policyOf } from "../policy/helpers.ts";

class World {
  readonly judge: VerdictHandler;
  private readonly totals = new Totals();
  private readonly tracker: Tracker;
  private pid = 100;

  readonly policy: { current: Policy };

  /** The records of verdicts. */
  readonly reported: EventRecord[] = [];

  constructor(policy: Policy, more: Partial<VerdictInputs> = {}) {
    this.policy = { current: policy };
    const { totals } = this;
    const trees = new TreeTotals(totals);
    const listener: TrackerListener = {
      onFork: () => undefined,
      onExec: (exec) => this.judge.onExec(exec),
      onExit: () => undefined,
      onNetwork: () => undefined,
      onClose: () => undefined,
      onLoss: () => undefined,
    };
    this.tracker = new Tracker({ identify, totals, trees, suspendedNs: 0, isKnown: () => false }, listener);
    const signals = {
      now: () => 0,
      startTicks: () => undefined,
      wallNow: () => 0,
      send: () => "gone" as const,
      release: () => "gone" as const,
      isOwnProcess: () => false,
    };
    const killer = new ProcessKiller(this.tracker.forest, signals, new KillBudget(0), new StoppedTrees(), {
      spareBefore: 0,
    });
    const hello = {
      type: "hello" as const,
      run: "1",
      generation: 1,
      version: "1",
      started: "2000-01-01T00:00:00Z",
      source: "ebpf",
      enforcement: "observe",
      policies: [],
    };
    const stamp = recordUids(new Uint8Array(5));
    const outbox = new Outbox({
      fd: -1,
      totals,
      chain: new JournalChain(new Uint8Array(32), { run: "r", generation: 1 }, undefined),
      hello: () => hello,
    });
    const repeatedVerdicts = new RepeatedVerdicts({
      report: (record) => this.reported.push(record) > 0,
      offer: () => true,
      stamp,
      seed: 1,
    });
    this.judge = new VerdictHandler({
      policy: this.policy,
      enforcement: { mayAct: false, states: new Map(), refresh: () => false },
      killer,
      kills: new LimitedKills(killer, () => undefined),
      verdicts: new VerdictTotals(totals),
      outbox,
      repeatedVerdicts,
      totals,
      stamp,
      bootTimeMs: 0,
      userName: () => undefined,
      newTrees: new NewTrees(),
      load: new LoadShedding({ recordChange: () => undefined }),
      knowledgeOf: () => ({}),
      learnFrom: () => {},
      onLoss: () => undefined,
      settle: () => undefined,
      ...more,
    });
  }

  /** `isPrevented`: the kernel has ended it. */
  run(executable: string, more: Partial<ProcessFacts> = {}, isPrevented = false): void {
    this.pid += 1;
    const facts = { ...unknownFacts, executable, args: [executable], uid: 0, ...more };
    const prevented = isPrevented;
    this.tracker.handle({ kind: "exec", source: "ebpf", time: 1e9, pid: this.pid, facts, prevented });
  }

  /** Verdicts by role, rule, action, outcome and severity, observations by outcome, and rules that were left undecided. */
  get verdicts(): Record<string, number> {
    const counted: Record<string, number> = {};
    this.totals.markAllChanged();
    for (const change of this.totals.takeChanged(1e9)) {
      const [instrument, values, value] = JSON.parse(change);
      if (instrument === "verdicts" || instrument === "rulesUndecided") counted[values.join(" ")] = value;
      if (instrument === "verdictDuration") {
        const observed = value.counts.reduce((sum: number, one: number) => sum + one, 0);
        if (observed > 0) counted[values.join(" ")] = observed;
      }
    }
    return counted;
  }
}

const runs = (name: string) => ({ "==": [{ var: "process.executable.name" }, name] });

test("each verdict is counted as what it is, whatever the one before was", () => {
  const world = new World(
    policyOf([
      { id: "bad", when: runs("bad"), action: "kill" },
      { id: "odd", when: runs("odd"), action: "alert" },
      { id: "strange", when: runs("strange"), action: "alert" },
    ]),
  );
  for (const name of ["fine", "fine", "odd", "strange", "odd", "fine", "bad", "bad", "fine"])
    world.run(`/usr/bin/${name}`);
  expect(world.verdicts).toEqual({
    "role default allow allowed medium": 4,
    "role odd alert alerted medium": 2,
    "role strange alert alerted medium": 1,
    "role bad kill would_kill medium": 2,
    allowed: 4,
    alerted: 3,
    would_kill: 2,
  });
});

test("what the kernel has ended is reported as prevented; as a mismatch if the policy would have let it be", () => {
  const policy = policyOf([{ id: "bad", when: runs("bad"), action: "kill" }]);
  const states = ruleStatesOf(policy, () => true, noOverrides);
  const mismatches: unknown[] = [];
  let inForceSince = 0;
  const world = new World(policy, {
    enforcement: { mayAct: true, states, refresh: () => false },
    wasInForce: (time) => time >= inForceSince,
    onMismatch: ({ facts }) => mismatches.push(facts.executable),
  });
  world.run("/usr/bin/bad", {}, true);
  world.run("/usr/bin/fine", {}, true);
  expect(mismatches).toEqual(["/usr/bin/fine"]);
  expect(world.reported.map((record) => [record["policy.outcome"], record["policy.reason"]])).toEqual([
    ["prevented", undefined],
    ["prevented", "mismatch"],
  ]);
  // It was ended by a policy before this one.
  inForceSince = 2e9;
  world.run("/usr/bin/other", {}, true);
  expect(mismatches).toHaveLength(1);
});

test("of what the kernel has ended no path is believed that a user chose: it excepts nothing, and is no mismatch", () => {
  const except = [{ "==": [{ var: "process.executable.path" }, "/usr/bin/fine"] }];
  const policy = policyOf([
    { id: "bad", when: { "==": [{ var: "process.user.id" }, 0] }, except, action: "kill" },
  ]);
  const states = ruleStatesOf(policy, () => true, noOverrides);
  const mismatches: unknown[] = [];
  const world = new World(policy, {
    enforcement: { mayAct: true, states, refresh: () => false },
    onMismatch: ({ facts }) => mismatches.push(facts.executable),
  });
  for (let i = 0; i < 3; i += 1) world.run("/usr/bin/fine", { userMounts: true });
  for (let i = 0; i < 3; i += 1) world.run("/usr/bin/fine", { userMounts: true }, true);
  // Below thousands of folders the path is not known.
  world.run("/usr/bin/fine", { executable: undefined }, true);
  expect(mismatches).toEqual([]);
  expect(world.verdicts).toMatchObject({ "role bad kill prevented medium": 4 });
  world.run("/usr/bin/fine", {}, true);
  expect(mismatches).toEqual(["/usr/bin/fine"]);
});

test("what the kernel has ended is no mismatch if its control group is too long for a rule to be decided", () => {
  const unknown = { "==": [{ var: ["tree.known", true] }, false] };
  const policy = policyOf([{ id: "bad", when: unknown, action: "kill" }]);
  const states = ruleStatesOf(policy, () => true, noOverrides);
  const mismatches: unknown[] = [];
  const world = new World(policy, {
    enforcement: { mayAct: true, states, refresh: () => false },
    knowledgeOf: ({ facts }) => (facts.cgroup === undefined ? {} : { known: true }),
    onMismatch: ({ facts }) => mismatches.push(facts.executable),
  });
  world.run("/usr/bin/tool", {}, true);
  expect(mismatches).toEqual([]);
  world.run("/usr/bin/tool", { cgroup: "/user.slice" }, true);
  expect(mismatches).toEqual(["/usr/bin/tool"]);
});

test("with a new policy the same rule is counted under its new action", () => {
  const world = new World(policyOf([{ id: "odd", when: runs("odd"), action: "alert" }]));
  world.run("/usr/bin/odd");
  world.policy.current = policyOf([{ id: "odd", when: runs("odd"), action: "kill" }]);
  world.run("/usr/bin/odd");
  world.run("/usr/bin/odd");
  expect(world.verdicts).toMatchObject({
    "role odd alert alerted medium": 1,
    "role odd kill would_kill medium": 2,
  });
});

test("each rule that is left undecided is counted, whatever was undecided before", () => {
  const world = new World(
    policyOf([
      { id: "tty", when: { "==": [{ var: ["process.tty", ""] }, "pts/7"] }, action: "alert" },
      { id: "gone", when: { var: "process.executable.deleted" }, action: "alert" },
    ]),
  );
  const both = { tty: null, executableDeleted: false };
  for (let i = 0; i < 3; i++) world.run("/usr/bin/true", both);
  for (let i = 0; i < 3; i++) world.run("/usr/bin/true", { tty: null });
  world.run("/usr/bin/true", { executableDeleted: false });
  for (let i = 0; i < 3; i++) world.run("/usr/bin/true");
  world.run("/usr/bin/true", { executableDeleted: true });
  world.run("/usr/bin/true", both);
  expect(world.verdicts).toEqual({
    tty: 5,
    gone: 6,
    "role default allow allowed medium": 11,
    "role gone alert alerted medium": 1,
    allowed: 11,
    alerted: 1,
  });
});

test("an exec that lacks an answer is judged again by the rules that lacked it: reported, and never killed", () => {
  let knowledge: { known?: boolean } = {};
  const policy = policyOf([
    { id: "odd", when: runs("odd"), action: "alert" },
    { id: "unknown", when: { "!": { var: ["tree.known", true] } }, action: "kill" },
  ]);
  const late = new LateVerdicts({ judge: (exec) => world.judge.onLate(exec), missed: () => undefined });
  const world = new World(policy, {
    late,
    awaited: () => (knowledge.known === undefined ? ["image"] : []),
    knowledgeOf: () => knowledge,
    enforcement: {
      mayAct: true,
      states: ruleStatesOf(policy, () => true, noOverrides),
      refresh: () => false,
    },
  });
  world.run("/usr/bin/odd");
  world.run("/usr/bin/other");
  expect(world.reported.map((record) => record["security_rule.name"])).toEqual(["odd"]);
  knowledge = { known: false };
  late.answered("image");
  late.answered("image");
  const names = ["security_rule.name", "policy.outcome", "policy.reason", "process.executable.name"] as const;
  const shown = world.reported.map((record) => names.map((name) => record[name]));
  expect(shown).toEqual([
    ["odd", "alerted", undefined, "odd"],
    ["unknown", "would_kill", "late", "odd"],
    ["unknown", "would_kill", "late", "other"],
  ]);
  expect(world.verdicts).toMatchObject({
    "role unknown kill would_kill medium": 2,
    "role odd alert alerted medium": 1,
    unknown: 2,
  });
});

test("an answer that excuses an exec, or that comes with another policy, gives no verdict", () => {
  const policy = policyOf([{ id: "unknown", when: { "!": { var: ["tree.known", true] } }, action: "alert" }]);
  let knowledge: { known?: boolean } = {};
  const late = new LateVerdicts({ judge: (exec) => world.judge.onLate(exec), missed: () => undefined });
  const world = new World(policy, { late, awaited: () => ["image"], knowledgeOf: () => knowledge });
  world.run("/usr/bin/known");
  knowledge = { known: true };
  late.answered("image");
  knowledge = {};
  world.run("/usr/bin/unknown");
  world.policy.current = policyOf([]);
  knowledge = { known: false };
  late.answered("image");
  expect(world.reported).toEqual([]);
});
