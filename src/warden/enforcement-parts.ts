// The parts that decide which rules may act: what the configuration arms and confirms, and root's orders.
import type { Config } from "../config/config.ts";
import { monotonicNow, realtimeNow } from "../linux/clock.ts";
import type { Policy } from "../policy/policy.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Totals } from "../report/totals.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import type { WriteFile } from "./atomic-file-writer.ts";
import { ConfirmedRules, readConfirmedRules } from "./confirmed-rules.ts";
import { EnforcementInForce } from "./enforcement-in-force.ts";
import { OverrideRecords } from "./override-records.ts";
import { momentNow, overridesVersion, readOverrides, readRecorded, recordedPath } from "./overrides-store.ts";
import { RuleObservation, readObservedRules } from "./rule-observation.ts";

export interface EnforcementPartsInputs {
  readonly config: Config;
  readonly policy: Policy;
  readonly totals: Totals;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  readonly writeFile: WriteFile;
  /** A verdict has found other orders, before the warden has read the request to put them into force. */
  readonly onRefreshed: () => void;
}

export interface EnforcementParts {
  readonly observation: RuleObservation;
  readonly confirmed: ConfirmedRules;
  readonly enforcement: EnforcementInForce;
}

export function buildEnforcement(inputs: EnforcementPartsInputs): EnforcementParts {
  const { config, policy, totals, recordChange, writeFile, onRefreshed } = inputs;
  const stateDirectory = config.state_directory;
  const observation = new RuleObservation({
    stateDirectory,
    writeFile,
    saved: readObservedRules(stateDirectory),
    policy,
    now: monotonicNow(),
  });
  const confirmed = new ConfirmedRules({
    stateDirectory,
    writeFile,
    recordChange,
    policy,
    settings: config,
    saved: readConfirmedRules(stateDirectory),
    observed: () => observation.observedAt(monotonicNow()),
    now: () => Math.floor(realtimeNow() / 1e9),
  });
  const orders = overridesVersion(stateDirectory);
  const enforcement = new EnforcementInForce({
    settings: config,
    policy,
    totals,
    read: () => readOverrides(stateDirectory),
    version: () => orders.current,
    moment: momentNow,
    confirmed,
    records: new OverrideRecords({
      saved: readRecorded(stateDirectory),
      save: (text) =>
        writeFile(recordedPath(stateDirectory), text, (error) =>
          recordChange("overrides.not_saved", { "error.message": String(error) }),
        ),
      recordChange,
    }),
    onProblems: (problems) =>
      recordChange("overrides.rejected", { "policy.severity": "high", "override.problems": problems }),
    onRefreshed,
  });
  return { observation, confirmed, enforcement };
}
