// The public JSONLogic suite: what treewarden lets through means what the suite says; the rest is refused at load.
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import type { VariableValue } from "../../src/policy/subject.ts";
import { ABSENT } from "../absent-data.ts";
import { conditionOf } from "./helpers.ts";

const suite = new URL("../../../shared/conformance/jsonlogic.json", import.meta.url).pathname;

/** json-logic-js's way to a value. */
function lookUp(data: unknown, name: string): VariableValue {
  let value: unknown = data;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null) return null;
    value = new Map(Object.entries(value)).get(part) ?? null;
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return Array.isArray(value) ? value : null;
}

// A variable that a policy would know: of any type, and a rule that names it is only asked if it is there.
const anyVariable = (name: string) => (name === "" ? undefined : ({ type: "any", nullable: false } as const));

describe("the JSONLogic suite", () => {
  if (!existsSync(suite)) {
    test.skip(`has its cases beside the repository ${ABSENT}`, () => undefined);
    return;
  }
  const cases: unknown = JSON.parse(readFileSync(suite, "utf8"));
  let ran = 0;
  const refused: string[] = [];
  for (const entry of Array.isArray(cases) ? cases : []) {
    if (!Array.isArray(entry)) continue;
    const [rule, data, expected] = entry;
    const condition = conditionOf(rule, anyVariable);
    if ("errors" in condition) {
      refused.push(`${JSON.stringify(rule)}: ${condition.errors.map((error) => error.message).join("; ")}`);
      continue;
    }
    ran += 1;
    test(`${JSON.stringify(rule)} of ${JSON.stringify(data)}`, () => {
      expect(condition.run((name) => lookUp(data, name))).toEqual(expected);
    });
  }
  test("most of the suite runs, and what does not is refused with a reason", () => {
    expect(ran).toBe(250);
    expect(refused.filter((text) => text.endsWith(": "))).toEqual([]);
  });
});
