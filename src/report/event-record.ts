// One event as every output has it: flat, in the one vocabulary.

export type RecordValue = string | number | boolean | null | readonly string[] | readonly number[];

/**
 * `event.name`, `timestamp` (RFC 3339, UTC, microseconds) and `log.record.uid` are always there; every other name
 * is one of DESIGN's vocabulary. A name whose value is not known is absent. Text is `unambiguous` already.
 */
export type EventRecord = { readonly [name: string]: RecordValue };

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
  return JSON.stringify(pick(record, ["timestamp", "event.name", "log.record.uid"]));
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

function pick(record: EventRecord, names: readonly string[]): EventRecord {
  const made: Record<string, RecordValue> = {};
  for (const name of names) {
    const value = record[name];
    if (value !== undefined) made[name] = typeof value === "string" ? cutText(value, 64) : value;
  }
  return made;
}
