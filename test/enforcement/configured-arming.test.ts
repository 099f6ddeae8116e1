// Which rules the configuration lets act: those that were confirmed before, and of newly named ones those that were
// observed for long enough without a hit.
import { describe, expect, test } from "bun:test";
import {
  type ArmingInputs,
  type ArmingSettings,
  configuredArming,
  type ObservedRule,
  withConfirmed,
} from "../../src/enforcement/configured-arming.ts";
import { ruleDigests } from "../../src/enforcement/rule-digest.ts";
import { policyOf } from "../policy/helpers.ts";

const WEEK_S = 168 * 3_600;
const runs = (name: string) => ({ "==": [{ var: "process.executable.name" }, name] });
const policy = policyOf([
  { id: "shell", when: runs("dash"), action: "kill" },
  { id: "tool", when: runs("nc"), action: "kill" },
  { id: "odd", when: runs("odd"), action: "alert" },
]);
const settings: ArmingSettings = {
  enforcement: "kill",
  armed: ["role/shell", "role/odd"],
  armed_since_hours: 168,
};
const digest = ruleDigests(policy).get("role/shell") ?? "";

function decided(inputs: Partial<ArmingInputs>, seen?: Partial<ObservedRule>) {
  const observed = new Map(
    seen === undefined ? [] : [["role/shell", { digest, seconds: WEEK_S, hits: 0, ...seen }]],
  );
  return configuredArming({ policy, settings, before: [], observed, now: 100, mayConfirm: true, ...inputs });
}

describe("a rule that the configuration newly arms", () => {
  test("waits to be confirmed if it was never observed; one that kills nothing does not", () => {
    expect(decided({})).toEqual({
      confirmed: [],
      held: [{ rule: "role/shell", digest, seconds: 0, hits: 0 }],
    });
  });

  test("acts after a week of observation without a hit", () => {
    expect(decided({}, {}).confirmed).toEqual([{ rule: "role/shell", since: 100, by: "observation" }]);
  });

  test.each([
    ["a second is missing", { seconds: WEEK_S - 1 }],
    ["it has hit what is known", { hits: 1 }],
    ["it was another rule then", { digest: "0".repeat(64) }],
  ])("waits if %s", (_, seen) => {
    expect(decided({}, seen)).toMatchObject({ confirmed: [], held: [{ rule: "role/shell" }] });
  });

  test("waits when a warden is restarted, which prints nothing", () => {
    expect(decided({ mayConfirm: false }, {}).held).toHaveLength(1);
  });

  test("acts at once with armed_since_hours: 0, also after a restart", () => {
    const atOnce = { ...settings, armed_since_hours: 0 };
    for (const mayConfirm of [true, false])
      expect(decided({ settings: atOnce, mayConfirm }).confirmed).toEqual([
        { rule: "role/shell", since: 100, by: "setting" },
      ]);
  });

  test("acts once root has confirmed it, and another name is no rule that waits", () => {
    const held = decided({});
    expect(withConfirmed(held, { rule: "role/tool", digest }, 200)).toBe(held);
    expect(withConfirmed(held, { rule: "role/shell", digest: "0".repeat(64) }, 200)).toBe(held);
    expect(withConfirmed(held, { rule: "role/shell", digest }, 200)).toEqual({
      confirmed: [{ rule: "role/shell", since: 200, by: "order" }],
      held: [],
    });
  });
});

describe("a rule that was confirmed", () => {
  const before = [{ rule: "role/shell", since: 1, by: "order" as const }];

  test("acts on, also after it was changed and was observed for no time", () => {
    expect(decided({ before })).toEqual({ confirmed: before, held: [] });
  });

  test("acts on after a time with `enforcement: observe`, in which nothing waits", () => {
    const observing = decided({ before, settings: { ...settings, enforcement: "observe" } });
    expect(observing).toEqual({ confirmed: before, held: [] });
    expect(decided({ before: observing.confirmed }).confirmed).toEqual(before);
  });

  test("must be confirmed again if the configuration did not arm it in between", () => {
    const { confirmed } = decided({ before, settings: { ...settings, armed: [] } });
    expect(confirmed).toEqual([]);
    expect(decided({ before: confirmed }).held).toHaveLength(1);
  });
});

describe("the digest of a rule", () => {
  const digestOf = (rule: object, lists = {}): string | undefined =>
    ruleDigests(policyOf([{ id: "shell", when: runs("dash"), action: "kill", ...rule }], { lists })).get(
      "role/shell",
    );

  test("is the same whatever the rule is called and however severe it is", () => {
    expect(digestOf({ severity: "low", description: "x", tags: ["t"] })).toBe(digestOf({}));
  });

  test("is another one if the condition, an exception or a list that it names is another one", () => {
    const named = { when: { in: [{ var: "process.executable.name" }, { list: "shells" }] } };
    const digests = [
      digestOf({}),
      digestOf({ when: runs("bash") }),
      digestOf({ except: [runs("sh")] }),
      digestOf({ unknown: "match" }),
      digestOf(named, { shells: ["dash"] }),
      digestOf(named, { shells: ["dash", "bash"] }),
    ];
    expect(new Set(digests).size).toBe(digests.length);
    expect(digestOf({}, { others: ["x"] })).toBe(digestOf({}, { others: ["y"] }));
  });
});
