// The counters of verdicts before there was any.
import { expect, test } from "bun:test";
import type { ArmingSettings } from "../../src/enforcement/configured-arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { Totals } from "../../src/report/totals.ts";
import { EnforcementInForce } from "../../src/warden/enforcement-in-force.ts";
import { policyOf } from "../policy/helpers.ts";

const when = { "==": [{ var: "process.executable.name" }, "dash"] };
const policy = policyOf([
  { id: "a", when, action: "kill", severity: "critical" },
  { id: "b", when, action: "alert", severity: "low" },
]);

/** The series of verdicts of a warden that starts with `settings`, and their values. */
function verdicts(settings: Omit<ArmingSettings, "armed_since_hours">): Record<string, unknown> {
  const totals = new Totals();
  new EnforcementInForce({
    settings: { ...settings, armed_since_hours: 168 },
    confirmed: { has: () => true, held: [], apply: () => undefined, confirm: () => undefined },
    policy,
    totals,
    read: () => ({ overrides: noOverrides, problems: [], holdsAll: false }),
    version: () => "",
    moment: () => ({ wall: 0, boot: "0", boottime: 0 }),
    records: { ended: [], onOrders: () => undefined, remind: () => undefined },
    onProblems: () => undefined,
    onRefreshed: () => undefined,
  });
  const changes = totals.takeChanged(1e9).map((text): [string, string[], unknown] => JSON.parse(text));
  return Object.fromEntries(
    changes.flatMap(([name, values, value]) => (name === "verdicts" ? [[values.join(" "), value]] : [])),
  );
}

test("the rules in force are counted from 0 on, so that the first verdict of a rule is an increase", () => {
  expect(verdicts({ enforcement: "observe", armed: undefined })).toEqual({
    "role a kill would_kill critical": 0,
    "role b alert alerted low": 0,
    "role default allow allowed medium": 0,
  });
});

test("where rules may act, what they carry out is counted from 0 on too", () => {
  expect(verdicts({ enforcement: "kill", armed: ["role/a"] })).toEqual({
    "role a kill would_kill critical": 0,
    "role a kill killed critical": 0,
    "role a kill withheld critical": 0,
    "role a kill failed critical": 0,
    "role b alert alerted low": 0,
    "role default allow allowed medium": 0,
  });
});
