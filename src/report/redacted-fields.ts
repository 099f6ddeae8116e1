// Which fields of a record the redaction may change (src/report/redact.ts). All others reach the journal as the warden
// made them.
import { isEnvironmentVariable } from "../vocabulary/environment.ts";

const names: ReadonlySet<string> = new Set(["process.command_args", "policy.arguments", "process.ancestors"]);

export function isRedacted(name: string): boolean {
  return names.has(name) || isEnvironmentVariable(name);
}
