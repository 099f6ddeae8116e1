// The record of an event: a flat object whose names come from the vocabulary. All outputs use it.
import type { EnvironmentVariable } from "../vocabulary/environment.ts";
import { stampNames } from "../vocabulary/stamp-names.ts";
import type { ListedVariable } from "../vocabulary/variables.ts";

export type RecordValue = string | number | boolean | null | readonly string[] | readonly number[];

/** A record under construction. */
export type RecordDraft = { [N in ListedVariable]?: RecordValue } & {
  [N in EnvironmentVariable]: RecordValue;
};

/**
 * A record that this process creates has all of `stampNames`; names with unknown values are absent, and text is already
 * `unambiguous`. A record from the journal or the wire may lack any name and may have names of another version.
 */
export type EventRecord = Readonly<RecordDraft>;

/** Whether `value` has the shape of a record. */
export function isEventRecord(value: unknown): value is EventRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const field of Object.values(value)) if (!isRecordValue(field)) return false;
  return true;
}

/** Whether a value is a list of texts and not empty. */
export function isTexts(value: RecordValue): value is readonly string[] {
  return Array.isArray(value) && typeof value[0] === "string";
}

/** The record that `text` holds as JSON; undefined if it holds none. */
export function parseRecord(text: string): EventRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isEventRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecordValue(value: unknown): value is RecordValue {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return true;
    case "object":
      return value === null || (Array.isArray(value) && isUniformList(value));
    default:
      return false;
  }
}

/** Whether all elements are texts or all are numbers. */
function isUniformList(list: readonly unknown[]): boolean {
  const type = typeof list[0];
  if (list.length > 0 && type !== "string" && type !== "number") return false;
  return list.every((element) => typeof element === type);
}

const LONGEST_TEXT = 1_024;
const LONGEST_LIST = 32;

/**
 * A record as JSON in at most `limit` bytes of UTF-8. Long texts and lists are cut if necessary, so that a process can
 * make its record long, but cannot make it disappear.
 */
export function fitted(record: EventRecord, limit: number): string {
  const text = JSON.stringify(record);
  // UTF-8 takes at most three bytes for each unit of a JavaScript string.
  if (text.length * 3 <= limit || Buffer.byteLength(text) <= limit) return text;
  for (let share = 1; share <= 64; share *= 4) {
    const cut = JSON.stringify(shortened(record, LONGEST_TEXT / share, LONGEST_LIST / Math.min(share, 16)));
    if (Buffer.byteLength(cut) <= limit) return cut;
  }
  return JSON.stringify(stampsOf(record));
}

function shortened(record: EventRecord, text: number, list: number): EventRecord {
  const result: Record<string, RecordValue> = {};
  for (const [name, value] of Object.entries(record)) {
    if (typeof value === "string") result[name] = cutText(value, text);
    else if (Array.isArray(value)) result[name] = cutList(value, text, list);
    else result[name] = value;
  }
  return result;
}

function cutList(values: readonly (string | number)[], text: number, list: number): RecordValue {
  const numbers: number[] = [];
  const texts: string[] = [];
  for (const value of values.slice(0, list)) {
    if (typeof value === "string") texts.push(cutText(value, text));
    else numbers.push(value);
  }
  return texts.length > 0 ? (texts.length < values.length ? [...texts, "..."] : texts) : numbers;
}

function cutText(value: string, length: number): string {
  return value.length <= length ? value : `${value.slice(0, length)}...`;
}

function stampsOf(record: EventRecord): EventRecord {
  const stamps: RecordDraft = {};
  for (const name of stampNames) {
    const value = record[name];
    if (value !== undefined) stamps[name] = typeof value === "string" ? cutText(value, 64) : value;
  }
  return stamps;
}
