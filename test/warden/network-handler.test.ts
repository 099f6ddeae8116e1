// What the warden makes of what processes do on the network: verdicts, records, counters.
import { describe, expect, test } from "bun:test";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { ProcessKiller } from "../../src/enforcement/kill.ts";
import { KillBudget } from "../../src/enforcement/kill-budget.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { StoppedTrees } from "../../src/enforcement/stopped-trees.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import type { Policy } from "../../src/policy/policy.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { RepeatedVerdicts } from "../../src/report/repeated-verdicts.ts";
import { recordUids } from "../../src/report/stamp.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import {
  type CloseEvent,
  type ConnectEvent,
  type ListenEvent,
  type ProcessFacts,
  unknownFacts,
} from "../../src/sensor/event.ts";
import { LimitedKills } from "../../src/warden/limited-kills.ts";
import { NetworkHandler, type NetworkInputs } from "../../src/warden/network-handler.ts";
import { Tracker } from "../../src/warden/tracker.ts";
import { VerdictTotals } from "../../src/warden/verdict-totals.ts";
import { policyOf } from "../policy/helpers.ts";

const source = "ebpf";
const SERVER = 300;

/** A host on which python runs below a service; what it does on the network is judged. */
class World {
  /** Records in the journal's queue, and those that only live outputs get. */
  readonly records: EventRecord[] = [];
  readonly bestEffort: EventRecord[] = [];
  readonly killed: number[] = [];
  dropped = 0;
  readonly handler: NetworkHandler;
  private readonly tracker: Tracker;
  private readonly repeated: RepeatedVerdicts;
  private readonly totals = new Totals();
  private now = 1e12;

  constructor(policy: Policy, { armed = false, watched = false, ...more }: Partial<Settings> = {}) {
    const { totals } = this;
    const trees = new TreeTotals(totals);
    this.tracker = new Tracker(
      { identify, totals, trees, suspendedNs: 0, isKnown: () => false },
      {
        onFork: () => undefined,
        onExec: () => undefined,
        onExit: () => undefined,
        onNetwork: (activity) => this.handler.onNetwork(activity),
        onClose: (event) => this.handler.onClose(event),
        onLoss: () => undefined,
      },
    );
    const signals = {
      now: () => this.now,
      startTicks: () => 100,
      wallNow: () => 0,
      release: () => "gone" as const,
      send: ({ pid }: { readonly pid: number }) => {
        this.killed.push(pid);
        return "sent" as const;
      },
      isOwnProcess: () => false,
    };
    const killer = new ProcessKiller(this.tracker.forest, signals, new KillBudget(10), new StoppedTrees(), {
      spareBefore: 0,
    });
    const stamp = recordUids(new Uint8Array(5));
    this.repeated = new RepeatedVerdicts({
      report: (record) => this.records.push(record) > 0,
      offer: (record) => this.records.push(record) > 0,
      stamp,
      seed: 1,
    });
    this.handler = new NetworkHandler({
      policy: { current: policy },
      enforcement: {
        mayAct: armed,
        states: ruleStatesOf(policy, () => armed, noOverrides),
        refresh: () => false,
      },
      kills: new LimitedKills(killer, () => undefined),
      verdicts: new VerdictTotals(totals),
      outbox: {
        watched,
        reliable: (record) => this.records.push(record) > 0,
        bestEffort: (record) => void this.bestEffort.push(record),
        shedBestEffort: () => {
          this.dropped += 1;
        },
      },
      repeatedVerdicts: this.repeated,
      stamp,
      bootTimeMs: 0,
      userName: (uid) => (uid === 33 ? "www-data" : undefined),
      load: { onVerdict: () => undefined, shedsPlainEvents: false },
      knowledgeOf: () => ({}),
      trees,
      wallOffset: () => 0,
      isReported: () => false,
      budget: { take: () => true },
      isSpared: () => false,
      ...more,
    });
    this.exec(SERVER, "/usr/bin/python3", { cgroup: "/system.slice/shop.service", uid: 33 });
  }

  exec(pid: number, executable: string, facts: Partial<ProcessFacts> = {}): void {
    const known = { ...unknownFacts, executable, args: [executable], startTicks: 100, ...facts };
    this.tracker.handle({ kind: "exec", source, time: this.tick(), pid, facts: known });
  }

  connect(more: Partial<ConnectEvent> = {}): void {
    this.tracker.handle({
      kind: "connect",
      source,
      time: this.tick(),
      pid: SERVER,
      startTicks: 100,
      uid: 33,
      transport: "tcp",
      family: "ipv4",
      peerAddress: "203.0.113.7",
      peerPort: 443,
      localAddress: undefined,
      localPort: undefined,
      socket: 7,
      denied: false,
      ...more,
    });
  }

  listen(more: Partial<ListenEvent>): void {
    this.tracker.handle({
      kind: "listen",
      source,
      time: this.tick(),
      pid: SERVER,
      startTicks: 100,
      uid: 33,
      transport: "tcp",
      family: "ipv4",
      localAddress: "0.0.0.0",
      localPort: 80,
      socket: 8,
      denied: false,
      found: false,
      ...more,
    });
  }

  close(more: Partial<CloseEvent> = {}): void {
    this.tracker.handle({
      kind: "close",
      source,
      time: this.tick(),
      socket: 7,
      pid: undefined,
      peerAddress: undefined,
      peerPort: undefined,
      result: "established",
      durationNs: 2.5e9,
      count: undefined,
      ...more,
    });
  }

  /** A minute later, with what is folded reported. */
  minute(): void {
    this.now += 61e9;
    this.repeated.flushDue(this.now);
  }

  /** The series of a counter, by the values of its attributes. */
  counted(instrument: string): Record<string, number> {
    const counted: Record<string, number> = {};
    this.totals.markAllChanged();
    for (const change of this.totals.takeChanged(1e9)) {
      const [name, values, value] = JSON.parse(change);
      if (name === instrument && value > 0) counted[values.join(" ")] = value;
    }
    return counted;
  }

  private tick(): number {
    this.now += 1e6;
    return this.now;
  }
}

interface Settings extends NetworkInputs {
  /** Every rule may act. */
  readonly armed: boolean;
  /** A live view is attached. */
  readonly watched: boolean;
}

const rule = (action: string, more: object = {}) =>
  policyOf([{ id: "out", on: ["connect"], when: { under: ["python3"] }, action, ...more }]);
const nothing = policyOf([]);

describe("a connection is judged, with all that is known of its process", () => {
  test("and the verdict records tree, user, unit and peer", () => {
    const world = new World(rule("alert"));
    world.connect();
    expect(world.records).toMatchObject([
      {
        "event.name": "policy.verdict",
        "event.kind": "connect",
        "policy.outcome": "alerted",
        "tree.path": "/python3",
        "process.user.name": "www-data",
        "process.unit": "shop.service",
        "network.peer.address": "203.0.113.7",
        "network.peer.port": 443,
        "network.socket": 7,
      },
    ]);
    expect(world.counted("verdicts")).toEqual({ "role out alert alerted medium": 1 });
  });

  test("as the user that the process is now", () => {
    const world = new World(rule("alert"));
    world.connect({ uid: 0 });
    expect(world.records[0]).toMatchObject({ "process.user.id": 0 });
  });

  test("and a process that is not known, or another one with its pid, is counted", () => {
    const world = new World(rule("alert"));
    world.connect({ pid: 999 });
    world.connect({ startTicks: 5_000 });
    expect(world.records).toEqual([]);
    expect(world.counted("connectionsUnattributed")).toEqual({ connect: 2 });
  });
});

describe("deny", () => {
  test("is only reported while the rule is not armed", () => {
    const world = new World(rule("deny"));
    world.connect();
    expect(world.records[0]).toMatchObject({ "policy.action": "deny", "policy.outcome": "would_deny" });
  });

  test("was carried out by the kernel, if the event is denied", () => {
    const world = new World(rule("deny"), { armed: true });
    world.connect({ denied: true });
    expect(world.records[0]).toMatchObject({ "policy.outcome": "denied", "network.denied": true });
  });

  test("comes too late for what the kernel could not decide, and the record says so", () => {
    const world = new World(rule("deny"), { armed: true });
    world.connect();
    expect(world.records[0]).toMatchObject({ "policy.outcome": "failed", "policy.reason": "already_done" });
  });

  test("spares treewarden's own processes, as kills do", () => {
    const world = new World(rule("deny"), { armed: true, isSpared: ({ pid }) => pid === SERVER });
    world.connect();
    expect(world.records[0]).toMatchObject({ "policy.outcome": "withheld", "policy.reason": "treewarden" });
  });
});

test("kill ends the process that connects", () => {
  const world = new World(rule("kill"), { armed: true });
  world.connect();
  expect(world.killed).toEqual([SERVER]);
  expect(world.records[0]).toMatchObject({ "policy.action": "kill", "policy.outcome": "killed" });
});

describe("a port scan", () => {
  test("is eight verdicts and one record of the rest", () => {
    const world = new World(rule("alert"));
    for (let port = 1; port <= 5_000; port += 1) world.connect({ peerPort: port });
    expect(world.records).toHaveLength(8);
    world.minute();
    expect(world.records).toHaveLength(9);
    expect(world.records[8]).toMatchObject({
      "event.name": "policy.verdict.repeated",
      "event.kind": "connect",
      "policy.count": 4_992,
      "policy.arguments": expect.arrayContaining(["tcp 203.0.113.7:1"]),
    });
    expect(world.counted("connections")).toEqual({ "/python3 outbound alerted": 5_000 });
  });

  test("and the same peer again is one variant, whose record names the peer", () => {
    const world = new World(rule("alert"));
    for (let i = 0; i < 100; i += 1) world.connect();
    expect(world.records).toHaveLength(1);
    world.minute();
    expect(world.records[1]).toMatchObject({ "policy.count": 99, "network.peer.port": 443 });
  });
});

describe("what the policy allows", () => {
  test("makes no record while nobody asks for it", () => {
    const world = new World(nothing);
    world.connect();
    world.close();
    expect([world.records, world.bestEffort, world.dropped]).toEqual([[], [], 0]);
    expect(world.counted("connections")).toEqual({ "/python3 outbound allowed": 1 });
  });

  test("is recorded with its end where each event is to be reported", () => {
    const world = new World(nothing, { isReported: (kind) => kind === "connect" });
    world.connect();
    world.close({ result: "reset" });
    expect(world.records).toMatchObject([
      { "event.name": "network.connect", "network.peer.port": 443, "tree.path": "/python3" },
      {
        "event.name": "network.close",
        "network.peer.port": 443,
        "network.result": "reset",
        "network.duration": 2.5,
        "tree.path": "/python3",
        "process.user.name": "www-data",
      },
    ]);
  });

  test("is counted and not recorded for a user who has used up the budget", () => {
    const world = new World(nothing, { isReported: () => true, budget: { take: () => false } });
    world.connect();
    expect(world.records).toEqual([]);
    expect(world.dropped).toBe(1);
  });

  test("is shown to who watches", () => {
    const world = new World(nothing, { watched: true });
    world.connect();
    world.close();
    expect(world.bestEffort.map((record) => record["event.name"])).toEqual([
      "network.connect",
      "network.close",
    ]);
  });
});

test("a socket that listens is inbound", () => {
  const world = new World(policyOf([{ id: "l", on: ["listen"], when: true, action: "alert" }]));
  world.listen({ localPort: 4444 });
  expect(world.records[0]).toMatchObject({ "event.kind": "listen", "network.local.port": 4444 });
  expect(world.counted("connections")).toEqual({ "/python3 inbound alerted": 1 });
});

test("a verdict that waited for the image of a container is reported late, and nothing is done", () => {
  const late: { judge?: () => void } = {};
  const when = { "==": [{ var: ["container.image.name", ""] }, "docker.io/library/redis"] };
  let image: string | undefined;
  const world = new World(policyOf([{ id: "image", on: ["connect"], when, action: "kill" }]), {
    armed: true,
    imageOf: () => image,
    awaited: () => ["image"],
    late: {
      add: (event) => {
        late.judge = () => world.handler.onLate(event);
      },
    },
  });
  const id = "0123456789abcdef".repeat(4);
  world.exec(SERVER + 1, "/usr/bin/redis-server", { cgroup: `/docker/${id}` });
  world.connect({ pid: SERVER + 1 });
  expect(world.records).toEqual([]);
  image = "docker.io/library/redis";
  late.judge?.();
  expect(world.records[0]).toMatchObject({ "policy.outcome": "would_kill", "policy.reason": "late" });
  expect(world.killed).toEqual([]);
});
