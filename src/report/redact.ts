// Replaces secrets in a record before it leaves the host.
import type { RE2JS } from "re2js";
import { unambiguous, undoUnambiguous } from "../linux/text.ts";
import { nameInEnvironment } from "../vocabulary/environment.ts";
import { compileRegularExpression } from "../vocabulary/regular-expression.ts";
import { type EventRecord, parseRecord, type RecordDraft, type RecordValue } from "./event-record.ts";
import { isRedacted, type RedactedName } from "./redacted-fields.ts";
import { redactArguments, redactText } from "./redaction/arguments.ts";
import { HIDDEN } from "./redaction/spans.ts";

export type ArgumentsMode = "full" | "redacted" | "off";

/** The ancestors whose redaction is remembered: most records of a while have some of the same. */
const REMEMBERED_ANCESTORS = 512;
/** The longest ancestor that is remembered, in characters. */
const LONGEST_REMEMBERED = 4_096;

/**
 * Creates the function that redacts a record before it leaves the host. `patterns`: RE2 expressions, whose matches are
 * replaced too. Throws if one is not valid.
 */
export function createRedaction(
  mode: ArgumentsMode,
  patterns: readonly string[],
): (record: EventRecord) => EventRecord {
  const configured = patterns.map((pattern) => compileRegularExpression(pattern));
  const redact = (record: EventRecord): EventRecord => {
    // Copied only if something changes, which is rare.
    let safe: RecordDraft | undefined;
    for (const name in record) {
      if (!hasArguments(name)) continue;
      const value = record[name];
      const shown = redactValue(name, value);
      if (isSame(shown, value)) continue;
      safe ??= { ...record };
      if (shown === undefined) delete safe[name];
      else safe[name] = shown;
    }
    return safe ?? record;
  };
  /** The value to show; undefined for none. */
  const redactValue = (
    name: RedactedName | "process.command_line",
    value: RecordValue | undefined,
  ): RecordValue | undefined => {
    if (name === "process.command_line") return undefined;
    if (mode === "full") return value;
    if (name === "process.ancestors") return redactAncestors(texts(value));
    if (mode === "off") return undefined;
    if (name === "process.command_args")
      return redactArguments(given(texts(value)), configured).map(unambiguous);
    if (name === "policy.arguments")
      // Arguments that were joined are redacted like the code of a shell.
      return given(texts(value)).map((line) => unambiguous(redactText(line, configured)));
    if (value === null) return null;
    const [variable = ""] = given([String(value)]);
    return unambiguous(redactVariable(nameInEnvironment(name), variable, configured));
  };
  // Invalidated by: nothing. The same text is always redacted in the same way.
  const ancestors = new Map<string, readonly string[]>();
  // Invalidated by: another list. Programs that one process starts have the same ancestors.
  let lastAncestors: readonly string[] = [];
  let lastSafe: readonly string[] = [];
  const redactAncestors = (list: readonly string[]): readonly string[] => {
    if (isSame(list, lastAncestors)) return lastSafe;
    lastSafe = list.flatMap(redactAncestor);
    lastAncestors = list;
    return lastSafe;
  };
  /** An ancestor is a record by itself. What is none is left out, because it cannot be checked. */
  const redactAncestor = (text: string): readonly string[] => {
    const known = ancestors.get(text);
    if (known !== undefined) return known;
    const ancestor = parseRecord(text);
    const safe = ancestor === undefined ? [] : [JSON.stringify(redact(ancestor))];
    if (ancestors.size >= REMEMBERED_ANCESTORS) ancestors.clear();
    if (text.length <= LONGEST_REMEMBERED) ancestors.set(text, safe);
    return safe;
  };
  return redact;
}

function isSame(shown: RecordValue | undefined, value: RecordValue | undefined): boolean {
  if (!Array.isArray(shown) || !Array.isArray(value)) return shown === value;
  return shown.length === value.length && shown.every((text, i) => text === value[i]);
}

/** Whether a field of that name can hold what a process was given. */
function hasArguments(name: string): name is RedactedName | "process.command_line" {
  return name === "process.command_line" || isRedacted(name);
}

/** The texts of a list. The warden's records have nothing else here; what a record of the journal has is not certain. */
function texts(value: RecordValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Redaction of what has not become a record yet. */
export interface ArgumentRedaction {
  readonly args: (args: readonly string[]) => readonly string[];
  readonly variable: (name: string, value: string) => string;
}

/**
 * The redaction of samples and captures: secrets are always replaced there, and with `off` there are no arguments.
 * `patterns` are compiled at their first use, because the warden seldom needs them and they take memory.
 */
export function createArgumentRedaction(mode: ArgumentsMode, patterns: readonly string[]): ArgumentRedaction {
  let compiled: readonly RE2JS[] | undefined;
  const configured = (): readonly RE2JS[] => {
    compiled ??= patterns.map((pattern) => compileRegularExpression(pattern));
    return compiled;
  };
  return {
    args: (args) => (mode === "off" ? [] : redactArguments(args, configured())),
    variable: (name, value) => (mode === "off" ? HIDDEN : redactVariable(name, value, configured())),
  };
}

/** Redacts the value of an environment variable like the assignment that sets it. */
function redactVariable(name: string, value: string, configured: readonly RE2JS[] = []): string {
  const assigned = `${name}=`;
  const [, redacted = ""] = redactArguments(["env", assigned + value], configured);
  return redacted.startsWith(assigned) ? redacted.slice(assigned.length) : redacted;
}

/** Patterns see the arguments as the program had them: an escaped backslash would be two. */
function given(args: readonly string[]): readonly string[] {
  return args.map((arg) => undoUnambiguous(arg) ?? arg);
}
