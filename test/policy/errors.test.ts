// What is wrong with a policy is told at load, with its place and the fix; nothing of it is loaded.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { errorsOf, load } from "./helpers.ts";

function told(when: unknown, more: object = {}): string {
  const errors = errorsOf({ role: "role", rules: [{ id: "a", when, action: "alert", ...more }] });
  return errors.map(({ message, fix }) => `${message} / ${fix}`).join("\n");
}

describe("the place", () => {
  test("an error names file, line and column", () => {
    const text =
      '{\n  "role": "web",\n  "rules": [\n    { "id": "a", "action": "alert",\n      "when": { "udner": ["nginx"] } }\n  ]\n}\n';
    expect(errorsOf(text)).toEqual([
      {
        file: "/p/role.json",
        line: 5,
        column: 17,
        message: 'unknown operator "udner"',
        fix: 'did you mean "under"?',
      },
    ]);
  });

  test("comments and trailing commas are allowed", () => {
    expect(errorsOf('// a role\n{ "role": "web", /* none */ "rules": [], }')).toEqual([]);
  });

  test("each of several misspelt lists gets the name that was meant", () => {
    const name = { var: "process.executable.name" };
    const errors = errorsOf({
      role: "r",
      lists: { shells: ["sh"] },
      rules: [
        { id: "a", when: { in: [name, { list: "shels" }] }, action: "alert" },
        { id: "b", when: { in: [name, { list: "shelsl" }] }, action: "alert" },
      ],
    });
    expect(errors.map(({ fix }) => fix)).toEqual(['did you mean "shells"?', 'did you mean "shells"?']);
  });

  test("every mistake is told at once", () => {
    const errors = errorsOf({
      role: "r",
      rules: [
        { id: "a", when: { udner: "x" }, action: "alert" },
        { id: "b", when: { var: "tree.pth" }, action: "alert" },
      ],
    });
    expect(errors.map(({ message }) => message)).toEqual([
      'unknown operator "udner"',
      'unknown variable "tree.pth"',
    ]);
  });
});

describe("the file", () => {
  const table: readonly [what: string, text: string, message: string][] = [
    ["an empty file", "", "the file is empty"],
    ["something else", "[1]", "a policy is an object, not array"],
    ["broken JSON", '{ "role": "a" "rules": [] }', "not JSON: comma expected"],
    ["no role", "{}", '"role" is missing'],
    [
      "a role that is no name",
      '{ "role": "../x" }',
      "role: a name is 1 to 64 letters, digits, dots, dashes and underscores",
    ],
    ["an unknown key", '{ "role": "a", "rule": [] }', 'unknown key "rule"'],
    ["a key that stands twice", '{ "role": "a", "role": "b" }', '"role" stands here twice'],
    [
      "a key that reaches a prototype",
      '{ "role": "a", "lists": { "__proto__": [] } }',
      '"__proto__" is not allowed as a name',
    ],
    [
      "an unknown action",
      '{ "role": "a", "default": "kil" }',
      'default must be allow, alert, deny, stop or kill, not "kil"',
    ],
    [
      "a rule on an unknown kind of event",
      '{ "role": "a", "rules": [{ "id": "x", "on": ["exce"], "when": true, "action": "alert" }] }',
      'rules[0].on[0] must be exec, connect, send or listen, not "exce"',
    ],
    [
      "a rule on nothing",
      '{ "role": "a", "rules": [{ "id": "x", "on": [], "when": true, "action": "alert" }] }',
      "rules[0].on: name at least one kind of event: exec, connect, send, listen",
    ],
    [
      "a rule on a text",
      '{ "role": "a", "rules": [{ "id": "x", "on": "exec", "when": true, "action": "alert" }] }',
      'rules[0].on must be an array, not "exec"',
    ],
    [
      "a default for an unknown kind of event",
      '{ "role": "a", "default": { "exce": "alert" } }',
      'default.exce must be exec, connect, send or listen, not "exce"',
    ],
    [
      "an unknown action by kind",
      '{ "role": "a", "default": { "exec": "kil" } }',
      'default.exec must be allow, alert, deny, stop or kill, not "kil"',
    ],
    [
      "a default for nothing",
      '{ "role": "a", "default": {} }',
      "default: name at least one kind of event: exec, connect, send, listen",
    ],
    [
      "an override of what a rule is on",
      '{ "role": "a", "override": { "x": { "on": ["exec"] } } }',
      'unknown key "on"',
    ],
    [
      "a reserved id",
      '{ "role": "a", "rules": [{ "id": "default", "when": true, "action": "alert" }] }',
      'rules[0].id: "default" is reserved for the default action',
    ],
    [
      "a rule without a condition",
      '{ "role": "a", "rules": [{ "id": "x", "action": "alert" }] }',
      '"when" is missing',
    ],
    [
      "a text for a condition",
      '{ "role": "a", "rules": [{ "id": "x", "when": "true", "action": "alert" }] }',
      "a condition is an operator with its arguments, not string",
    ],
    [
      "an id twice",
      '{ "role": "a", "rules": [{ "id": "x", "when": true, "action": "alert" }, { "id": "x", "when": true, "action": "kill" }] }',
      'rule "x" is already in this file',
    ],
    [
      "a test of nothing",
      '{ "role": "a", "tests": [{ "name": "t", "lineage": [], "expect": { "action": "allow" } }] }',
      "tests[0].lineage: a lineage has at least the process itself",
    ],
    [
      "a test that sets what follows",
      '{ "role": "a", "tests": [{ "name": "t", "lineage": [{ "tree.path": "/a" }], "expect": { "action": "allow" } }] }',
      '"tree.path" follows from the rest and cannot be set',
    ],
    [
      "a test with a wrong type",
      '{ "role": "a", "tests": [{ "name": "t", "lineage": [{ "process.user.id": "0" }], "expect": { "action": "allow" } }] }',
      '"process.user.id" is int, not "0"',
    ],
    [
      "a test that names a user without its number",
      '{ "role": "a", "tests": [{ "name": "t", "lineage": ["/bin/sh", { "process.user.name": "shop" }], "expect": { "action": "allow" } }] }',
      '"process.user.name" has no effect without "process.user.id", here or in a process above',
    ],
    [
      "a test that names an image without a container",
      '{ "role": "a", "tests": [{ "name": "t", "lineage": [{ "container.image.name": "nginx" }], "expect": { "action": "allow" } }] }',
      '"container.image.name" has no effect without "container.id", here or in a process above',
    ],
    ["too deep", `{ "role": "a", "rules": ${"[".repeat(100_000)}`, "nested deeper than 80 levels"],
    ["too long", `{ "role": "a" }${" ".repeat(1 << 20)}`, "the file has more than 1048576 characters"],
  ];
  for (const [what, text, message] of table) {
    test(`${what} is refused`, () => {
      expect(errorsOf(text).map((error) => error.message)).toContain(message);
    });
  }

  test("a slip of the hand gets the right name", () => {
    expect(errorsOf('{ "role": "a", "rule": [] }')[0]?.fix).toBe('did you mean "rules"?');
    expect(errorsOf('{ "role": "a", "default": "kil" }')[0]?.fix).toBe('did you mean "kill"?');
    const on = (kind: string) =>
      errorsOf(
        `{ "role": "a", "rules": [{ "id": "x", "on": ["${kind}"], "when": true, "action": "alert" }] }`,
      );
    expect(on("exce")[0]).toMatchObject({ line: 1, column: 46, fix: 'did you mean "exec"?' });
    expect(on("conect")[0]).toMatchObject({ line: 1, column: 46, fix: 'did you mean "connect"?' });
    expect(errorsOf('{ "role": "a", "default": { "exce": "alert" } }')[0]).toMatchObject({
      column: 29,
      fix: 'did you mean "exec"?',
    });
  });

  test("no text makes the loader fail in another way", () => {
    const piece = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"role"',
      '"rules"',
      '"when"',
      '"id"',
      '"a"',
      '"var"',
      "1",
      "null",
      "//",
      "\\",
      '"',
      "\n",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 40 }).map((parts) => parts.join(" ")),
      fc.json(),
    );
    fc.assert(
      fc.property(text, (given) => {
        const lines = given.split("\n").length;
        for (const { message, line } of errorsOf(given)) {
          expect(message).not.toBe("");
          expect(line).toBeGreaterThanOrEqual(0);
          expect(line).toBeLessThanOrEqual(lines);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a condition", () => {
  const uid = { var: "process.user.id" };
  const name = { var: "process.executable.name" };
  const login = { var: "process.login_user.id" };
  const table: readonly [what: string, when: unknown, message: string, fix: string][] = [
    ["a wrong number of arguments", { "==": [uid] }, '"==" takes 2 arguments, not 1', '"=="'],
    ["an empty and", { and: [] }, 'an empty "and"', "1 or more"],
    ["an empty or", { or: [] }, 'an empty "or"', "1 or more"],
    ["two operators in one object", { "!": uid, "!!": uid }, 'more than one operator: "!" and "!!"', '"and"'],
    ["an empty object", { and: [{}] }, "an empty object", ""],
    [
      "a text for a number",
      { in: [uid, ["33"]] },
      '"process.user.id" (a number) is never in an array of texts',
      "write [33]",
    ],
    ["one text among numbers", { in: [uid, [33, "34"]] }, '"34" is never "process.user.id" (a number)', ""],
    ["a number for a text", { "==": [name, 7] }, "is never what it looks like", 'write "7"'],
    [
      "a text for true",
      { "==": [{ var: "tree.random" }, "true"] },
      "is never what it looks like",
      "true or false",
    ],
    ["a text as haystack", { in: [name, "bash dash"] }, "a text as haystack", '["bash","dash"]'],
    ["an array compared", { "==": [{ var: "tree.labels" }, "a"] }, "cannot compare an array", '"in"'],
    [
      "null compared",
      { "==": [login, 1000] },
      '"process.login_user.id" may be null and is compared',
      '{ "var": ["process.login_user.id", -1] }',
    ],
    ["null ordered", { ">": [login, 1000] }, "may be null and is compared", "-1"],
    ["null negated", { "!": { var: "process.unit" } }, '"process.unit" may be null and is negated', '""'],
    ["null among three", { "<": [0, login, 9] }, "may be null and is compared", "-1"],
    [
      "a default of another type",
      { "==": [{ var: ["process.login_user.id", "none"] }, 1] },
      "its default is text",
      "-1",
    ],
    ["an unknown variable", { "==": [{ var: "process.user" }, 1] }, 'unknown variable "process.user"', ""],
    [
      "a variable of the verdict",
      { "==": [{ var: "policy.action" }, "kill"] },
      "not known before the verdict",
      "",
    ],
    ["an unknown list", { in: [name, { list: "shels" }] }, 'unknown list "shels"', '"shells"'],
    ["an operator of everybody's prototype", { toString: [1] }, 'unknown operator "toString"', ""],
    ["another one", { hasOwnProperty: ["a"] }, 'unknown operator "hasOwnProperty"', ""],
    ["log", { log: "x" }, 'unknown operator "log"', ""],
    ["a variable's name made at run time", { var: { cat: ["a", "b"] } }, "not an expression", ""],
    [
      "another variable within an array's",
      { some: [{ var: "process.command_args" }, { "==": [{ var: "process.pid" }, 1] }] },
      "in here a variable is the element",
      '{ "var": "" }',
    ],
    ["an array within an array", { in: [name, [["sh"]]] }, "an array within an array", '"merge"'],
    ["text for a number's operator", { contains: [uid, "3"] }, "this is a number", ""],
    ["nothing to look for", { contains: [name, []] }, "never matches", ""],
    ["an empty text", { starts_with: [name, ""] }, "an empty text", ""],
    ["a broken expression", { matches: [name, "(a"] }, "not a regular expression of RE2", ""],
    ["a lookahead", { matches: [name, "(?!a)b"] }, "not a regular expression of RE2", ""],
    ["a network that is none", { cidr: [name, "10.0.0.0/40"] }, '"10.0.0.0/40" is not a network', ""],
    ["a tree without a slash", { tree: "nginx/*" }, "a tree begins with a slash", ""],
    ["braces that stay open", { glob: [name, "{a,b"] }, "an opening brace without a closing one", ""],
    ["braces without end", { glob: [name, "{a,b}".repeat(9)] }, "more than 256 alternatives", ""],
    [
      "a rule that is too deep",
      Array.from({ length: 35 }).reduce((inner) => ({ "!": [inner] }), uid),
      "nested deeper than 32 levels",
      "split",
    ],
    [
      "a rule that is too long",
      { or: Array.from({ length: 6_000 }, () => ({ var: "tree.random" })) },
      "more than 5000 parts",
      "split",
    ],
  ];
  for (const [what, when, message, fix] of table) {
    test(`${what} is refused`, () => {
      const errors = errorsOf({
        role: "role",
        lists: { shells: ["sh"] },
        rules: [{ id: "a", when, action: "alert" }],
      });
      expect(errors.length).toBe(1);
      expect(errors[0]?.message).toContain(message);
      expect(errors[0]?.fix ?? "").toContain(fix);
    });
  }

  test("what looks like a mistake and is none is let through", () => {
    for (const when of [
      true,
      { "==": [{ var: ["process.login_user.id", -1] }, -1] },
      { "!": { var: ["process.unit", ""] } },
      { in: [{ var: "process.unit" }, ["ssh.service"]] },
      { in: ["curl ", { var: "process.command_line" }] },
      { "!!": { var: "process.tty" } },
      {
        ">": [
          { reduce: [{ var: "tree.user_ids" }, { "+": [{ var: "accumulator" }, { var: "current" }] }, 0] },
          5,
        ],
      },
      { "<": [1, { var: "tree.depth" }, 9] },
    ]) {
      expect(told(when)).toBe("");
    }
  });

  test("an exception is checked like a condition, and a disabled rule like any other", () => {
    expect(told(true, { except: [{ and: [] }] })).toContain('an empty "and"');
    expect(told({ and: [] }, { enabled: false })).toContain('an empty "and"');
  });
});

test("a policy with an error is not loaded at all", () => {
  const result = load({
    "/p/role.json": {
      role: "role",
      rules: [
        { id: "good", when: true, action: "kill" },
        { id: "bad", when: { and: [] }, action: "kill" },
      ],
    },
  });
  expect(result.policy).toBeUndefined();
});

describe("an environment variable", () => {
  test("that is not read is refused with what to add to the configuration", () => {
    const text = told({ "!!": { var: "process.environment_variable.PGPASSWORD" } });
    expect(text).toStartWith(
      "the environment variable PGPASSWORD is not read / add it in config.yaml: environment",
    );
    expect(text).toContain("LD_PRELOAD");
    expect(text).toEndWith("PGPASSWORD] }");
  });

  test("that is read can be compared like any text, and may be null", () => {
    const preload = "process.environment_variable.LD_PRELOAD";
    expect(told({ "!!": { var: preload } })).toBe("");
    expect(told({ "!=": [{ var: preload }, ""] })).toContain("may be null");
    expect(told({ starts_with: [{ var: ["process.environment_variable.BASH_ENV", ""] }, "/tmp/"] })).toBe("");
  });

  test("whose name is misspelt gets the name that was meant", () => {
    expect(told({ "!!": { var: "process.environment_variables.LD_PRELOAD" } })).toContain(
      'did you mean "process.environment_variable.LD_PRELOAD"?',
    );
  });
});
