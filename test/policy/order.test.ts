// Which of several rules that match names the verdict: DESIGN's order, against a model that follows its text.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Decision, decide } from "../../src/policy/policy.ts";
import type { RuleState } from "../../src/policy/rule-state.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { type Severity, severities } from "../../src/vocabulary/severities.ts";
import { policyOf } from "./helpers.ts";

interface ModelRule {
  readonly id: string;
  readonly action: "allow" | "alert" | "stop" | "kill";
  readonly severity: Severity;
  readonly matches: boolean;
  readonly armed: boolean;
  readonly silenced: boolean;
}

type Named = Pick<Decision, "action" | "rule" | "armed" | "silenced" | "matched" | "severity">;

const subject = testSubject({ lineage: ["/usr/sbin/nginx", "/usr/bin/dash"] });
const yes = { "==": [{ var: "process.executable.name" }, "dash"] };
const no = { "==": [{ var: "process.executable.name" }, "bash"] };
const rising = ["allow", "alert", "stop", "kill"];

function decided(rules: readonly ModelRule[]): Named {
  const policy = policyOf(
    rules.map(({ id, action, severity, matches }) => ({ id, action, severity, when: matches ? yes : no })),
  );
  const states = new Map<string, RuleState>(
    rules.map(({ id, armed, silenced }) => [`role/${id}`, { armed, silenced: () => silenced }]),
  );
  const { action, rule, armed, silenced, matched, severity } = decide(policy, subject, states);
  return { action, rule, armed, silenced, matched, severity };
}

/** One sentence of the text after the other. */
function model(rules: readonly ModelRule[]): Named {
  const matched: ModelRule[] = [];
  for (const rule of rules) {
    if (rule.matches) matched.push(rule);
    if (rule.matches && rule.action === "allow") break;
  }
  const strongest = Math.max(...matched.map(({ action }) => rising.indexOf(action)));
  const candidates = matched.filter(({ action }) => rising.indexOf(action) === strongest);
  const isArmed = ({ armed, action }: ModelRule) => armed && (action === "kill" || action === "stop");
  const isSilenced = ({ silenced, action }: ModelRule) => silenced && action !== "allow";
  const sorted = candidates.toSorted(
    (a, b) =>
      Number(isArmed(b)) - Number(isArmed(a)) ||
      Number(isSilenced(a)) - Number(isSilenced(b)) ||
      severities.indexOf(b.severity) - severities.indexOf(a.severity) ||
      rules.indexOf(a) - rules.indexOf(b),
  );
  const [first] = sorted;
  const ids = matched.map(({ id }) => id);
  if (first === undefined)
    return {
      action: "allow",
      rule: "default",
      severity: "medium",
      armed: false,
      silenced: false,
      matched: ids,
    };
  const { action, id: rule, severity } = first;
  return {
    action,
    rule,
    severity,
    armed: isArmed(first),
    silenced: candidates.every(isSilenced),
    matched: ids,
  };
}

const modelRules = fc
  .array(
    fc.record({
      action: fc.constantFrom("allow", "alert", "alert", "stop", "kill"),
      severity: fc.constantFrom(...severities),
      matches: fc.boolean(),
      armed: fc.boolean(),
      silenced: fc.boolean(),
    }),
    { maxLength: 8 },
  )
  .map((rules) => rules.map((rule, i) => ({ ...rule, id: `r${i}` })));

test("the order of rules is the one that the contract describes", () => {
  fc.assert(
    fc.property(modelRules, (rules) => expect(decided(rules)).toEqual(model(rules))),
    { numRuns: 300 },
  );
});

const rule = (id: string, more: Partial<ModelRule>): ModelRule => ({
  id,
  action: "kill",
  severity: "medium",
  matches: true,
  armed: false,
  silenced: false,
  ...more,
});

describe("an armed rule acts", () => {
  test("although a rule that is not armed comes before it and is more severe", () => {
    const rules = [
      rule("inherited", { severity: "critical" }),
      rule("own", { severity: "low", armed: true }),
    ];
    expect(decided(rules)).toMatchObject({ rule: "own", armed: true });
  });

  test("although a silenced rule comes before it", () => {
    const rules = [rule("quiet", { silenced: true }), rule("own", { armed: true })];
    expect(decided(rules)).toMatchObject({ rule: "own", armed: true, silenced: false });
  });
});

describe("an alert", () => {
  test("of a low rule does not hide that of a critical one", () => {
    const rules = [
      rule("low", { action: "alert", severity: "low" }),
      rule("grave", { action: "alert", severity: "critical" }),
    ];
    expect(decided(rules)).toMatchObject({ rule: "grave", severity: "critical" });
  });

  test("is silenced only if each of its rules is", () => {
    const noisy = rule("noisy", { action: "alert", severity: "critical", silenced: true });
    const other = rule("other", { action: "alert", severity: "low" });
    expect(decided([noisy, other])).toMatchObject({ rule: "other", silenced: false });
    expect(decided([noisy, { ...other, silenced: true }])).toMatchObject({ rule: "noisy", silenced: true });
  });
});

describe("the default action", () => {
  const policy = policyOf([], { default: "kill" });

  test("is armed by its own name", () => {
    const states = new Map([["role/default", { armed: true, silenced: false }]]);
    expect(decide(policy, subject, states)).toMatchObject({ rule: "default", action: "kill", armed: true });
    expect(decide(policy, subject, new Map())).toMatchObject({ rule: "default", armed: false });
  });
});
