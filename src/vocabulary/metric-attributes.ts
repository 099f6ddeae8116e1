// The attributes of metrics. Prometheus has short labels; over OTLP a metric's attribute has the name that records have
// for the same thing, so that a metric can be joined with the records behind it.
import { OTLP_PREFIX, otlpAttribute, type VariableName } from "./variables.ts";

interface JoinedAttribute {
  /** The name in records. */
  readonly record: VariableName;
}

interface OwnAttribute {
  /** Over OTLP, with the prefix: no record has it. */
  readonly own: string;
  readonly meaning: string;
}

export type MetricAttribute = JoinedAttribute | OwnAttribute;

/** By label. */
const common: Readonly<Record<string, MetricAttribute>> = {
  tree: { record: "tree.path" },
  state: { own: "tree.state", meaning: "RUNNING or STOPPED" },
  event: { record: "event.kind" },
  source: { record: "sensor.source" },
  role: { record: "security_rule.ruleset.name" },
  rule: { record: "security_rule.name" },
  action: { record: "policy.action" },
  outcome: { record: "policy.outcome" },
  severity: { record: "policy.severity" },
  enforcement: { record: "policy.enforcement" },
  direction: { own: "network.direction", meaning: "outbound: it connects or sends; inbound: it listens" },
  queue: { own: "queue.name", meaning: "where records wait" },
  signal: { own: "output.signal", meaning: "the output: logs, metrics, mail or endpoint" },
  process: { own: "process.role", meaning: "one of treewarden's own processes" },
  // Text with three values, while records have a truth value.
  known: { own: "tree.knowledge", meaning: "what the baseline knows of the tree: false, null or absent" },
  kind: { own: "override.kind", meaning: "the kind of an order: arm, disarm, pause or silence" },
};

/** By the metric's name over OTLP and the label, where the label has another meaning than elsewhere. */
const special: Readonly<Record<string, MetricAttribute>> = {
  "treewarden.events.lost reason": { record: "sensor.loss.reason" },
  "treewarden.execs.unattributed reason": {
    own: "exec.unattributed.reason",
    meaning: "what is missing of the exec",
  },
  "treewarden.late_verdicts.missed reason": {
    own: "late_verdict.missed.reason",
    meaning: "why the exec was not judged again with the answer",
  },
  "treewarden.self.events event": { record: "event.name" },
  "treewarden.info version": { record: "status.version" },
  "treewarden.policy.info version": { record: "security_rule.version" },
  "treewarden.policy.info digest": { record: "status.policy.digest" },
  "treewarden.baseline.info digest": { record: "status.baseline.digest" },
};

/** The row of a label; `metric`: the metric's name over OTLP. Undefined if the tables lack it. */
export function metricAttribute(metric: string, label: string): MetricAttribute | undefined {
  return special[`${metric} ${label}`] ?? common[label];
}

/** The name of a label over OTLP. */
export function otlpMetricAttribute(metric: string, label: string): string {
  const row = metricAttribute(metric, label);
  if (row === undefined) return OTLP_PREFIX + label;
  return "own" in row ? OTLP_PREFIX + row.own : otlpAttribute(row.record);
}
