// What makes two verdicts of one kind, of which the repeated ones are folded.
import type { Outcome, Reason } from "../enforcement/outcome.ts";
import type { Subject } from "../policy/subject.ts";
import type { JudgedKind } from "../vocabulary/event-kinds.ts";
import type { EventRecord } from "./event-record.ts";
import type { Verdict } from "./repeated-verdicts.ts";

/** What all verdicts of a kind have in common. */
export interface KindValues {
  readonly kind: JudgedKind;
  readonly ruleset: string;
  readonly rule: string;
  readonly version: string;
  readonly outcome: Outcome;
  readonly reason: Reason | undefined;
  readonly exact: string;
  readonly path: string | undefined;
  readonly scope: string | null | undefined;
  readonly change: string | undefined;
  readonly container: string | null | undefined;
  readonly uid: number | undefined;
  readonly loginUid: number | null | undefined;
}

function scopeOf({ containerImage, unit }: Subject): string | null | undefined {
  return containerImage ?? unit;
}

export function valuesOf({ subject, decision, outcome, reason, policy }: Verdict): KindValues {
  return {
    kind: subject.kind,
    ruleset: decision.ruleset,
    rule: decision.rule,
    version: policy.version,
    outcome,
    reason,
    exact: subject.tree.exact,
    path: subject.runnable.path,
    scope: scopeOf(subject),
    change: subject.change,
    container: subject.containerId,
    uid: subject.facts.uid,
    loginUid: subject.facts.loginUid,
  };
}

/** As a comparison with `valuesOf`, without making an object for each verdict. */
export function isOfKind(
  values: KindValues,
  { subject, decision, outcome, reason, policy }: Verdict,
): boolean {
  const { tree, runnable, containerId, facts } = subject;
  return (
    values.kind === subject.kind &&
    values.exact === tree.exact &&
    values.path === runnable.path &&
    values.rule === decision.rule &&
    values.ruleset === decision.ruleset &&
    values.version === policy.version &&
    values.outcome === outcome &&
    values.reason === reason &&
    values.uid === facts.uid &&
    values.loginUid === facts.loginUid &&
    values.container === containerId &&
    values.scope === scopeOf(subject) &&
    values.change === subject.change
  );
}

/** What a repeated record has of the first one: what all verdicts of the kind share. */
const sharedNames = [
  "event.kind",
  "policy.action",
  "policy.outcome",
  "policy.reason",
  "policy.severity",
  "policy.tags",
  "policy.matched_rules",
  "security_rule.name",
  "security_rule.ruleset.name",
  "security_rule.version",
  "tree.path",
  "tree.id",
  "tree.exact",
  "tree.habit",
  "process.runnable.path",
  "process.executable.path",
  "process.executable.name",
  "process.user.id",
  "process.user.name",
  "process.login_user.id",
  "process.unit",
  "container.id",
  "container.image.name",
  "k8s.pod.name",
  "k8s.namespace.name",
  "k8s.container.name",
  "change.id",
] as const;

export function sharedFields(record: EventRecord): EventRecord {
  return Object.fromEntries(
    sharedNames.flatMap((name) => (record[name] === undefined ? [] : [[name, record[name]]])),
  );
}
