// Which fields of a record the redaction may change (src/report/redact.ts). All others reach the journal as the warden
// made them.
import { type EnvironmentVariable, isEnvironmentVariable } from "../vocabulary/environment.ts";

const names = ["process.command_args", "policy.arguments", "process.ancestors"] as const;

export type RedactedName = (typeof names)[number] | EnvironmentVariable;

export function isRedacted(name: string): name is RedactedName {
  return names.some((one) => one === name) || isEnvironmentVariable(name);
}
