// Which fields of a record the redaction may change (src/report/redact.ts). All others reach the journal as the warden
// made them.
import { type EnvironmentVariable, isEnvironmentVariable } from "../vocabulary/environment.ts";

const list = ["process.command_args", "policy.arguments", "process.ancestors"] as const;
const names: ReadonlySet<string> = new Set(list);

export type RedactedName = (typeof list)[number] | EnvironmentVariable;

export function isRedacted(name: string): name is RedactedName {
  return names.has(name) || isEnvironmentVariable(name);
}
