// How a policy asks its rules, and what it makes of the answers.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decide, type Policy } from "../../src/policy/policy.ts";
import { readerOf, type Subject } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import { isSharedByLineage, judgedNames } from "../../src/vocabulary/variables.ts";
import { judge, policyOf } from "./helpers.ts";

const shell = [{ "process.executable.path": "/usr/sbin/nginx", "process.user.id": 33 }, "/usr/bin/dash"];
const yes = { under: ["nginx"] };
const no = { under: ["apache2"] };

describe("the asking", () => {
  test("a matching allow ends it", () => {
    const policy = policyOf([
      { id: "let-be", when: yes, action: "allow" },
      { id: "strong", when: yes, action: "kill" },
    ]);
    expect(judge(policy, shell)).toMatchObject({ action: "allow", rule: "let-be", matched: ["let-be"] });
  });

  test("what matched before an allow still counts", () => {
    const policy = policyOf([
      { id: "first", when: yes, action: "alert" },
      { id: "let-be", when: yes, action: "allow" },
      { id: "never-asked", when: yes, action: "kill" },
    ]);
    expect(judge(policy, shell)).toMatchObject({
      action: "alert",
      rule: "first",
      matched: ["first", "let-be"],
    });
  });

  test("a weak rule in front does not disarm a strong one", () => {
    const policy = policyOf([
      { id: "weak", when: yes, action: "alert" },
      { id: "strong", when: yes, action: "kill", severity: "critical", tags: ["attack.t1505.003"] },
      { id: "also-strong", when: yes, action: "kill" },
    ]);
    expect(judge(policy, shell)).toEqual({
      action: "kill",
      rule: "strong",
      ruleset: "role",
      severity: "critical",
      tags: ["attack.t1505.003"],
      matched: ["weak", "strong", "also-strong"],
      undecided: [],
      armed: true,
      silenced: false,
    });
  });

  test("of equal actions the first names the verdict", () => {
    const policy = policyOf([
      { id: "one", when: yes, action: "alert" },
      { id: "two", when: yes, action: "alert" },
    ]);
    expect(judge(policy, shell).rule).toBe("one");
  });

  test("without a match the default decides, under its reserved name", () => {
    expect(judge(policyOf([{ id: "a", when: no, action: "kill" }]), shell)).toMatchObject({
      action: "allow",
      rule: "default",
    });
    const strict = policyOf([{ id: "a", when: no, action: "kill" }], { default: "alert" });
    expect(judge(strict, shell)).toMatchObject({
      action: "alert",
      rule: "default",
      ruleset: "role",
      matched: [],
    });
  });

  test("an exception keeps its rule from matching", () => {
    const policy = policyOf([
      { id: "a", when: yes, except: [no, { "==": [{ var: "process.user.id" }, 33] }], action: "kill" },
    ]);
    expect(judge(policy, shell).action).toBe("allow");
    expect(
      judge(policy, [
        { "process.executable.path": "/usr/sbin/nginx", "process.user.id": 34 },
        "/usr/bin/dash",
      ]).action,
    ).toBe("kill");
  });

  test("a rule may ask what kind of event it is", () => {
    const isExec = { "==": [{ var: "event.name" }, "process.exec"] };
    expect(judge(policyOf([{ id: "a", when: isExec, action: "alert" }]), shell).rule).toBe("a");
  });

  test("a disabled rule is not asked", () => {
    const policy = policyOf([{ id: "a", when: yes, action: "kill", enabled: false }]);
    expect(judge(policy, shell).matched).toEqual([]);
    expect(policy.rules).toEqual([]);
  });
});

describe("what is not known", () => {
  const unknownTree = { "==": [{ var: ["tree.known", true] }, false] };

  test("a rule that names an absent variable does not match, and is counted", () => {
    const policy = policyOf([{ id: "new", when: unknownTree, action: "kill" }]);
    expect(judge(policy, shell)).toMatchObject({ action: "allow", rule: "default", undecided: ["new"] });
    expect(judge(policy, shell, false)).toMatchObject({ action: "kill", undecided: [] });
    expect(judge(policy, shell, true)).toMatchObject({ action: "allow", undecided: [] });
  });

  test("tree.known is true, false, null without a baseline, or absent, and a default stands for null only", () => {
    const matchedBy = (rule: object): readonly unknown[] => {
      const policy = policyOf([{ id: "it", action: "kill", ...rule }]);
      return [true, false, null, "absent" as const].map((known) => {
        const { matched, undecided } = judge(policy, shell, known);
        return undecided.length > 0 ? "undecided" : matched.length > 0;
      });
    };
    expect(matchedBy({ when: unknownTree })).toEqual([false, true, false, "undecided"]);
    // An exception for known trees leaves the rule whole where no baseline was ever accepted, and never kills because
    // something could not be read.
    const except = [{ var: ["tree.known", false] }];
    expect(matchedBy({ when: yes, except })).toEqual([false, true, true, "undecided"]);
    expect(matchedBy({ when: { "!": { var: ["tree.familiar", true] } } })).toEqual([
      ...[false, true, false, "undecided"],
    ]);
  });

  test("nor does it match by a negation or an alternative", () => {
    const policy = policyOf([
      { id: "negated", when: { "!": { var: ["tree.known", true] } }, action: "kill" },
      { id: "either", when: { or: [yes, unknownTree] }, action: "kill" },
      { id: "excepted", when: yes, except: [unknownTree], action: "kill" },
    ]);
    expect(judge(policy, shell)).toMatchObject({
      action: "allow",
      undecided: ["negated", "either", "excepted"],
    });
  });

  test("rules that were not asked are not counted", () => {
    const policy = policyOf([
      { id: "let-be", when: yes, action: "allow" },
      { id: "new", when: unknownTree, action: "kill" },
    ]);
    expect(judge(policy, shell).undecided).toEqual([]);
  });

  test('"unknown": "match" takes what is absent for true, and only that', () => {
    const unknown = "match";
    const policy = policyOf([
      { id: "here", when: { and: [yes, unknownTree] }, action: "alert", unknown },
      { id: "elsewhere", when: { and: [no, unknownTree] }, action: "alert", unknown },
      { id: "negated", when: { "!": { and: [yes, unknownTree] } }, action: "alert", unknown },
      { id: "excepted", when: yes, except: [unknownTree], action: "alert", unknown },
    ]);
    expect(judge(policy, shell)).toMatchObject({ matched: ["here", "negated", "excepted"], undecided: [] });
    expect(judge(policy, shell, true)).toMatchObject({ matched: ["negated", "excepted"] });
    expect(judge(policy, shell, false)).toMatchObject({ matched: ["here"] });
  });

  test("missing asks for a variable without naming it", () => {
    const policy = policyOf([{ id: "no-baseline", when: { missing: ["tree.known"] }, action: "alert" }]);
    expect(judge(policy, shell)).toMatchObject({ matched: ["no-baseline"], undecided: [] });
    expect(judge(policy, shell, true)).toMatchObject({ matched: [] });
  });

  test("what a process really has not is null, and a default stands in for it", () => {
    const when = { "==": [{ var: ["process.login_user.id", -1] }, -1] };
    const policy = policyOf([{ id: "no-login", when, action: "alert" }]);
    expect(
      judge(policy, [{ "process.executable.path": "/usr/bin/id", "process.login_user.id": null }]).matched,
    ).toEqual(["no-login"]);
    expect(
      judge(policy, [{ "process.executable.path": "/usr/bin/id", "process.login_user.id": 1000 }]).matched,
    ).toEqual([]);
  });
});

test("a policy knows the variables that its rules name", () => {
  const policy = policyOf([
    {
      id: "a",
      when: { and: [yes, { "<": [{ var: "tree.depth" }, 3] }] },
      except: [{ var: "tree.random" }],
      action: "alert",
    },
  ]);
  expect([...policy.variables]).toEqual(["tree.depth", "tree.random"]);
});

test("the version is that of what the policy says, not of how it is written", () => {
  const one = policyOf([{ id: "a", when: yes, action: "alert" }]);
  const same = policyOf([{ id: "a", when: yes, action: "alert", enabled: true, severity: "medium" }]);
  const other = policyOf([{ id: "a", when: yes, action: "kill" }]);
  expect(one.version).toBe(same.version);
  expect(one.version).not.toBe(other.version);
  expect(one.digest.startsWith(one.version)).toBe(true);
});

describe("a tree that was asked about before", () => {
  const often = (policy: Policy, subject: Subject) => [1, 2, 3, 4].map(() => decide(policy, subject));
  const dash = { in: [{ var: "process.executable.name" }, ["dash"]] };
  const secret = { contains: [{ var: "process.command_line" }, "secret"] };

  test("is asked about what its lineage leaves open", () => {
    const policy = policyOf([{ id: "it", when: { and: [dash, secret] }, action: "alert" }]);
    const subject = testSubject({ lineage: shell });
    const told = (...args: string[]): Subject => ({ ...subject, facts: { ...subject.facts, args } });
    for (const one of often(policy, told("sh", "plain"))) expect(one.rule).toBe("default");
    for (const one of often(policy, told("sh", "secret"))) expect(one.rule).toBe("it");
  });

  test("is undecided where a variable is absent now, even if the lineage excludes a match", () => {
    const policy = policyOf([{ id: "it", when: { and: [{ "!": dash }, secret] }, action: "alert" }]);
    const subject = testSubject({ lineage: shell });
    const known = { ...subject, facts: { ...subject.facts, args: ["sh"] } };
    const unknown = { ...subject, facts: { ...subject.facts, args: undefined } };
    for (const one of often(policy, known)) expect(one.undecided).toEqual([]);
    for (const one of often(policy, unknown)) expect(one.undecided).toEqual(["it"]);
    for (const one of often(policy, known)) expect(one.undecided).toEqual([]);
  });

  test("may match now that a variable is absent that an unknown makes a match of", () => {
    const when = {
      and: [dash, { "!": { in: [{ var: "process.runnable.path" }, ["/usr/bin/dash"]] } }, secret],
    };
    const policy = policyOf([{ id: "it", when, action: "alert", unknown: "match" }]);
    const subject = testSubject({ lineage: shell });
    for (const one of often(policy, subject)) expect(one.matched).toEqual([]);
    const open = policyOf([{ id: "it", when: { and: [dash, secret] }, action: "alert", unknown: "match" }]);
    const known = { ...subject, facts: { ...subject.facts, args: ["sh"] } };
    for (const one of often(open, known)) expect(one.matched).toEqual([]);
    for (const one of often(open, subject)) expect(one.matched).toEqual(["it"]);
  });

  test("has what counts as its lineage's, whatever else is so of an exec", () => {
    const one = testSubject({ lineage: shell });
    const other: Subject = {
      ...one,
      source: "procfs",
      time: one.time + 1e9,
      wallTime: one.wallTime + 1e3,
      process: { ...one.process, pid: one.process.pid + 1 },
      facts: { ...unknownFacts, executable: "/other", filename: "other", args: ["other"], uid: 77 },
      parentPid: 77,
      parent: undefined,
      knowledge: { known: true, familiar: true, age: 7, count: 7 },
      containerId: "77",
      unit: "other.service",
      containerImage: "other",
      examined: undefined,
    };
    const names = judgedNames.filter(isSharedByLineage);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) expect([name, readerOf(name)(other)]).toEqual([name, readerOf(name)(one)]);
  });

  test("is asked anew by another policy", () => {
    const subject = testSubject({ lineage: shell });
    const before = policyOf([{ id: "before", when: { "!": dash }, action: "alert" }]);
    const after = policyOf([{ id: "after", when: dash, action: "alert" }]);
    for (const one of often(before, subject)) expect(one.rule).toBe("default");
    for (const one of often(after, subject)) expect(one.rule).toBe("after");
    for (const one of often(before, subject)) expect(one.rule).toBe("default");
  });

  test("gets the answers that it would get the first time, for any condition", () => {
    const leaf = fc.constantFrom<object>(
      dash,
      secret,
      yes,
      no,
      { "==": [{ var: "process.user.id" }, 33] },
      { glob: [{ var: "process.runnable.path" }, "/usr/**"] },
      { tree: "/nginx/base" },
      { in: [{ var: "process.executable.name" }, ["bash"]] },
      { var: "tree.labels" },
      { missing: ["process.script.path", "process.tty"] },
      { "==": [{ var: "tree.depth" }, 2] },
    );
    const { condition } = fc.letrec<{ condition: object }>((tie) => ({
      condition: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        leaf,
        fc.array(tie("condition"), { minLength: 1, maxLength: 3 }).map((parts) => ({ and: parts })),
        fc.array(tie("condition"), { minLength: 1, maxLength: 3 }).map((parts) => ({ or: parts })),
        tie("condition").map((part) => ({ "!": part })),
      ),
    }));
    const facts = fc.record({
      args: fc.constantFrom(undefined, ["sh"], ["sh", "secret"]),
      uid: fc.constantFrom(undefined, 0, 33),
      tty: fc.constantFrom(undefined, null, "pts/0"),
    });
    fc.assert(
      fc.property(
        condition,
        fc.array(facts, { minLength: 4, maxLength: 8 }),
        fc.boolean(),
        (when, all, matching) => {
          const more = matching ? { unknown: "match" } : {};
          const policy = policyOf([{ id: "it", when, action: "alert", ...more }]);
          const subject = testSubject({ lineage: shell });
          for (const own of all) {
            const asked = { ...subject, facts: { ...subject.facts, ...own } };
            const decisions = often(policy, asked);
            const first = decide(policy, { ...asked, tree: testSubject({ lineage: shell }).tree });
            for (const decision of decisions) expect(decision).toEqual(first);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
