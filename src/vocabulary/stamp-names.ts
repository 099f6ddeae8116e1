// The names that every record has, for processes that do not load the table of variables.
import type { VariableName } from "./variables.ts";

/** What every record has, and every line of `--output json`. */
export const stampNames = ["timestamp", "event.name", "log.record.uid"] as const satisfies VariableName[];
