// The rules that the configuration arms and that may act, in a file that only root writes. A rule that is not in it does
// not act by the configuration, so that a file that is lost or broken arms nothing.
import { join } from "node:path";
import * as v from "valibot";
import {
  type ArmingSettings,
  type ConfiguredArming,
  type ConfirmedRule,
  configuredArming,
  confirmations,
  type HeldRule,
  type ObservedRules,
  withConfirmed,
} from "../enforcement/configured-arming.ts";
import type { ConfirmOrder } from "../enforcement/overrides.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { Policy } from "../policy/policy.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { parseJson } from "../vocabulary/parse-json.ts";
import type { WriteFile } from "./atomic-file-writer.ts";
import { orderFields } from "./override-records.ts";

const FILE = "confirmed-rules.json";
/** In bytes: thousands of rules. */
const FILE_LIMIT = 1 << 20;

const saved = v.strictObject({
  version: v.literal(1),
  rules: v.array(
    v.strictObject({
      rule: v.string(),
      since: v.pipe(v.number(), v.finite(), v.minValue(0)),
      by: v.picklist(confirmations),
    }),
  ),
});

export function confirmedRulesPath(stateDirectory: string): string {
  return join(stateDirectory, FILE);
}

/** The rules that may act by the configuration last in force. */
export function readConfirmedRules(stateDirectory: string): readonly ConfirmedRule[] {
  const bytes = readCheckedFileOrNothing(confirmedRulesPath(stateDirectory), stateFile(FILE_LIMIT));
  return (bytes && parseJson(saved, bytes.toString("utf8"))?.rules) ?? [];
}

export function formatConfirmedRules(rules: readonly ConfirmedRule[]): string {
  return `${JSON.stringify({ version: 1, rules }, null, 1)}\n`;
}

export interface ConfirmedRulesInputs {
  readonly stateDirectory: string;
  readonly writeFile: WriteFile;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  /** What is in force at the start. */
  readonly policy: Policy;
  readonly settings: ArmingSettings;
  readonly saved: readonly ConfirmedRule[];
  readonly observed: () => ObservedRules;
  /** Seconds since 1970-01-01T00:00:00Z. */
  readonly now: () => number;
}

export class ConfirmedRules {
  private readonly inputs: ConfirmedRulesInputs;
  private arming: ConfiguredArming;
  private confirmed: ReadonlySet<string> = new Set();
  private text: string;

  constructor(inputs: ConfirmedRulesInputs) {
    this.inputs = inputs;
    this.text = formatConfirmedRules(inputs.saved);
    this.arming = { confirmed: inputs.saved, held: [] };
    this.decide(inputs.policy, inputs.settings, false);
  }

  /** Whether the rule, if the configuration arms it, may act. `rule`: ROLE/RULE. */
  has(rule: string): boolean {
    return this.confirmed.has(rule);
  }

  /** The rules that the configuration arms and that wait to be confirmed, with what is observed of them by now. */
  get held(): readonly HeldRule[] {
    const { held } = this.arming;
    if (held.length === 0) return held;
    const observed = this.inputs.observed();
    return held.map((each) => {
      const { seconds, hits } = observed.get(each.rule) ?? each;
      return { ...each, seconds, hits };
    });
  }

  /** Another policy or configuration is in force. `writeFile`: as the one of the inputs, or one that writes at once. */
  apply(policy: Policy, settings: ArmingSettings, writeFile = this.inputs.writeFile): void {
    this.decide(policy, settings, true, writeFile);
  }

  /** Carries out an order of root's, unless the rule has been changed since. */
  confirm(order: ConfirmOrder): void {
    this.take(withConfirmed(this.arming, order, this.inputs.now()), this.inputs.writeFile);
    // An order that was given before this run began was carried out by its start, which records nothing.
    if (this.has(order.rule)) this.inputs.recordChange("rule.confirmed", orderFields(order));
  }

  private decide(
    policy: Policy,
    settings: ArmingSettings,
    mayConfirm: boolean,
    writeFile = this.inputs.writeFile,
  ): void {
    const { observed, now } = this.inputs;
    const before = this.arming.confirmed;
    this.take(
      configuredArming({ policy, settings, before, observed: observed(), now: now(), mayConfirm }),
      writeFile,
    );
  }

  private take(arming: ConfiguredArming, writeFile: WriteFile): void {
    const { stateDirectory, recordChange } = this.inputs;
    const wereHeld = new Set(this.arming.held.map(({ rule }) => rule));
    this.arming = arming;
    this.confirmed = new Set(arming.confirmed.map(({ rule }) => rule));
    for (const { rule, seconds, hits } of arming.held)
      if (!wereHeld.has(rule))
        recordChange("rule.held", {
          "override.rule": rule,
          "rule.observed.seconds": Math.floor(seconds),
          "rule.observed.hits": hits,
        });
    const text = formatConfirmedRules(arming.confirmed);
    if (text === this.text) return;
    this.text = text;
    writeFile(confirmedRulesPath(stateDirectory), text, (error) => {
      // The next change tries again; until then a restart arms less.
      this.text = "";
      recordChange("overrides.not_saved", { "error.message": String(error) });
    });
  }
}
