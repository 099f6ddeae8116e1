// Replaces secrets in a record before it leaves the host.
import { RE2JS } from "re2js";
import { unambiguous, undoUnambiguous } from "../linux/text.ts";
import { nameInEnvironment } from "../vocabulary/environment.ts";
import { type EventRecord, parseRecord, type RecordDraft } from "./event-record.ts";
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
  const configured = patterns.map((pattern) => RE2JS.compile(pattern));
  const redact = (record: EventRecord): EventRecord => {
    const names = Object.keys(record).filter(hasArguments);
    if (names.length === 0) return record;
    const safe: RecordDraft = { ...record };
    for (const name of names) {
      if (name === "process.command_line") delete safe[name];
      else if (mode === "full") continue;
      else if (name === "process.ancestors") safe[name] = texts(record[name]).flatMap(redactAncestor);
      else if (mode === "off") delete safe[name];
      else if (name === "process.command_args")
        safe[name] = redactArguments(given(texts(record[name])), configured).map(unambiguous);
      else if (name === "policy.arguments")
        // Arguments that were joined are redacted like the code of a shell.
        safe[name] = given(texts(record[name])).map((line) => unambiguous(redactText(line, configured)));
      else {
        const [value = ""] = given([String(record[name])]);
        safe[name] = unambiguous(redactVariable(nameInEnvironment(name), value, configured));
      }
    }
    return safe;
  };
  // Invalidated by: nothing. The same text is always redacted in the same way.
  const ancestors = new Map<string, readonly string[]>();
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

/** Whether a field of that name can hold what a process was given. */
function hasArguments(name: string): name is RedactedName | "process.command_line" {
  return name === "process.command_line" || isRedacted(name);
}

/** The texts of a list. The warden's records have nothing else here; what a record of the journal has is not certain. */
function texts(value: EventRecord[keyof EventRecord]): readonly string[] {
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
    compiled ??= patterns.map((pattern) => RE2JS.compile(pattern));
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
