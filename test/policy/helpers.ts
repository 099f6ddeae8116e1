// What the tests of this room share: a policy from objects, a subject from a lineage, a condition from JSONLogic.

import { Compiler, type Evaluation } from "../../src/policy/compiler.ts";
import { readCondition } from "../../src/policy/condition.ts";
import { Document, type PolicyError } from "../../src/policy/document.ts";
import { type Expression, namesIn, namesTestedByMissing } from "../../src/policy/expression.ts";
import { givenNetworkSubject } from "../../src/policy/given-event.ts";
import { type LoadResult, loadPolicies } from "../../src/policy/load.ts";
import type { Names } from "../../src/policy/name-reader.ts";
import { type Decision, decide, type Policy } from "../../src/policy/policy.ts";
import type { TestEntry } from "../../src/policy/schema.ts";
import type { VariableValue } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import type { VariableType } from "../../src/vocabulary/variable-row.ts";

export function load(files: Readonly<Record<string, unknown>>, ...names: string[]): LoadResult {
  const texts = new Map(
    Object.entries(files).map(([path, value]) => [
      path,
      typeof value === "string" ? value : JSON.stringify(value, null, 2),
    ]),
  );
  return loadPolicies(names.length === 0 ? ["/p/role.json"] : names, {
    read: (path) => bytesOf(texts.get(path)),
    embedded: new Map(),
    searchPath: ["/p"],
  });
}

export function bytesOf(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Buffer.from(text);
}

/** One role of these rules. */
export function policyOf(rules: readonly object[], more: object = {}): Policy {
  const { policy, errors } = load({ "/p/role.json": { role: "role", rules, ...more } });
  if (policy === undefined)
    throw new Error(errors.map((error) => `${error.message}; ${error.fix}`).join("\n"));
  return policy;
}

export function errorsOf(role: unknown): readonly PolicyError[] {
  return load({ "/p/role.json": role }).errors ?? [];
}

export type LineageOfTest = TestEntry["lineage"];

export function judge(policy: Policy, lineage: LineageOfTest, known?: TestEntry["known"]): Decision {
  return decide(policy, testSubject(known === undefined ? { lineage } : { lineage, known }));
}

/** What the policy decides about the last process of the lineage, which uses the network. */
export function judgeEvent(
  policy: Policy,
  lineage: LineageOfTest,
  event: NonNullable<TestEntry["event"]>,
): Decision {
  return decide(policy, givenNetworkSubject(testSubject({ lineage }), event));
}

/** Whether a rule of this condition matches the last process of the lineage. */
export function matches(when: unknown, lineage: LineageOfTest, more: object = {}): boolean {
  const policy = policyOf([{ id: "it", when, action: "alert", ...more }]);
  return judge(policy, lineage).matched.includes("it");
}

export interface TestVariable {
  readonly type: VariableType | "any";
  readonly nullable: boolean;
}

/** A condition over variables of the test's own; the errors if it is refused. */
export function conditionOf(
  rule: unknown,
  variables: (name: string) => TestVariable | undefined,
): { run: (data: (name: string) => VariableValue) => unknown } | { errors: readonly PolicyError[] } {
  // An object in front, so that a bare literal is read as one.
  const document = new Document("test", JSON.stringify({ "!!": [rule] }));
  const root = document.parse();
  const names: Names = {
    variable: variables,
    refusal: () => undefined,
    list: () => undefined,
    variables: [],
    lists: [],
  };
  const expression: Expression | undefined =
    root === undefined ? undefined : readCondition(document, root, names);
  if (expression?.is !== "call" || expression.parts[0] === undefined) return { errors: document.errors };
  const slots = [...new Set([...namesIn(expression), ...namesTestedByMissing(expression)])];
  const compiler = new Compiler({ slotOf: (name) => slots.indexOf(name), isLate: () => false });
  const program = compiler.value(expression.parts[0]);
  return {
    run: (data) => {
      const evaluation: Evaluation = {
        values: slots.map(data),
        late: [],
        subject: undefined,
        ancestry: undefined,
      };
      return program(evaluation);
    },
  };
}
