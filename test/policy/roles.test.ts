// The roles that come with treewarden: each passes its own tests, and those tests mean something.
import { describe, expect, test } from "bun:test";
import { RE2JS } from "re2js";
import { embeddedPolicies } from "../../src/policy/embedded.ts";
import { loadPolicies } from "../../src/policy/load.ts";
import { decide } from "../../src/policy/policy.ts";
import { runTests } from "../../src/policy/run-tests.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { unknownFacts } from "../../src/sensor/event.ts";

const sources = { read: () => undefined, embedded: embeddedPolicies, searchPath: [] };

for (const name of embeddedPolicies.keys()) {
  describe(name, () => {
    const { policy, role, errors } = loadPolicies([name], sources);
    test("loads", () => expect(errors).toBeUndefined());
    if (policy === undefined) return;
    const results = runTests(policy, role);

    for (const result of results) {
      test(result.name, () => {
        const { decision, expected } = result;
        expect([decision.action, decision.rule]).toEqual([expected.action, expected.rule ?? decision.rule]);
      });
    }

    test("what a tree has shown before changes no answer, whatever else is another's", () => {
      const tests = role.file.tests ?? [];
      const subjects = tests.map((entry) => testSubject(entry));
      for (const [i, { lineage, runnable, tree, ...own }] of subjects.entries()) {
        for (const other of [own, ...subjects.slice(i + 1, i + 6), { ...own, facts: unknownFacts }, own]) {
          const subject = { ...other, lineage, runnable, tree };
          const often = [0, 1, 2].map(() => decide(policy, subject));
          const { tree: newTree } = testSubject(tests[i] ?? { lineage: [] });
          const first = decide(policy, { ...subject, tree: newTree });
          for (const decision of often) expect(decision).toEqual(first);
          for (let again = 0; again < 2; again++) decide(policy, subject);
        }
      }
    });

    test("is tested with at least 15 attacks and 15 healthy events", () => {
      const healthy = results.filter(({ expected }) => expected.action === "allow");
      expect(healthy.length).toBeGreaterThanOrEqual(15);
      expect(results.length - healthy.length).toBeGreaterThanOrEqual(15);
    });

    test("each of its own rules that acts is the one that decides a test", () => {
      const decided = new Set(results.map(({ decision }) => decision.rule));
      const untested = policy.rules
        .filter(({ ruleset, id }) => ruleset === name && !decided.has(id))
        .map(({ id }) => id);
      expect(untested).toEqual([]);
    });

    test("every rule has a severity and, if it acts, a technique", () => {
      for (const rule of policy.rules) {
        if (rule.action !== "allow") expect(rule.tags.join()).toMatch(/^attack\.t\d{4}/);
        expect(rule.description).toBeDefined();
      }
    });

    test("its healthy tests tell enough for every rule to be decided", () => {
      const open = new Set(
        results
          .filter(({ expected }) => expected.action === "allow")
          .flatMap(({ decision }) => decision.undecided),
      );
      for (const rule of open) expect([name, rule]).toEqual([name, ""]);
    });
  });
}

test("all of them can be used together", () => {
  expect(loadPolicies([...embeddedPolicies.keys()], sources).errors).toBeUndefined();
});

test("what one role lets be, all of them together let be", () => {
  const { policy } = loadPolicies([...embeddedPolicies.keys()], sources);
  const loud: string[] = [];
  for (const name of embeddedPolicies.keys()) {
    const { role } = loadPolicies([name], sources);
    if (policy === undefined || role === undefined) continue;
    for (const result of runTests(policy, role)) {
      if (result.expected.action === "allow" && result.decision.action !== "allow")
        loud.push(`${name}: ${result.name}: ${result.decision.rule}`);
    }
  }
  expect(loud).toEqual([]);
});

test("an Apache that runs neither CGI nor log pipes can be made a server that starts nothing", () => {
  const shop = {
    role: "shop",
    extends: ["web"],
    lists: {
      "front-servers": { append: ["apache2"] },
      "front-server-files": { append: ["/usr/sbin/apache2"] },
    },
  };
  const embedded = new Map([...embeddedPolicies, ["shop", JSON.stringify(shop)]]);
  const { policy } = loadPolicies(["shop"], { ...sources, embedded });
  if (policy === undefined) throw new Error("the role has an error");
  const below = (path: string) =>
    decide(policy, testSubject({ lineage: ["/usr/sbin/apache2", path], known: null }));
  expect(below("/usr/bin/find")).toMatchObject({ action: "kill", rule: "program-under-front-server" });
  expect(below("/usr/sbin/apache2").action).toBe("allow");
});

/** Every object within a value of a policy. */
function* objectsIn(value: unknown): Generator<Readonly<Record<string, unknown>>> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield { ...value };
  for (const part of Object.values(value)) yield* objectsIn(part);
}

// They are not checked when a role is loaded, because that takes megabytes of memory.
test.each([...embeddedPolicies.keys()])("%s has only regular expressions that RE2 compiles", (name) => {
  const { policy } = loadPolicies([name], sources);
  for (const { matches } of objectsIn(policy?.resolved.rules)) {
    const [, texts] = Array.isArray(matches) ? matches : [];
    for (const text of [texts].flat()) if (typeof text === "string") RE2JS.compile(text);
  }
});
