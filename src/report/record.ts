// One event as every output has it: flat, in the one vocabulary.

export type RecordValue = string | number | boolean | null | readonly string[] | readonly number[];

/**
 * `event.name`, `timestamp` (RFC 3339, UTC, microseconds) and `log.record.uid` are always there; every other name
 * is one of DESIGN's vocabulary. A name whose value is not known is absent. Text is `printable` already.
 */
export type EventRecord = { readonly [name: string]: RecordValue };
