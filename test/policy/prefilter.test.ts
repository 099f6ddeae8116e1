// Most rules are not evaluated for most events, because the events before have shown that they cannot match. Whatever
// came before, an event must be judged as by rules that are all evaluated.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { decide, type Policy } from "../../src/policy/policy.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { policyOf } from "./helpers.ts";

const text = fc.constantFrom("a", "b", "a b", "/tmp/x", "-c");
const commandLine = fc.constantFrom("process.command_line", "process.command_args");
const { condition } = fc.letrec((tie) => {
  const some = tie("condition");
  return {
    condition: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc
        .tuple(fc.constantFrom("contains", "starts_with", "ends_with", "matches"), commandLine, text)
        .map(([is, name, its]) => ({ [is]: [{ var: name }, its] })),
      fc
        .tuple(
          fc.constantFrom("contains", "starts_with"),
          fc.constantFrom("process.tty", "process.unit"),
          text,
        )
        .map(([is, name, its]) => ({ [is]: [{ var: [name, "a"] }, its] })),
      fc.constantFrom("ls", "cat").map((its) => ({ "==": [{ var: "process.executable.name" }, its] })),
      fc.constantFrom(0, 1000).map((its) => ({ "==": [{ var: "process.user.id" }, its] })),
      fc.constantFrom("tree.known", "process.executable.setuid").map((its) => ({ "!!": [{ var: its }] })),
      fc.constantFrom("process.tty", "process.unit").map((its) => ({ "!!": [{ missing: [its] }] })),
      fc.boolean().map((is) => ({ "==": [{ var: "process.interactive" }, is] })),
      fc.constantFrom("sshd", "cron").map((its) => ({ under: its })),
      fc.constantFrom("/**/sshd/*", "/cron/ls").map((its) => ({ tree: its })),
      fc.constantFrom("x", "").map((its) => ({
        "==": [{ var: ["process.environment_variable.LD_PRELOAD", ""] }, its],
      })),
      some.map((it) => ({ "!": [it] })),
      fc.tuple(fc.constantFrom("and", "or"), some, some).map(([is, a, b]) => ({ [is]: [a, b] })),
    ),
  };
});
const rules = fc.array(
  fc.record({
    when: condition,
    unknown: fc.constantFrom(undefined, "match"),
    action: fc.constantFrom("alert", "alert", "allow"),
  }),
  { minLength: 1, maxLength: 5 },
);

/** One object for each lineage: what is remembered is remembered of its tree. */
const lineages = [
  ["/usr/sbin/sshd", "/usr/bin/ls"],
  ["/usr/sbin/sshd", "/usr/bin/cat"],
  ["/usr/sbin/cron", "/usr/bin/ls"],
].map((lineage) => testSubject({ lineage }));

const unset = new Map([["LD_PRELOAD", null]]);
const set = new Map([["LD_PRELOAD", "x"]]);
const execs = fc.array(
  fc.record(
    {
      lineage: fc.nat(lineages.length - 1),
      args: fc.option(fc.array(text, { maxLength: 3 }), { nil: undefined, freq: 5 }),
      uid: fc.constantFrom(0, 0, 1000, undefined),
      tty: fc.constantFrom(null, null, "pts/1", undefined),
      executableSetuid: fc.constantFrom(false, false, true),
      unit: fc.constantFrom(null, null, "a.service", undefined),
      known: fc.constantFrom(true, true, false, null),
      environment: fc.constantFrom(unset, unset, unset, set, undefined),
    },
    { noNullPrototype: true },
  ),
  { minLength: 3, maxLength: 12 },
);

test("an event is judged alike whatever was judged before it", () => {
  let judged = 0;
  fc.assert(
    fc.property(rules, execs, (some, each) => {
      const all = some.map((rule, i) => ({ ...rule, id: `rule-${i}` }));
      const policy = loaded(all);
      fc.pre(policy !== undefined);
      for (const { lineage, known, unit, environment, ...facts } of each) {
        const environmentTruncated = environment === undefined ? undefined : false;
        const process = lineages[lineage] ?? testSubject({ lineage: [] });
        const subject = {
          ...process,
          unit,
          knowledge: { known },
          facts: { ...process.facts, ...facts, environment, environmentTruncated },
        };
        // Nothing was judged before, and `!!` keeps the parts of a condition from being looked at one by one. With
        // "unknown": "match" that would be another condition, and one without cheap tests.
        const whole = loaded(
          all.map((rule) => (rule.unknown === "match" ? rule : { ...rule, when: { "!!": [rule.when] } })),
        );
        fc.pre(whole !== undefined);
        const { matched, undecided, action, rule } = decide(policy, subject);
        const reference = decide(whole, subject);
        expect({ matched, undecided, action, rule }).toEqual({
          matched: reference.matched,
          undecided: reference.undecided,
          action: reference.action,
          rule: reference.rule,
        });
        judged += 1;
      }
    }),
    { numRuns: 300 },
  );
  expect(judged).toBeGreaterThan(300);
});

/** undefined: the loader refuses a condition, for example one that is always true. */
function loaded(all: readonly object[]): Policy | undefined {
  try {
    return policyOf(all);
  } catch {
    return undefined;
  }
}
