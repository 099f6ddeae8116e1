// The chain of the journal: each reliable record carries a MAC of itself and names the record before it. The records pass
// through the reporter, which may be taken over; it cannot make these MACs, because only root can read their key.
import { sealText } from "../vocabulary/seal.ts";
import { type EventRecord, fitted, type RecordValue } from "./event-record.ts";
import { isRedacted } from "./redacted-fields.ts";

/** More bytes than the fields of the chain take in a record. */
const CHAIN_FIELDS_BYTES = 320;

/** The warden that makes a record: the supervisor's run and the warden's number in it. */
export interface ChainOrigin {
  readonly run: string;
  readonly generation: number;
}

/** A record's place in the chain. The first record of each warden has the number 1. */
export interface ChainLink extends ChainOrigin {
  readonly number: number;
  readonly seal: string;
}

/** What the seal of a record covers besides the record: its place, the record before it, and the redacted fields. */
interface Sealed extends ChainOrigin {
  readonly number: number;
  /** See `previousText`. */
  readonly previous: string;
  /** The seal of the fields that redaction may change; empty if the record has none. */
  readonly redactedSeal: string;
}

/** A record as two texts of JSON. `redacted`: the fields that the reporter may redact; empty if there are none. */
interface Parts {
  readonly open: string;
  readonly redacted: string;
}

/** A record that has no place in the chain yet. */
export interface UnsealedRecord extends Parts {
  /** More bytes than the sealed record takes in UTF-8. */
  readonly bytes: number;
}

/** Makes the chain. One object per warden. */
export class JournalChain {
  private readonly key: Uint8Array;
  private readonly origin: ChainOrigin;
  private number = 0;
  private previous: ChainLink | undefined;
  private isSure: boolean;

  /**
   * `previous`: the last record of the warden before, as far as is known; undefined if there was none. `isSure`: it was
   * saved when that warden had made its last one.
   */
  constructor(key: Uint8Array, origin: ChainOrigin, previous: ChainLink | undefined, isSure = true) {
    this.key = key;
    this.origin = origin;
    this.previous = previous;
    this.isSure = isSure;
  }

  /** The last record of the chain. */
  get head(): ChainLink | undefined {
    return this.previous;
  }

  /** The record in at most `limit` bytes of JSON, see `fitted`, with room for its place. */
  prepare(record: EventRecord, limit: number): UnsealedRecord {
    const room = limit - CHAIN_FIELDS_BYTES;
    const parts = partsOf(record);
    const bytes = bytesOf(parts);
    if (bytes <= room) return { ...parts, bytes: bytes + CHAIN_FIELDS_BYTES };
    const cut: EventRecord = JSON.parse(fitted(record, room));
    const shorter = partsOf(cut);
    return { ...shorter, bytes: bytesOf(shorter) + CHAIN_FIELDS_BYTES };
  }

  /** The text of the next record of the chain. */
  seal({ open, redacted }: UnsealedRecord): string {
    this.number += 1;
    const { number, origin } = this;
    const previous = previousText(this.previous, this.isSure);
    this.isSure = true;
    const redactedSeal = redacted === "" ? "" : sealOfRedacted(this.key, redacted);
    const seal = sealOf(this.key, { ...origin, number, previous, redactedSeal }, open);
    this.previous = { ...origin, number, seal };
    const fields =
      redacted === "" ? "" : `,${redacted.slice(1, -1)},"journal.redacted_seal":"${redactedSeal}"`;
    return `${open.slice(0, -1)}${fields},"journal.number":${number},"journal.previous":"${previous}","journal.seal":"${seal}"}`;
  }

  /** A record is dropped: its number stays unused, so that it is missing and not only absent. */
  skip(): void {
    this.number += 1;
  }
}

/** Hexadecimal digits of a seal that a metric has: 48 bits, which a number holds exactly. */
export const METRIC_SEAL_DIGITS = 12;

/** The beginning of a seal as the value of a metric. */
export function sealAsNumber(seal: string): number {
  return Number.parseInt(seal.slice(0, METRIC_SEAL_DIGITS), 16);
}

/**
 * What a record says of the one before it: its number and seal, "0:" if there is none. With a question mark in place of
 * the colon if its warden may have made more: it was killed before it saved its end.
 */
export function previousText(
  link: Pick<ChainLink, "number" | "seal"> | undefined,
  isSure: boolean = true,
): string {
  return link === undefined ? "0:" : `${link.number}${isSure ? ":" : "?"}${link.seal}`;
}

/** A record's place as the record itself states it, without any check; undefined if it states none. */
export interface StatedPlace {
  readonly number: number;
  readonly previous: string;
  readonly seal: string;
}

/** The place that a record states. */
export function statedPlace(record: EventRecord): StatedPlace | undefined {
  const number = record["journal.number"];
  const previous = record["journal.previous"];
  const seal = record["journal.seal"];
  if (typeof number !== "number" || typeof previous !== "string" || typeof seal !== "string")
    return undefined;
  return { number, previous, seal };
}

/** `redacted`: the record is genuine but for fields that redaction changes, which cannot be checked. */
export type SealCheck = "genuine" | "redacted" | "wrong";

/** Checks a record of the journal, as `JSON.parse` returned it, against its seal. */
export function checkSeal(
  key: Uint8Array,
  origin: ChainOrigin,
  record: EventRecord,
  place: StatedPlace,
): SealCheck {
  // JSON.parse makes a field of this name, which a record that is copied field by field would lose.
  if (Object.hasOwn(record, "__proto__")) return "wrong";
  const stated = record["journal.redacted_seal"];
  const redactedSeal = typeof stated === "string" ? stated : "";
  const { open, redacted } = partsOf(withoutPlace(record));
  const { number, previous, seal } = place;
  if (sealOf(key, { ...origin, number, previous, redactedSeal }, open) !== seal) return "wrong";
  if (redactedSeal === "") return redacted === "" ? "genuine" : "wrong";
  return redacted !== "" && sealOfRedacted(key, redacted) === redactedSeal ? "genuine" : "redacted";
}

const placeNames: ReadonlySet<string> = new Set([
  "journal.number",
  "journal.previous",
  "journal.seal",
  "journal.redacted_seal",
]);

function withoutPlace(record: EventRecord): EventRecord {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !placeNames.has(name)));
}

/** A copy with a few fields undefined, which JSON leaves out, costs a fraction of one that is made field by field. */
function partsOf(record: EventRecord): Parts {
  const open: Record<string, RecordValue | undefined> = { ...record };
  const redacted: Record<string, RecordValue | undefined> = {};
  let hasRedacted = false;
  for (const name in record)
    if (isRedacted(name)) {
      redacted[name] = open[name];
      open[name] = undefined;
      hasRedacted = true;
    }
  return { open: JSON.stringify(open), redacted: hasRedacted ? JSON.stringify(redacted) : "" };
}

function bytesOf({ open, redacted }: Parts): number {
  return Buffer.byteLength(open) + Buffer.byteLength(redacted);
}

function sealOf(key: Uint8Array, sealed: Sealed, open: string): string {
  const { run, generation, number, previous, redactedSeal } = sealed;
  // A JSON array has one reading and no line feed, so that no two values have the same text.
  const place = JSON.stringify(["treewarden journal 1", run, generation, number, previous, redactedSeal]);
  return sealText(key, `${place}\n${open}`);
}

/** With a key, because an argument that is a short secret could be guessed from a plain digest. */
function sealOfRedacted(key: Uint8Array, redacted: string): string {
  return sealText(key, `["treewarden journal 1 redacted"]\n${redacted}`);
}
