// Which execs the warden must read at once: those with which a denial begins or ends.
import { expect, test } from "bun:test";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { Process } from "../../src/forest/process.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { DenialsInForce } from "../../src/warden/denials-in-force.ts";
import { policyOf } from "../policy/helpers.ts";

const shell = testSubject({ lineage: ["/bin/sh"] });
const shop = testSubject({ lineage: ["/bin/sh", "/usr/bin/shopd"] });
const below = testSubject({ lineage: ["/bin/sh", "/usr/bin/shopd", "/bin/date"] });
const other = testSubject({ lineage: ["/bin/sh", "/bin/date"] });

function rig(when: unknown) {
  const policy = policyOf([{ id: "d", on: ["connect"], when, action: "deny" }]);
  const states = ruleStatesOf(policy, () => true, noOverrides);
  const epoch = { current: 1 };
  const subjects = new Map([shell, shop, below, other].map((each) => [each.lineage, each]));
  const denials = new DenialsInForce({
    policy: { current: policy },
    enforcement: { mayAct: true, states },
    epoch,
    processes: () => [],
    kernel: () => ({
      define: () => undefined,
      remove: () => undefined,
      assign: () => true,
      setEpoch: () => undefined,
      enforceEpoch: () => undefined,
    }),
    subjectOf: ({ lineage }) => subjects.get(lineage) ?? shell,
  });
  allSteps(denials.applying());
  /** A process that was forked by one of `parent`, and has executed what makes it one of `child`. */
  function execed(parent: typeof shell, child: typeof shell): Process {
    const start = { startTicks: 1, startExact: true, time: 0 };
    const process = new Process(7, start, parent.lineage, null, 1, false);
    denials.assign(process);
    process.lineage = child.lineage;
    return process;
  }
  return { denials, epoch, execed };
}

test("what a service is denied begins with its exec, and what is below it inherits that", () => {
  const { denials, execed } = rig({ under: ["shopd"] });
  expect(denials.isInherited(execed(shell, shop))).toBe(false);
  expect(denials.isInherited(execed(shop, below))).toBe(true);
  expect(denials.isInherited(execed(shell, other))).toBe(true);
});

test("what depends on the program itself begins with each exec of it", () => {
  const { denials, execed } = rig({ "==": [{ var: "process.executable.name" }, "date"] });
  expect(denials.isInherited(execed(shop, below))).toBe(false);
  expect(denials.isInherited(execed(shell, shop))).toBe(true);
});

test("in an epoch whose denials are not in force yet, nothing is known to be inherited", () => {
  const { denials, epoch, execed } = rig({ under: ["shopd"] });
  epoch.current += 1;
  expect(denials.isInherited(execed(shop, below))).toBe(false);
  allSteps(denials.applying());
  expect(denials.isInherited(execed(shop, below))).toBe(true);
});
