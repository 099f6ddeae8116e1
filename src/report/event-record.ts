// One event as every output has it: flat, in the one vocabulary.
import { stampNames, type VariableName } from "../vocabulary/variables.ts";

export type RecordValue = string | number | boolean | null | readonly string[] | readonly number[];

/** A record while it is made. */
export type RecordDraft = { [N in VariableName]?: RecordValue };

/**
 * A record made here has all of `stampNames`; a name whose value is not known is absent, and text is `printable`
 * already. One that was read from the journal or the wire may lack any name, and have names of another version.
 */
export type EventRecord = Readonly<RecordDraft>;

/** Whether any value is a record, by its shape. */
export function isEventRecord(value: unknown): value is EventRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  for (const field of Object.values(value)) if (!isRecordValue(field)) return false;
  return true;
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

/** All texts or all numbers. */
function isUniformList(list: readonly unknown[]): boolean {
  const type = typeof list[0];
  if (list.length > 0 && type !== "string" && type !== "number") return false;
  return list.every((element) => typeof element === type);
}

const LONGEST_TEXT = 1_024;
const LONGEST_LIST = 32;

/**
 * A record as JSON in at most `limit` bytes of UTF-8. One that is longer has its long texts and lists cut; what comes
 * from a process can make a record long, but not make it disappear.
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
  const made: Record<string, RecordValue> = {};
  for (const [name, value] of Object.entries(record)) {
    if (typeof value === "string") made[name] = cutText(value, text);
    else if (Array.isArray(value)) made[name] = cutList(value, text, list);
    else made[name] = value;
  }
  return made;
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
