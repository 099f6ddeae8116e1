// Nearly all execs have none of the environment variables that rules name. They are judged by less work, and alike.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { decide, type Policy } from "../../src/policy/policy.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import type { EnvironmentVariables } from "../../src/sensor/event.ts";
import { environmentVariable } from "../../src/vocabulary/environment.ts";
import { policyOf } from "./helpers.ts";

const names = ["LD_PRELOAD", "BASH_ENV", "PYTHONPATH"] as const;
/** Set in every environment that is to be judged by all of the work. */
const OTHER = "GCONV_PATH";
const TRUNCATED = "process.environment_truncated";

const name = fc.constantFrom(...names).map(environmentVariable);
const { condition } = fc.letrec((tie) => {
  const some = tie("condition");
  const value = fc.constantFrom("x", "y", "");
  return {
    condition: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.tuple(name, value, value).map(([its, none, to]) => ({ "==": [{ var: [its, none] }, to] })),
      name.map((its) => ({ "!!": [{ var: [its, ""] }] })),
      name.map((its) => ({ "!!": [{ missing: [its] }] })),
      fc.boolean().map((is) => ({ "==": [{ var: TRUNCATED }, is] })),
      fc.constantFrom("ls", "cat").map((its) => ({ "==": [{ var: "process.executable.name" }, its] })),
      some.map((it) => ({ "!": [it] })),
      fc.tuple(fc.constantFrom("and", "or"), some, some).map(([is, a, b]) => ({ [is]: [a, b] })),
    ),
  };
});
const rules = fc.array(
  fc.record({
    when: condition,
    unknown: fc.constantFrom(undefined, "match"),
    action: fc.constantFrom("alert", "allow"),
  }),
  { minLength: 1, maxLength: 4 },
);

/** undefined: not read. A name without a value was not looked for, for example by the sensor of a capture. */
const environment = fc.option(
  fc.dictionary(fc.constantFrom(...names), fc.constantFrom("x", null), { noNullPrototype: true }),
  { nil: undefined, freq: 5 },
);
const empty: EnvironmentVariables = new Map(names.map((each) => [each, null]));
const execs = fc.array(
  fc.record({
    program: fc.constantFrom("/usr/bin/ls", "/usr/bin/cat"),
    environment: fc.oneof(
      fc.constant(empty),
      environment.map((it) => it && new Map<string, string | null>(Object.entries(it))),
    ),
    isTruncated: fc.boolean(),
  }),
  { minLength: 2, maxLength: 8 },
);

test("an exec with an empty environment is judged like any other", () => {
  fc.assert(
    fc.property(rules, execs, (some, each) => {
      const all = some.map((rule, i) => ({ ...rule, id: `rule-${i}` }));
      const never = { "==": [{ var: [environmentVariable(OTHER), ""] }, "never"] };
      const policy = loaded(all);
      const whole = loaded([...all, { id: "other", when: never, action: "alert" }]);
      fc.pre(policy !== undefined && whole !== undefined);
      for (const { program, environment: its, isTruncated } of each) {
        const subject = testSubject({ lineage: [program] });
        const of = (variables: EnvironmentVariables | undefined) => ({
          ...subject,
          facts: {
            ...subject.facts,
            environment: variables,
            environmentTruncated: variables === undefined ? isTruncated || undefined : false,
          },
        });
        const { matched, undecided, action } = decide(policy, of(its));
        const reference = decide(whole, of(its && new Map([...its, [OTHER, "x"]])));
        expect({ matched, undecided, action }).toEqual({
          matched: reference.matched,
          undecided: reference.undecided.filter((rule) => rule !== "other"),
          action: reference.action,
        });
      }
    }),
    { numRuns: 1_000 },
  );
});

/** undefined: the loader refuses a condition, for example one that is always true. */
function loaded(all: readonly object[]): Policy | undefined {
  try {
    return policyOf(all);
  } catch {
    return undefined;
  }
}
