// How grave a rule's match is.

/** In rising order. */
export const severities = ["low", "medium", "high", "critical"] as const;
export type Severity = (typeof severities)[number];

/** Of a rule that does not say, and of a default action. */
export const DEFAULT_SEVERITY: Severity = "medium";

/** SeverityNumber of OpenTelemetry's log data model: INFO, WARN, ERROR and FATAL. */
export const otlpSeverities: Readonly<Record<Severity, number>> = {
  low: 9,
  medium: 13,
  high: 17,
  critical: 21,
};

export function isSeverity(value: unknown): value is Severity {
  return severities.some((severity) => severity === value);
}
