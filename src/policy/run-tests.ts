// Runs the tests in a policy file.
import { isEnvironmentVariable, nameInEnvironment } from "../vocabulary/environment.ts";
import { givenNetworkSubject } from "./given-event.ts";
import { type Decision, decide, type Policy } from "./policy.ts";
import type { LoadedRole } from "./resolve.ts";
import type { TestEntry } from "./schema.ts";
import { testSubject } from "./test-lineage.ts";

export interface PolicyTestResult {
  readonly name: string;
  readonly passed: boolean;
  readonly expected: TestEntry["expect"];
  readonly decision: Decision;
  /** The tree of the test's lineage. */
  readonly tree: string;
}

/** Runs the tests of the policy's own file, not those of its parents. */
export function runTests(policy: Policy, role: LoadedRole): PolicyTestResult[] {
  const names = [...policy.variables].filter(isEnvironmentVariable).map(nameInEnvironment);
  return (role.file.tests ?? []).map((test) => {
    const exec = testSubject(test, names);
    const subject = test.event === undefined ? exec : givenNetworkSubject(exec, test.event);
    const decision = decide(policy, subject);
    const { action, rule } = test.expect;
    const passed = decision.action === action && (rule === undefined || decision.rule === rule);
    return { name: test.name, passed, expected: test.expect, decision, tree: subject.tree.path };
  });
}
