// How long each rule that could act has been in force without loss of events, and how often it matched. A rule that is
// changed begins anew. Saved in a file that only root writes, because a configuration may arm a rule by it.
import { join } from "node:path";
import * as v from "valibot";
import type { ObservedRule, ObservedRules } from "../enforcement/configured-arming.ts";
import { ruleDigests } from "../enforcement/rule-digest.ts";
import { readCheckedFileOrNothing, stateFile } from "../linux/root-file.ts";
import type { Decision, Policy } from "../policy/policy.ts";
import { count, parseJson } from "../vocabulary/parse-json.ts";
import type { WriteFile } from "./atomic-file-writer.ts";

const FILE = "observed-rules.json";
/** In bytes: thousands of rules. */
const FILE_LIMIT = 4 << 20;
/** The least time between two writes, ns. A kill -9 of the warden loses what was observed since. */
const SAVE_NS = 60e9;

const seconds = v.pipe(v.number(), v.finite(), v.minValue(0));
const saved = v.strictObject({
  version: v.literal(1),
  rules: v.record(v.string(), v.strictObject({ digest: v.string(), seconds, hits: count })),
});

/** What wardens have observed on this state directory; empty if nothing, or another user can have written it. */
export function readObservedRules(stateDirectory: string): ObservedRules {
  const bytes = readCheckedFileOrNothing(join(stateDirectory, FILE), stateFile(FILE_LIMIT));
  const parsed = bytes && parseJson(saved, bytes.toString("utf8"));
  return new Map(Object.entries(parsed?.rules ?? {}));
}

export interface RuleObservationInputs {
  readonly stateDirectory: string;
  readonly writeFile: WriteFile;
  readonly saved: ObservedRules;
  readonly policy: Policy;
  /** ns, CLOCK_MONOTONIC: time in which the machine is suspended is not observed. */
  readonly now: number;
}

type Counting = { -readonly [K in keyof ObservedRule]: ObservedRule[K] };

export class RuleObservation {
  private readonly inputs: RuleObservationInputs;
  private rules = new Map<string, Counting>();
  /** By the rule's id alone, which is unique within a policy. */
  private byId = new Map<string, Counting>();
  /** Until when the time has been added, ns; undefined while events are missing. */
  private addedUntil: number | undefined;
  private savedAt: number;

  constructor(inputs: RuleObservationInputs) {
    this.inputs = inputs;
    this.savedAt = inputs.now;
    this.addedUntil = inputs.now;
    this.observe(inputs.policy, inputs.saved);
  }

  /** Observes the rules of `policy` from `now` (ns) on. */
  apply(policy: Policy, now: number): void {
    this.addTime(now);
    this.observe(policy, this.rules);
  }

  /** An exec was decided by these rules; to be called for those whose tree is not known to be new. */
  onDecision({ matched, rule }: Decision): void {
    for (const id of matched.length === 0 ? [rule] : matched) {
      const counting = this.byId.get(id);
      if (counting !== undefined) counting.hits += 1;
    }
  }

  /** Events were lost, so that what follows is not observed. */
  onLoss(now: number): void {
    this.addTime(now);
    this.addedUntil = undefined;
  }

  /** No event is missing: a scan has made up for the loss, if there was one. */
  onRepaired(now: number): void {
    this.addedUntil ??= now;
  }

  /** What was observed until `now`. */
  observedAt(now: number): ObservedRules {
    this.addTime(now);
    return this.rules;
  }

  /** Saves what was observed, unless that was done in the last minute. */
  save(now: number): void {
    if (now - this.savedAt >= SAVE_NS) this.saveNow(now);
  }

  saveNow(now: number): void {
    this.savedAt = now;
    this.addTime(now);
    const text = `${JSON.stringify({ version: 1, rules: Object.fromEntries(this.rules) })}\n`;
    // Without the file the rules count as not observed, which arms nothing.
    this.inputs.writeFile(join(this.inputs.stateDirectory, FILE), text, () => undefined);
  }

  private observe(policy: Policy, before: ObservedRules): void {
    this.rules = new Map();
    this.byId = new Map();
    for (const [key, digest] of ruleDigests(policy)) {
      const earlier = before.get(key);
      const isSame = earlier?.digest === digest;
      const counting = { digest, seconds: isSame ? earlier.seconds : 0, hits: isSame ? earlier.hits : 0 };
      this.rules.set(key, counting);
      this.byId.set(key.slice(key.indexOf("/") + 1), counting);
    }
  }

  private addTime(now: number): void {
    if (this.addedUntil === undefined) return;
    const passed = Math.max(0, now - this.addedUntil) / 1e9;
    for (const counting of this.rules.values()) counting.seconds += passed;
    this.addedUntil = now;
  }
}
