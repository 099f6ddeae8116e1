// Generated rules: whatever the checks let through means to treewarden what it means to json-logic-js.
import { expect, test } from "bun:test";
import fc from "fast-check";
import jsonLogic from "json-logic-js";
import type { VariableValue } from "../../src/policy/subject.ts";
import { conditionOf, type TestVariable } from "./helpers.ts";

// Bun 1.4.5 loads the package without its "use strict", so that an element which is `this` becomes an object, and 0
// true. Node.js does not. The same operation as a module's function (always strict) is what the package means.
jsonLogic.add_operation("var", function (this: unknown, name: unknown, otherwise: unknown) {
  if (name === "") return this;
  let value: unknown = this;
  for (const part of String(name).split(".")) {
    value = value === null || value === undefined ? undefined : Reflect.get(Object(value), part);
    if (value === undefined) return otherwise ?? null;
  }
  return value;
});

const variables: Readonly<Record<string, TestVariable>> = {
  "process.name": { type: "string", nullable: false },
  "process.tty": { type: "string", nullable: true },
  "process.user.id": { type: "int", nullable: false },
  "process.login.id": { type: "int", nullable: true },
  "process.deleted": { type: "bool", nullable: false },
  "tree.labels": { type: "string[]", nullable: false },
  "tree.users": { type: "int[]", nullable: false },
};

const word = fc.constantFrom("", "a", "ab", "abc", "b", "0", "1", "12", "-1", "sh", "x y");
const integer = fc.integer({ min: -3, max: 40 });
const names = fc.constantFrom(...Object.keys(variables));
const fallback = fc.oneof(word, integer, fc.boolean());
const literal = fc.oneof(
  word,
  integer,
  fc.boolean(),
  fc.constant(null),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -9, max: 9 }),
);

const { rule } = fc.letrec((tie) => {
  const some = tie("rule");
  const variable = fc.oneof(
    names.map((name) => ({ var: name })),
    fc.tuple(names, fallback).map(([name, value]) => ({ var: [name, value] })),
  );
  const unary = fc.tuple(fc.constantFrom("!", "!!", "-", "+", "cat", "min", "max", "merge", "*"), some);
  const binary = fc.tuple(
    fc.constantFrom(
      "==",
      "===",
      "!=",
      "!==",
      "<",
      "<=",
      ">",
      ">=",
      "+",
      "-",
      "*",
      "/",
      "%",
      "min",
      "max",
      "in",
      "cat",
      "merge",
      "and",
      "or",
      "substr",
    ),
    some,
    some,
  );
  const ternary = fc.tuple(
    fc.constantFrom("if", "?:", "<", "<=", "and", "or", "substr", "cat", "+", "*", "merge", "max"),
    some,
    some,
    some,
  );
  const element = fc.oneof(
    fc.constant({ var: "" }),
    fc
      .tuple(fc.constantFrom("==", "!=", "<", ">", "in", "cat"), fc.constant({ var: "" }), literal)
      .map(([op, a, b]) => ({ [op]: [a, b] })),
  );
  const each = fc.tuple(fc.constantFrom("filter", "map", "all", "none", "some"), some, element);
  const reduce = fc.tuple(some, fc.constantFrom("+", "cat", "max", "or", "-"), literal);
  const words = fc.array(word, { maxLength: 3 });
  const integers = fc.array(integer, { maxLength: 3 });
  return {
    rule: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      variable,
      literal,
      words,
      integers,
      unary.map(([op, a]) => ({ [op]: [a] })),
      unary.map(([op, a]) => ({ [op]: a })),
      binary.map(([op, a, b]) => ({ [op]: [a, b] })),
      ternary.map(([op, a, b, c]) => ({ [op]: [a, b, c] })),
      each.map(([op, array, body]) => ({ [op]: [array, body] })),
      reduce.map(([array, op, start]) => ({
        reduce: [array, { [op]: [{ var: "accumulator" }, { var: "current" }] }, start],
      })),
      fc.tuple(variable, words).map(([a, b]) => ({ in: [a, b] })),
      fc.tuple(variable, integers).map(([a, b]) => ({ in: [a, b] })),
    ),
  };
});

const event = fc.record({
  "process.name": word,
  "process.tty": fc.option(word),
  "process.user.id": integer,
  "process.login.id": fc.option(integer),
  "process.deleted": fc.boolean(),
  "tree.labels": fc.array(word, { maxLength: 4 }),
  "tree.users": fc.array(integer, { maxLength: 4 }),
});

/** As json-logic-js is given it: nested, and what is null left out, so that a default stands in for it. */
function nested(values: Readonly<Record<string, VariableValue>>): object {
  const data: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === null) continue;
    const parts = name.split(".");
    let at = data;
    for (const part of parts.slice(0, -1)) {
      const next: Record<string, unknown> = Object.fromEntries(Object.entries(Object(at[part] ?? {})));
      at[part] = next;
      at = next;
    }
    at[parts.at(-1) ?? ""] = value;
  }
  return data;
}

test("what the checks let through gives the value that json-logic-js gives", () => {
  let accepted = 0;
  fc.assert(
    fc.property(rule, event, (generated, values) => {
      const condition = conditionOf(generated, (name) => variables[name]);
      if ("errors" in condition) {
        expect(condition.errors.length).toBeGreaterThan(0);
        return;
      }
      accepted += 1;
      // Through JSON, as both get it.
      const plain: unknown = JSON.parse(JSON.stringify(generated));
      const expected: unknown = Reflect.apply(jsonLogic.apply, undefined, [plain, nested(values)]);
      const given = new Map(Object.entries(values));
      expect(condition.run((name) => given.get(name))).toEqual(expected);
    }),
    { numRuns: 20_000 },
  );
  expect(accepted).toBeGreaterThan(5_000);
}, 60_000);

test("a rule of any shape is refused or compiled, never a fault", () => {
  const key = fc.oneof(
    fc.constantFrom(
      "and",
      "or",
      "!",
      "var",
      "in",
      "under",
      "tree",
      "glob",
      "list",
      "missing",
      "toString",
      "hasOwnProperty",
      "log",
      "method",
    ),
    fc.string(),
  );
  const anything = fc.anything({ key, withNullPrototype: false, maxDepth: 4 });
  fc.assert(
    fc.property(anything, (generated) => {
      let text: string | undefined;
      try {
        text = JSON.stringify(generated);
      } catch {
        return;
      }
      if (text === undefined) return;
      const condition = conditionOf(JSON.parse(text), (name) => variables[name]);
      if ("errors" in condition) expect(condition.errors.length).toBeGreaterThan(0);
    }),
    { numRuns: 5_000 },
  );
});
