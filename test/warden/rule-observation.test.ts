// How long rules were observed without loss, and what they matched: what the warden counts, keeps and reads again.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decide, type Policy } from "../../src/policy/policy.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { writeNow } from "../../src/warden/atomic-file-writer.ts";
import {
  confirmedRulesPath,
  formatConfirmedRules,
  readConfirmedRules,
} from "../../src/warden/confirmed-rules.ts";
import { RuleObservation, readObservedRules } from "../../src/warden/rule-observation.ts";
import { policyOf } from "../policy/helpers.ts";

const runs = (name: string) => ({ "==": [{ var: "process.executable.name" }, name] });
const policy = policyOf([
  { id: "shell", when: runs("dash"), action: "kill" },
  { id: "any", when: { under: ["nginx"] }, action: "kill" },
  { id: "odd", when: runs("dash"), action: "alert" },
]);
const SECOND = 1e9;
const dash = testSubject({ lineage: ["/usr/sbin/nginx", "/usr/bin/dash"] });

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "observed-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function observation(of: Policy = policy): RuleObservation {
  const saved = readObservedRules(folder);
  return new RuleObservation({ stateDirectory: folder, writeFile: writeNow, saved, policy: of, now: 0 });
}

describe("the time of observation", () => {
  test("goes on while events arrive, and not between a loss and the scan that makes up for it", () => {
    const observed = observation();
    observed.onLoss(10 * SECOND);
    observed.onLoss(20 * SECOND);
    observed.onRepaired(100 * SECOND);
    // A scan for another reason.
    observed.onRepaired(105 * SECOND);
    expect(observed.observedAt(110 * SECOND).get("role/shell")).toMatchObject({ seconds: 20, hits: 0 });
  });

  test("begins anew for a rule that is changed, and goes on for the others", () => {
    const observed = observation();
    const changed = policyOf([
      { id: "shell", when: runs("bash"), action: "kill" },
      { id: "any", when: { under: ["nginx"] }, action: "kill" },
    ]);
    observed.apply(changed, 10 * SECOND);
    const rules = observed.observedAt(15 * SECOND);
    expect([rules.get("role/shell")?.seconds, rules.get("role/any")?.seconds]).toEqual([5, 15]);
  });

  test("is kept for the next warden", () => {
    const first = observation();
    first.onDecision(decide(policy, dash));
    first.saveNow(30 * SECOND);
    expect(
      observation()
        .observedAt(5 * SECOND)
        .get("role/any"),
    ).toMatchObject({ seconds: 35, hits: 1 });
  });

  test("is written at most once a minute", () => {
    const observed = observation();
    observed.save(59 * SECOND);
    expect(readObservedRules(folder).size).toBe(0);
    observed.save(60 * SECOND);
    expect(readObservedRules(folder).get("role/shell")?.seconds).toBe(60);
  });
});

test("a hit is counted for every rule that kills and matched", () => {
  const observed = observation();
  observed.onDecision(decide(policy, dash));
  observed.onDecision(decide(policy, testSubject({ lineage: ["/usr/sbin/nginx", "/usr/bin/id"] })));
  const rules = observed.observedAt(0);
  expect([...rules].map(([rule, { hits }]) => [rule, hits])).toEqual([
    ["role/shell", 1],
    ["role/any", 2],
  ]);
});

test("a default action that kills is observed under its own name", () => {
  const allowlist = policyOf([{ id: "ok", when: runs("nginx"), action: "allow" }], { default: "kill" });
  const observed = observation(allowlist);
  observed.onDecision(decide(allowlist, dash));
  expect(observed.observedAt(0).get("role/default")?.hits).toBe(1);
});

describe("a file that is broken or that others can write", () => {
  const rules = [{ rule: "role/shell", since: 1, by: "order" as const }];

  test("is read as it was written", () => {
    writeNow(confirmedRulesPath(folder), formatConfirmedRules(rules), () => undefined);
    expect(readConfirmedRules(folder)).toEqual(rules);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    [
      "another version",
      formatConfirmedRules(rules)
        .replace('"version": 1', '"version": 2')
        .replace('"version":1', '"version":2'),
    ],
    ["a further key", '{"version":1,"rules":[],"all":true}'],
    ["another way to be confirmed", formatConfirmedRules(rules).replace("order", "magic")],
  ])("with %s confirms no rule, and nothing was observed", (_, text) => {
    for (const path of [confirmedRulesPath(folder), join(folder, "observed-rules.json")])
      writeFileSync(path, text, { mode: 0o600 });
    expect(readConfirmedRules(folder)).toEqual([]);
    expect(readObservedRules(folder).size).toBe(0);
  });

  test.skipIf(process.geteuid?.() !== 0)("confirms no rule if its mode lets others write", () => {
    writeFileSync(confirmedRulesPath(folder), formatConfirmedRules(rules));
    Bun.spawnSync(["chmod", "666", confirmedRulesPath(folder)]);
    expect(readConfirmedRules(folder)).toEqual([]);
  });
});
