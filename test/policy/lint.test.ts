// `policy lint`: each finding is true of every event, and the roles that come with treewarden have none.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { embeddedPolicies } from "../../src/policy/embedded.ts";
import { lint } from "../../src/policy/lint.ts";
import { loadPolicies } from "../../src/policy/load.ts";
import { decide } from "../../src/policy/policy.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { load } from "./helpers.ts";

function loaded(rules: readonly object[], more: object = {}) {
  const result = load({ "/p/role.json": { role: "role", rules, ...more } });
  if (result.policy === undefined) throw new Error(result.errors.map(({ message }) => message).join("\n"));
  return result;
}

function messages(rules: readonly object[], more: object = {}): readonly string[] {
  return lint(loaded(rules, more).rules).map(({ message }) => message);
}

const name = { var: "process.executable.name" };
const uid = { var: "process.user.id" };
const underNginx = { under: ["nginx"] };
const isShell = { in: [name, ["sh", "bash"]] };

describe("a rule that can never match", () => {
  const cases: readonly (readonly [string, object])[] = [
    ["two values of one variable", { when: { and: [{ "==": [name, "sh"] }, { "==": [name, "bash"] }] } }],
    ["a value outside of a list", { when: { and: [{ "==": [name, "zsh"] }, isShell] } }],
    ["a value that a glob refuses", { when: { and: [{ "==": [name, "sh"] }, { glob: [name, "python*"] }] } }],
    ["an empty range", { when: { and: [{ "<": [uid, 10] }, { ">=": [uid, 10] }] } }],
    ["a test and its negation", { when: { and: [underNginx, { "!": underNginx }] } }],
    [
      "an exception for all of it",
      { when: { and: [underNginx, isShell] }, except: [{ under: ["nginx", "caddy"] }] },
    ],
    ["a path where a name is asked for", { when: { in: [name, ["/bin/sh", "/bin/bash"]] } }],
    ["a glob of a path where a name is asked for", { when: { glob: [name, "/usr/bin/*"] } }],
    ["false", { when: false }],
  ];
  for (const [what, rule] of cases)
    test(what, () => {
      expect(messages([{ id: "it", action: "alert", ...rule }])).toEqual([
        expect.stringContaining('rule "it" can never match'),
      ]);
    });

  test("an exception for a part of it is none", () => {
    expect(
      messages([{ id: "it", when: underNginx, except: [{ and: [underNginx, isShell] }], action: "alert" }]),
    ).toEqual([]);
  });
});

describe("a rule that matches every exec", () => {
  const isInContainer = { var: "process.in_container" };
  const cases: readonly (readonly [string, unknown])[] = [
    ["true", true],
    ["any tree", { tree: "/**" }],
    ["any text", { glob: [name, ["**", "sh"]] }],
    ["a test or its negation", { or: [isInContainer, { "!": isInContainer }] }],
    ["a wider test or the negation of a narrower one", { or: [{ "!=": [name, "sh"] }, isShell] }],
  ];
  for (const [what, when] of cases)
    test(what, () => {
      expect(messages([{ id: "it", when, action: "alert" }])).toEqual([
        expect.stringContaining('rule "it" matches every exec'),
      ]);
    });

  test("with an exception it does not", () => {
    expect(messages([{ id: "it", when: true, except: [isShell], action: "alert" }])).toEqual([]);
  });
});

describe("a rule that an earlier allow shadows", () => {
  const allow = { id: "first", when: { under: ["nginx", "caddy"] }, action: "allow" };

  test("is named with that rule, its place and the fix", () => {
    const rules = [allow, { id: "it", when: { and: [underNginx, isShell] }, action: "kill" }];
    const [finding] = lint(loaded(rules).rules);
    expect(finding).toMatchObject({ file: "/p/role.json", line: 14 });
    expect(finding?.message).toBe(
      'rule "it" is never reached: the allow rule "first" (/p/role.json:4:5) matches whatever it matches',
    );
    expect(finding?.fix).toBe("put it before that rule, narrow that rule, or remove it");
  });

  test("also in another file", () => {
    const files = {
      "/p/base.json": { role: "base", rules: [{ id: "it", when: underNginx, action: "alert" }] },
      "/p/role.json": { role: "role", extends: ["base"], rules: [allow] },
    };
    const [finding] = lint(load(files).rules ?? []);
    expect(finding?.file).toBe("/p/base.json");
    expect(finding?.fix).toContain('"override": { "it": { "enabled": false } }');
  });

  test("not if the allow comes later, or has an exception, or asks for more", () => {
    const it = { id: "it", when: underNginx, action: "alert" };
    expect(messages([it, allow])).toEqual([]);
    expect(messages([{ ...allow, except: [isShell] }, it])).toEqual([]);
    expect(messages([{ ...allow, when: { and: [underNginx, isShell] } }, it])).toEqual([]);
  });

  test("not if the allow needs a variable that the rule does not: it may be absent", () => {
    const anyText = { glob: [{ var: "process.working_directory" }, "**"] };
    expect(
      messages([
        { ...allow, when: anyText },
        { id: "it", when: underNginx, action: "alert" },
      ]),
    ).toEqual([
      expect.stringContaining('rule "first" matches every exec of which process.working_directory is known'),
    ]);
  });

  test("not if the rule also matches what is unknown", () => {
    const it = { id: "it", when: { and: [underNginx, isShell] }, action: "alert", unknown: "match" };
    const allowShells = { ...allow, when: isShell };
    expect(messages([allowShells, it])).toEqual([]);
    expect(messages([{ ...allow, when: true }, it])[1]).toContain('rule "it" is never reached');
  });
});

describe("a kill rule", () => {
  const kill = (when: unknown, more: object = {}): readonly string[] =>
    messages([{ id: "it", when, action: "kill", ...more }]);
  const unbounded = 'rule "it" kills without a bound on the lineage: ';
  const asksNothing = `${unbounded}it asks neither what a process runs or is given, nor what started it`;

  test("needs more than a user, an unknown tree or the negation of a place", () => {
    for (const when of [
      { "==": [uid, 33] },
      { "!": { var: ["tree.known", true] } },
      { "!": { glob: [{ var: "process.executable.path" }, "/usr/**"] } },
      { or: [underNginx, { "==": [uid, 33] }] },
    ])
      expect(kill(when)).toEqual([asksNothing]);
  });

  test("that names an ordinary program needs a lineage", () => {
    expect(kill(isShell)).toEqual([`${unbounded}it also kills the shell of a login`]);
    expect(kill({ and: [isShell, underNginx] })).toEqual([]);
    expect(kill({ and: [isShell, { "==": [{ var: ["process.unit", ""] }, "nginx.service"] }] })).toEqual([]);
  });

  test("that names what no host runs does not", () => {
    expect(kill({ in: [name, ["xmrig", "minerd"]] })).toEqual([]);
    expect(kill({ var: "process.executable.memfd" })).toEqual([]);
  });

  test("does not match by the default of tree.known where there is no baseline", () => {
    const byDefault = { and: [underNginx, { "!": { var: ["tree.known", false] } }] };
    expect(kill(byDefault)).toEqual([
      'rule "it" kills where there is no baseline: the default of tree.known makes its condition true there',
    ]);
    expect(kill({ and: [underNginx, { "==": [{ var: ["tree.familiar", false] }, false] }] })).toHaveLength(1);
    expect(kill({ and: [underNginx, { "!": { var: ["tree.known", true] } }] })).toEqual([]);
    expect(messages([{ id: "it", when: byDefault, action: "alert" }])).toEqual([]);
  });

  test("may except what is known: without a baseline it is then as it would be without the exception", () => {
    expect(kill(underNginx, { except: [{ var: ["tree.known", false] }] })).toEqual([]);
  });

  test("may have such a default where another part or an exception keeps it from matching without a baseline", () => {
    const unknown = { "!": { var: ["tree.known", false] } };
    expect(kill({ and: [underNginx, unknown, { "!": { missing: ["tree.known"] } }] })).toEqual([]);
    expect(kill({ and: [underNginx, unknown] }, { except: [{ var: ["tree.familiar", true] }] })).toEqual([]);
    expect(kill({ and: [underNginx, { or: [unknown, isShell] }] })).toHaveLength(1);
  });

  test("an action that an override gives counts", () => {
    const files = {
      "/p/base.json": { role: "base", rules: [{ id: "it", when: isShell, action: "alert" }] },
      "/p/role.json": { role: "role", extends: ["base"], override: { it: { action: "kill" } } },
    };
    expect(lint(load(files).rules ?? []).map(({ message }) => message)).toEqual([
      `${unbounded}it also kills the shell of a login`,
    ]);
  });
});

test("a rule that is switched off is not examined", () => {
  expect(messages([{ id: "it", when: false, action: "kill", enabled: false }])).toEqual([]);
});

describe("the roles that come with treewarden have no finding", () => {
  const sources = { read: () => undefined, embedded: embeddedPolicies, searchPath: [] };
  for (const role of embeddedPolicies.keys())
    test(role, () => expect(lint(loadPolicies([role], sources).rules ?? [])).toEqual([]));
});

const word = fc.constantFrom("sh", "bash", "nginx", "cron", "s", "n");
const atom: fc.Arbitrary<object> = fc.oneof(
  fc.tuple(fc.constantFrom("==", "!="), word).map(([op, value]) => ({ [op]: [name, value] })),
  fc.array(word, { maxLength: 3 }).map((words) => ({ in: [name, words] })),
  fc
    .tuple(
      fc.constantFrom("glob", "contains", "starts_with", "ends_with"),
      fc.array(fc.oneof(word, fc.constantFrom("*", "**", "s*", "/b", "/usr/**")), {
        minLength: 1,
        maxLength: 2,
      }),
      fc.constantFrom("process.executable.name", "process.executable.path", "process.command_args"),
    )
    .map(([op, texts, variable]) => ({ [op]: [{ var: variable }, texts] })),
  fc
    .tuple(fc.constantFrom("<", "<=", ">", ">=", "==", "!="), fc.integer({ min: 0, max: 3 }), fc.boolean())
    .map(([op, value, isLeft]) => ({ [op]: isLeft ? [uid, value] : [value, uid] })),
  fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => ({ under: words })),
  fc
    .array(word, { minLength: 1, maxLength: 2 })
    .map((words) => ({ tree: words.map((text) => `/**/${text}`) })),
  fc.constantFrom<object>(
    { var: "process.in_container" },
    { "==": [{ var: "process.in_container" }, false] },
    { var: ["tree.known", false] },
    { var: ["tree.known", true] },
    { tree: "/**" },
    { missing: ["process.working_directory"] },
  ),
);
const { condition } = fc.letrec<{ condition: object }>((tie) => {
  const several = fc.array(tie("condition"), { minLength: 1, maxLength: 3 });
  return {
    condition: fc.oneof(
      { maxDepth: 3, depthSize: "small", withCrossShrink: true },
      atom,
      several.map((parts) => ({ and: parts })),
      several.map((parts) => ({ or: parts })),
      tie("condition").map((part) => ({ "!": part })),
    ),
  };
});
const rules = fc
  .array(
    fc.record({
      when: condition,
      except: fc.array(condition, { maxLength: 1 }),
      action: fc.constantFrom("allow", "alert", "kill"),
      isLenient: fc.integer({ min: 0, max: 9 }),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((list) =>
    list.map(({ isLenient, ...rule }, i) => ({
      id: `r${i}`,
      ...rule,
      ...(isLenient === 0 ? { unknown: "match" } : {}),
    })),
  );
const program = fc
  .record({
    path: fc.constantFrom("/usr/bin/sh", "/usr/bin/bash", "/usr/sbin/nginx", "/usr/sbin/cron", "/tmp/n"),
    uid: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
    args: fc.option(fc.array(word, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    directory: fc.option(fc.constantFrom("/", "/srv"), { nil: undefined }),
  })
  .map((given) => ({
    "process.executable.path": given.path,
    ...(given.uid === undefined ? {} : { "process.user.id": given.uid }),
    ...(given.args === undefined ? {} : { "process.command_args": given.args }),
    ...(given.directory === undefined ? {} : { "process.working_directory": given.directory }),
  }));
const subjects = fc.array(
  fc.record({
    lineage: fc.array(program, { minLength: 1, maxLength: 3 }),
    known: fc.constantFrom(true, false, null, "absent" as const),
  }),
  { minLength: 12, maxLength: 12 },
);

test("what lint says of any rules holds for any process", () => {
  const found = new Map<string, number>();
  fc.assert(
    fc.property(rules, subjects, (generated, processes) => {
      const { policy, rules: placed } = loaded(generated);
      for (const { message } of lint(placed)) {
        const [, id = "", kind = ""] =
          /^rule "(.+?)" (can never match|matches every|is never reached|kills)/.exec(message) ?? [];
        found.set(kind, (found.get(kind) ?? 0) + 1);
        for (const process of processes) {
          const { matched, undecided } = decide(policy, testSubject(process));
          if (kind === "can never match" || kind === "is never reached") expect(matched).not.toContain(id);
          if (kind !== "matches every") continue;
          const isReached = !matched.some((other) => other !== id && actionOf(generated, other) === "allow");
          if (isReached && !undecided.includes(id)) expect(matched).toContain(id);
        }
      }
    }),
    { numRuns: 700 },
  );
  for (const kind of ["can never match", "matches every", "is never reached", "kills"])
    expect(found.get(kind) ?? 0).toBeGreaterThan(3);
}, 60_000);

function actionOf(all: readonly { readonly id: string; readonly action: string }[], id: string) {
  return all.find((rule) => rule.id === id)?.action;
}
