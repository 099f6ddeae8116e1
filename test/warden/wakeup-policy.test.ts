// Which execs wake the reader depends on what the rules that kill depend on.
import { expect, test } from "bun:test";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { wakeupPolicyOf } from "../../src/warden/wakeup-policy.ts";
import { policyOf } from "../policy/helpers.ts";

const byTree = { id: "by-tree", when: { var: "tree.random" }, action: "kill" };
const byArguments = {
  id: "by-arguments",
  when: { contains: [{ var: "process.command_args" }, "x"] },
  action: "kill",
};
const byCgroup = { id: "by-cgroup", when: { var: "process.in_container" }, action: "kill" };
const isYoung = { "<": [{ var: "process.executable.age" }, 60] };
const byPreload = {
  id: "by-preload",
  when: { "!!": { var: "process.environment_variable.LD_PRELOAD" } },
  action: "kill",
};
const byPeer = {
  id: "by-peer",
  on: ["connect"],
  when: { and: [{ under: ["shopd"] }, { "==": [{ var: "network.peer.port" }, 4444] }] },
  action: "deny",
};
const byUserName = { "==": [{ var: "process.user.name" }, "www-data"] };
const byUser = { "==": [{ var: "process.user.id" }, 33] };
const byAge = { id: "by-age", when: isYoung, action: "kill" };

test.each([
  ["nothing is killed", [{ ...byAge, action: "alert" }], {}, "none"],
  ["kills depend on what the settle key covers", [byTree, byArguments, byCgroup], {}, "unsettled"],
  ["one of the kills depends on something else", [byTree, byAge], {}, "all"],
  ["a kill depends on the environment, which the kernel does not compare", [byPreload], {}, "all"],
  ["an exception of a kill depends on something else", [{ ...byTree, except: [isYoung] }], {}, "all"],
  [
    "a kill depends on whether something else can be read",
    [{ ...byTree, when: { "!!": [{ missing: ["process.executable.age"] }] } }],
    {},
    "all",
  ],
  [
    "an allow rule above a kill depends on something else",
    [{ ...byAge, action: "allow" }, byTree],
    {},
    "all",
  ],
  [
    "an allow rule below a kill depends on something else",
    [byTree, { ...byAge, action: "allow" }],
    {},
    "unsettled",
  ],
  ["a denial depends on the lineage and the peer", [byPeer], {}, "unsettled"],
  [
    "a denial depends on something that the settle key does not cover",
    [{ ...byPeer, when: { and: [byPeer.when, { "!!": [{ var: "tree.complete" }] }] } }],
    {},
    "all",
  ],
  ["a denial depends on the user, whom the kernel knows", [{ ...byPeer, when: byUser }], {}, "unsettled"],
  ["the kernel cannot decide the denial", [{ ...byPeer, when: byUserName }], {}, "none"],
  ["nothing is denied", [{ ...byPeer, action: "alert" }], {}, "none"],
  ["whatever matches no rule is killed", [], { default: "kill" }, "all"],
] as const)("%s", (_, rules, more, expected) => {
  const policy = policyOf(rules, more);
  const states = ruleStatesOf(policy, () => true, noOverrides);
  expect(wakeupPolicyOf(policy, states)).toBe(expected);
  expect(wakeupPolicyOf(policy, undefined)).toBe("none");
  expect(wakeupPolicyOf(policy, new Map())).toBe("none");
});

test("what is not armed need not be in time", () => {
  const policy = policyOf([byTree, byAge], { default: "kill" });
  const states = ruleStatesOf(policy, ({ id }) => id === "by-tree", noOverrides);
  expect(wakeupPolicyOf(policy, states)).toBe("unsettled");
});

test("a script is opened while it runs, so a rule on its content wakes the reader also where nothing is killed", () => {
  const changed = { id: "changed", when: { var: "process.runnable.changed" }, action: "alert" };
  const policy = policyOf([changed]);
  for (const states of [undefined, ruleStatesOf(policy, () => true, noOverrides)])
    expect(wakeupPolicyOf(policy, states)).toBe("unsettled");
  const killing = policyOf([{ ...changed, action: "kill" }]);
  expect(
    wakeupPolicyOf(
      killing,
      ruleStatesOf(killing, () => true, noOverrides),
    ),
  ).toBe("all");
});
