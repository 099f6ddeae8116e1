// What the kernel denies by a table is what the policy denies.
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { DenialCompiler, whyNotCompiled } from "../../src/policy/denials.ts";
import { givenNetworkSubject } from "../../src/policy/given-event.ts";
import { decide, type Policy } from "../../src/policy/policy.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import type { DeniedNetwork } from "../../src/sensor/network/denial.ts";
import { parseIpv4, parseIpv6 } from "../../src/vocabulary/ip-address.ts";
import { isInNetwork } from "../../src/vocabulary/ip-network.ts";
import { isInRanges } from "../../src/vocabulary/port-ranges.ts";
import { type LineageOfTest, policyOf } from "./helpers.ts";

/** A connection of a user; by default of root. */
interface Peer {
  readonly transport: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  readonly uid?: number;
}

/** As the kernel looks it up: of the networks that hold the address, the longest prefix decides. */
function isDenied(tables: readonly DeniedNetwork[], { transport, address, port, uid = 0 }: Peer): boolean {
  const bytes = parseIpv4(address) ?? parseIpv6(address) ?? [];
  const [longest] = tables
    .filter((each) => each.kind === "connect" && each.transport === transport)
    .filter(({ users }) => users === undefined || (uid >= users.first && uid <= users.last))
    .filter(({ network }) => network.address.length === bytes.length && isInNetwork(network, bytes))
    .sort((a, b) => b.network.prefix - a.network.prefix);
  if (longest === undefined) return false;
  const { mode, ranges } = longest.ports;
  return isInRanges(ranges, port) === (mode === "only");
}

const armed = (policy: Policy) => ruleStatesOf(policy, () => true, noOverrides);
const nginx: LineageOfTest = ["/usr/sbin/nginx", "/usr/bin/python3"];

function denialsOf(policy: Policy, lineage: LineageOfTest = nginx) {
  return new DenialCompiler(policy, armed(policy)).denialsOf(testSubject({ lineage }));
}

function decides(policy: Policy, lineage: LineageOfTest, peer: Peer, states = armed(policy)): string {
  const { transport, address, port, uid = 0 } = peer;
  const event = {
    "event.name": "network.connect",
    "network.transport": transport,
    "network.peer.address": address,
    "network.peer.port": port,
  };
  const subject = testSubject({ lineage });
  const facts = { ...subject.facts, uid };
  const decision = decide(policy, givenNetworkSubject({ ...subject, facts }, event), states);
  return decision.action === "deny" && !decision.armed ? "would deny" : decision.action;
}

const address = { var: "network.peer.address" };
const port = { var: "network.peer.port" };
const deny = (when: unknown, more: object = {}) => ({
  id: "d",
  on: ["connect"],
  when,
  action: "deny",
  ...more,
});
const to = (text: string, number = 443): Peer => ({ transport: "tcp", address: text, port: number });

describe("a rule that the kernel can decide", () => {
  const policy = policyOf([
    { id: "dns", on: ["connect"], when: { "==": [port, 53] }, action: "allow" },
    deny({
      and: [{ under: ["nginx"] }, { "!": { cidr: [address, ["10.0.0.0/8", "10.9.0.0/16", "fd00::/8"]] } }],
    }),
  ]);

  test("denies by network and port, without its exceptions", () => {
    const { program } = denialsOf(policy);
    expect(isDenied(program, to("203.0.113.7"))).toBe(true);
    expect(isDenied(program, to("2001:db8::1"))).toBe(true);
    expect(isDenied(program, to("203.0.113.7", 53))).toBe(false);
    expect(isDenied(program, to("10.1.2.3"))).toBe(false);
    expect(isDenied(program, to("fd00::1"))).toBe(false);
  });

  test("denies nothing to a process that it does not concern", () => {
    expect(denialsOf(policy, ["/usr/sbin/cron", "/usr/bin/python3"]).program).toEqual([]);
  });

  test("denies what the process executes later, too, if that can only be below the same", () => {
    const { afterExec } = denialsOf(policy);
    expect(isDenied(afterExec, to("203.0.113.7"))).toBe(true);
    expect(isDenied(afterExec, to("10.1.2.3"))).toBe(false);
  });
});

describe("what the kernel does not decide", () => {
  const isEmpty = (...rules: readonly object[]) => {
    const policy = policyOf(rules);
    return new DenialCompiler(policy, armed(policy)).isEmpty;
  };

  test.each([
    ["the user's name, which the kernel does not know", { "==": [{ var: "process.user.name" }, "www-data"] }],
    ["all users of the lineage, which setuid(2) changes unseen", { in: [33, { var: "tree.user_ids" }] }],
    ["the time", { ">": [{ var: ["tree.age", 0] }, 60] }],
    ["the local port, which is chosen later", { "==": [{ var: "network.local.port" }, 22] }],
    ["a port that is calculated with", { "==": [{ "%": [port, 2] }, 1] }],
    ["two ports that are compared", { "==": [port, { var: "network.local.port" }] }],
  ])("a rule on %s", (_, when) => {
    expect(isEmpty(deny(when))).toBe(true);
  });

  test("a rule behind an allow that it cannot decide", () => {
    const allow = {
      id: "root",
      on: ["connect"],
      when: { "==": [{ var: "process.user.name" }, "root"] },
      action: "allow",
    };
    expect(isEmpty(allow, deny(true))).toBe(true);
    expect(isEmpty(deny(true), allow)).toBe(false);
  });

  test("a rule that is not armed, or matches what is unknown", () => {
    const policy = policyOf([deny(true)]);
    expect(new DenialCompiler(policy, new Map()).isEmpty).toBe(true);
    expect(isEmpty(deny({ "==": [port, 1] }, { unknown: "match" }))).toBe(true);
  });

  test("for later programs: what asks which program it is", () => {
    const python = { "==": [{ var: "process.executable.name" }, "python3"] };
    const { program, afterExec } = denialsOf(policyOf([deny(python)]));
    expect(isDenied(program, to("203.0.113.7"))).toBe(true);
    expect(afterExec).toEqual([]);
    expect(denialsOf(policyOf([deny({ "!": { under: ["sshd"] } })])).afterExec).toEqual([]);
  });
});

describe("for any policy", () => {
  const network = fc.constantFrom(
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "::/0",
    "fd00::/8",
    "::ffff:10.0.0.0/104",
  );
  const ports = fc.constantFrom(0, 1, 22, 53, 443, 1023.5, 8080, 65_535);
  const decidable = fc.oneof(
    fc.array(network, { minLength: 1, maxLength: 3 }).map((texts) => ({ cidr: [address, texts] })),
    fc
      .tuple(fc.constantFrom("==", "!=", "<", "<=", ">", ">="), ports)
      .map(([operator, value]) => ({ [operator]: [port, value] })),
    fc.array(ports, { minLength: 1, maxLength: 3 }).map((list) => ({ in: [port, list] })),
    fc.tuple(ports, ports).map(([low, high]) => ({ "<=": [low, port, high] })),
    fc.constantFrom("tcp", "udp").map((name) => ({ "==": [{ var: "network.transport" }, name] })),
    fc.constantFrom("ipv4", "ipv6").map((name) => ({ "==": [{ var: "network.type" }, name] })),
    fc.constantFrom("nginx", "python3", "sshd").map((name) => ({ under: [name] })),
    fc.constantFrom("python3", "dash").map((name) => ({ "==": [{ var: "process.executable.name" }, name] })),
    fc.constant({ "==": [{ var: ["process.unit", ""] }, "shop.service"] }),
    fc
      .constantFrom("==", "!=", "<", ">=")
      .map((operator) => ({ [operator]: [{ var: "process.user.id" }, 33] })),
    fc.constant({ some: [{ var: "tree.labels" }, { "==": [{ var: "" }, "python3"] }] }),
  );
  const undecidable = fc.constantFrom(
    { "==": [{ var: "process.user.name" }, "www-data"] },
    { "==": [{ "%": [port, 2] }, 1] },
  );
  const conditionOf = (atom: fc.Arbitrary<object>) =>
    fc.letrec<{ node: object }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        atom,
        tie("node").map((part) => ({ "!": part })),
        fc.array(tie("node"), { minLength: 1, maxLength: 3 }).map((parts) => ({ and: parts })),
        fc.array(tie("node"), { minLength: 1, maxLength: 3 }).map((parts) => ({ or: parts })),
      ),
    })).node;
  const policyWith = (atom: fc.Arbitrary<object>, defaults = fc.constant<string>("allow")) =>
    fc.tuple(rulesWith(atom), defaults).map(([rules, connect]) => policyOf(rules, { default: { connect } }));
  const rulesWith = (atom: fc.Arbitrary<object>) =>
    fc
      .array(
        fc.record({ when: conditionOf(atom), action: fc.constantFrom("allow", "alert", "deny", "deny") }),
        { minLength: 1, maxLength: 4 },
      )
      .map((rules) => rules.map((rule, i) => ({ id: `r${i}`, on: ["connect"], ...rule })));
  const defaultAction = fc.constantFrom("allow", "deny");
  const lineage = fc.constantFrom<LineageOfTest>(
    nginx,
    ["/usr/sbin/sshd", { "process.executable.path": "/usr/bin/dash", "process.user.id": 33 }],
    [{ "process.executable.path": "/usr/bin/python3", "process.unit": "shop.service" }],
  );
  const peer: fc.Arbitrary<Peer> = fc.record({
    transport: fc.constantFrom("tcp", "udp"),
    address: fc.oneof(
      fc.ipV4(),
      fc.ipV6().filter((text) => !text.toLowerCase().includes("ffff:") && !text.includes(".")),
      fc.constantFrom(
        "10.0.0.0",
        "10.1.2.3",
        "10.1.2.4",
        "10.255.255.255",
        "11.0.0.0",
        "::",
        "fd00::",
        "fe00::1",
      ),
    ),
    port: fc.oneof(ports.map(Math.floor), fc.integer({ min: 0, max: 65_535 })),
    uid: fc.constantFrom(0, 32, 33, 34, 4_294_967_294),
  });
  const peers = fc.array(peer, { minLength: 8, maxLength: 8 });

  test("of rules that the kernel can decide, it denies exactly what the policy denies", () => {
    const property = fc.property(policyWith(decidable, defaultAction), lineage, peers, (policy, who, all) => {
      const { program } = denialsOf(policy, who);
      for (const each of all)
        expect([each, isDenied(program, each)]).toEqual([each, decides(policy, who, each) === "deny"]);
    });
    fc.assert(property, { numRuns: 50 });
  }, 30_000);

  test("of any rules, it denies nothing that the policy allows", () => {
    const atom = fc.oneof(decidable, undecidable);
    const property = fc.property(policyWith(atom, defaultAction), lineage, peers, (policy, who, all) => {
      const { program, afterExec } = denialsOf(policy, who);
      for (const each of all) {
        if (isDenied(program, each)) expect(decides(policy, who, each)).toBe("deny");
        if (isDenied(afterExec, each)) expect(isDenied(program, each)).toBe(true);
      }
    });
    fc.assert(property, { numRuns: 50 });
  }, 30_000);

  test("what it denies of any later program, the policy denies too", () => {
    const later = fc.constantFrom("/usr/bin/curl", "/usr/bin/dash", "/usr/sbin/sshd", "/usr/bin/python3");
    const atom = fc.oneof(decidable, undecidable);
    const policies = policyWith(atom, defaultAction);
    const property = fc.property(policies, lineage, later, peers, (policy, who, program, all) => {
      const { afterExec } = denialsOf(policy, who);
      for (const each of all)
        if (isDenied(afterExec, each)) expect(decides(policy, [...who, program], each)).toBe("deny");
    });
    fc.assert(property, { numRuns: 50 });
  }, 30_000);

  test("processes with one key are denied the same", () => {
    const property = fc.property(policyWith(decidable, defaultAction), lineage, lineage, (policy, a, b) => {
      const compiler = new DenialCompiler(policy, armed(policy));
      const [one, other] = [testSubject({ lineage: a }), testSubject({ lineage: b })];
      if (compiler.keyOf(one) === compiler.keyOf(other))
        expect(compiler.denialsOf(one)).toEqual(compiler.denialsOf(other));
    });
    fc.assert(property, { numRuns: 200 });
  }, 30_000);
});

describe("the key of a process", () => {
  const policy = policyOf([
    deny({ and: [{ under: ["nginx"] }, { "!=": [{ var: "process.executable.name" }, "curl"] }] }),
  ]);
  const compiler = new DenialCompiler(policy, armed(policy));
  const keyOf = (lineage: LineageOfTest) => compiler.keyOf(testSubject({ lineage }));

  test("is that of others of which the rules ask nothing else, whatever their lineages are", () => {
    expect(keyOf(["/usr/sbin/nginx", "/opt/a/one"])).toBe(
      keyOf(["/usr/sbin/nginx", "/bin/sh", "/opt/b/two"]),
    );
    expect(keyOf(["/usr/sbin/nginx", "/opt/a/one"])).not.toBe(keyOf(["/usr/sbin/nginx", "/usr/bin/curl"]));
    expect(keyOf(["/usr/sbin/nginx", "/opt/a/one"])).not.toBe(keyOf(["/usr/sbin/cron", "/opt/a/one"]));
  });

  test("takes less than 100 us of a new lineage, also of a policy with many networks and ports", () => {
    const networks = Array.from({ length: 100 }, (_, i) => `10.${i}.0.0/16`);
    const large = policyOf([
      deny({
        and: [
          { under: ["nginx"] },
          { "!": { cidr: [address, networks] } },
          { "!": { in: [port, [53, 443]] } },
        ],
      }),
    ]);
    const asked = new DenialCompiler(large, armed(large));
    const subjects = Array.from({ length: 300 }, (_, i) =>
      testSubject({ lineage: ["/usr/sbin/nginx", `/opt/${i}/run`] }),
    );
    for (const subject of subjects.slice(0, 100)) asked.keyOf(subject);
    const times = subjects.slice(100).map((subject) => {
      const begin = performance.now();
      asked.keyOf(subject);
      return performance.now() - begin;
    });
    const [median = Number.NaN] = times.sort((a, b) => a - b).slice(times.length / 2);
    expect(median).toBeLessThan(0.1);
  });
});

describe("a rule that is armed for a unit or a user only", () => {
  const policy = policyOf([deny({ cidr: [address, ["10.0.0.0/8"]] })]);
  const by = { pid: 1, login_user: null, session: null, tree: null };
  const order = { id: "0".repeat(16), since: 0, by, reason: null, rule: "role/d", unit: null, user: null };
  const ofUnit = (unit: string): LineageOfTest => [
    { "process.executable.path": "/usr/bin/python3", "process.unit": unit },
  ];

  function statesFor(target: { readonly unit?: string; readonly user?: number }) {
    return ruleStatesOf(policy, () => false, { ...noOverrides, arm: [{ ...order, ...target }] });
  }

  test("denies in the kernel what runs in that unit, until its next program", () => {
    const states = statesFor({ unit: "shop.service" });
    const compiler = new DenialCompiler(policy, states);
    for (const unit of ["shop.service", "cron.service"]) {
      const { program, afterExec } = compiler.denialsOf(testSubject({ lineage: ofUnit(unit) }));
      expect(isDenied(program, to("10.1.2.3"))).toBe(unit === "shop.service");
      expect(afterExec).toEqual([]);
    }
  });

  test("denies in the kernel what runs as that user, whoever the process was before", () => {
    const states = statesFor({ user: 33 });
    const compiler = new DenialCompiler(policy, states);
    const { program } = compiler.denialsOf(testSubject({ lineage: nginx }));
    for (const uid of [0, 32, 33, 34]) {
      const peer = { ...to("10.1.2.3"), uid };
      expect([uid, isDenied(program, peer)]).toEqual([uid, uid === 33]);
      expect(decides(policy, nginx, peer, states)).toBe(uid === 33 ? "deny" : "would deny");
    }
  });
});

describe("why a rule is not compiled", () => {
  const policy = policyOf([
    deny({ "==": [{ var: "process.user.name" }, "www-data"] }),
    { id: "ports", on: ["connect"], when: { "==": [port, 22] }, action: "deny" },
    {
      id: "maybe",
      on: ["connect"],
      when: { "==": [{ var: "process.user.name" }, "root"] },
      action: "allow",
    },
    { id: "behind", on: ["connect"], when: { "==": [port, 23] }, action: "deny" },
  ]);

  test("is what it asks for, or a rule before it that may allow", () => {
    expect(whyNotCompiled(policy, "connect", "d")).toContain("process.user.name");
    expect(whyNotCompiled(policy, "connect", "ports")).toBeUndefined();
    expect(whyNotCompiled(policy, "connect", "behind")).toContain("maybe");
  });
});
