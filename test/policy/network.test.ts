// Rules on what processes do on the network.
import { describe, expect, test } from "bun:test";
import { neverMatching, neverMatchingText } from "../../src/policy/never-matching.ts";
import { errorsOf, judge, judgeEvent, load, policyOf } from "./helpers.ts";

const lineage = ["/usr/sbin/nginx", "/usr/bin/python3"];
const toWeb = {
  "event.name": "network.connect",
  "network.peer.address": "203.0.113.7",
  "network.peer.port": 443,
};
const toLocal = { ...toWeb, "network.peer.address": "10.1.2.3" };
const outside = { "!": { cidr: [{ var: "network.peer.address" }, ["10.0.0.0/8", "fd00::/8"]] } };

describe("a rule on connect", () => {
  const policy = policyOf([
    { id: "outbound", on: ["connect"], when: { and: [{ under: ["nginx"] }, outside] }, action: "deny" },
  ]);

  test("compares the peer's address by cidr", () => {
    expect(judgeEvent(policy, lineage, toWeb)).toMatchObject({
      action: "deny",
      rule: "outbound",
      armed: true,
    });
    expect(judgeEvent(policy, lineage, toLocal).action).toBe("allow");
  });

  test("holds for an IPv4 address that is mapped into IPv6, which is what an IPv6 socket connects to", () => {
    const mapped = { ...toWeb, "network.peer.address": "::ffff:10.1.2.3" };
    expect(judgeEvent(policy, lineage, mapped).action).toBe("allow");
    expect(judgeEvent(policy, lineage, { ...mapped, "network.peer.address": "2001:db8::1" }).action).toBe(
      "deny",
    );
  });

  test("is not evaluated for execs and other events", () => {
    expect(judge(policy, lineage).matched).toEqual([]);
    expect(judgeEvent(policy, lineage, { ...toWeb, "event.name": "network.send" }).matched).toEqual([]);
  });
});

describe("under", () => {
  const rule = { id: "it", when: { under: ["python3"] }, action: "alert" };

  test("includes the process itself for an event of the network, and not for its exec", () => {
    const policy = policyOf([{ ...rule, on: ["exec", "connect"] }]);
    expect(judgeEvent(policy, lineage, toWeb).matched).toEqual(["it"]);
    expect(judge(policy, lineage).matched).toEqual([]);
  });

  test("includes ancestors", () => {
    const policy = policyOf([{ ...rule, when: { under: ["nginx"] }, on: ["connect"] }]);
    expect(judgeEvent(policy, lineage, toWeb).matched).toEqual(["it"]);
  });
});

describe("the variables of an event", () => {
  const matched = (when: unknown, on: string, event: object) =>
    judgeEvent(policyOf([{ id: "it", on: [on], when, action: "alert" }]), lineage, {
      "event.name": `network.${on}`,
      ...event,
    });
  const peer = { "network.peer.address": "2001:db8::53", "network.peer.port": 53 };
  const is = (name: string, value: unknown) => ({ "==": [{ var: name }, value] });

  test("are those of a datagram, always over UDP", () => {
    expect(matched(is("network.transport", "udp"), "send", peer).matched).toEqual(["it"]);
    expect(matched(is("network.type", "ipv6"), "send", peer).matched).toEqual(["it"]);
    expect(matched(is("network.peer.port", 53), "send", peer).matched).toEqual(["it"]);
  });

  test("are those of a listening socket, on all addresses if the test gives none", () => {
    const local = { "network.local.port": 4444 };
    expect(matched({ ">": [{ var: "network.local.port" }, 1024] }, "listen", local).matched).toEqual(["it"]);
    const everywhere = { cidr: [{ var: "network.local.address" }, "0.0.0.0"] };
    expect(matched(everywhere, "listen", local).matched).toEqual(["it"]);
  });

  test("leave a rule undecided while they are not known", () => {
    const when = is("network.local.port", 80);
    expect(matched(when, "connect", peer)).toMatchObject({ matched: [], undecided: ["it"] });
  });
});

describe("the strongest action decides", () => {
  test.each([
    ["alert", "deny", "deny"],
    ["deny", "stop", "stop"],
    ["deny", "kill", "kill"],
    ["stop", "kill", "kill"],
  ] as const)("of %s and %s it is %s", (one, other, strongest) => {
    const rules = [one, other].map((action) => ({ id: action, on: ["connect"], when: true, action }));
    expect(judgeEvent(policyOf(rules), lineage, toWeb).action).toBe(strongest);
  });

  test("and the default is one for each kind", () => {
    const policy = policyOf([], { default: { connect: "deny" } });
    expect(judgeEvent(policy, lineage, toWeb)).toMatchObject({ action: "deny", rule: "default" });
    expect(judge(policy, lineage).action).toBe("allow");
  });
});

describe("refused with the fix", () => {
  const wrong = (rule: object) =>
    errorsOf({ role: "role", rules: [{ id: "it", action: "alert", ...rule }] }).map(({ message }) => message);

  test("a variable that one of the rule's kinds lacks", () => {
    expect(wrong({ on: ["connect", "listen"], when: { "==": [{ var: "network.peer.port" }, 1] } })).toEqual([
      'the rule is on connect, listen, and listen has no "network.peer.port"',
    ]);
    expect(wrong({ on: ["connect"], when: { contains: [{ var: "process.command_line" }, "x"] } })).toEqual([
      'the rule is on connect, and connect has no "process.command_line"',
    ]);
    expect(wrong({ when: { "==": [{ var: "network.peer.port" }, 1] } })).toEqual([
      'the rule is on exec, and exec has no "network.peer.port"',
    ]);
  });

  test("an address that is compared as text", () => {
    const address = { var: "network.peer.address" };
    for (const when of [
      { "==": [address, "10.0.0.1"] },
      { in: [address, ["10.0.0.1"]] },
      { starts_with: [address, "10."] },
    ])
      expect(wrong({ on: ["connect"], when })[0]).toContain(
        'would compare the address in "network.peer.address"',
      );
  });

  test("deny in a rule on exec, by an override too, and as a default of execs", () => {
    const message = 'rule "it" is on exec, and an exec cannot be denied, only connect, send and listen';
    expect(wrong({ when: true, action: "deny" })).toEqual([message]);
    expect(wrong({ on: ["exec", "connect"], when: true, action: "deny" })).toEqual([message]);
    const files = {
      "/p/role.json": { role: "role", extends: ["root"], override: { it: { action: "deny" } } },
      "/p/root.json": { role: "root", rules: [{ id: "it", when: true, action: "alert" }] },
    };
    expect(load(files).errors).toMatchObject([{ file: "/p/role.json", message }]);
    for (const action of ["deny", { exec: "deny" }])
      expect(errorsOf({ role: "role", default: action })[0]?.message).toContain("an exec cannot be denied");
  });
});

describe("a policy's own test", () => {
  const errors = (event: object) =>
    errorsOf({
      role: "role",
      tests: [{ name: "t", lineage, event, expect: { action: "allow" } }],
    }).map(({ message, fix }) => `${message}; ${fix}`);

  test("needs to know what the process does, and with whom", () => {
    expect(errors(toWeb)).toEqual([]);
    expect(errors({ "event.name": "network.conect" })[0]).toContain('did you mean "network.connect"?');
    expect(errors({ "event.name": "network.connect", "network.peer.port": 1 })[0]).toContain(
      'network.connect needs "network.peer.address"',
    );
    expect(errors({ "event.name": "network.listen" })[0]).toContain('needs "network.local.port"');
  });

  test("can only give what such an event has, and values of the right kind", () => {
    expect(errors({ ...toWeb, "process.pid": 1 })[0]).toContain(
      '"process.pid" is nothing that network.connect',
    );
    expect(errors({ ...toWeb, "network.peer.port": 70_000 })[0]).toContain("must be a port");
    expect(errors({ ...toWeb, "network.peer.address": "example.org" })[0]).toContain("must be an IP address");
    expect(errors({ ...toWeb, "network.transport": "icmp" })[0]).toContain("must be tcp or udp");
  });
});

test("a source without events of the network is named for a rule on nothing else", () => {
  const policy = policyOf([
    { id: "net", on: ["connect", "send"], when: true, action: "alert" },
    { id: "both", on: ["exec", "connect"], when: true, action: "alert" },
  ]);
  expect(neverMatching(policy, "netlink").map((rule) => neverMatchingText(rule, "netlink"))).toEqual([
    "role/net can never match: the source netlink emits no connect, send",
  ]);
  expect(neverMatching(policy, "ebpf")).toEqual([]);
});
