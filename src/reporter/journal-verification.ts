// Compares the journal with the warden's chain (src/report/journal-chain.ts): what was changed, forged, moved or removed.
import { printable } from "../linux/text.ts";
import { type EventRecord, parseRecord } from "../report/event-record.ts";
import {
  type ChainLink,
  type ChainOrigin,
  checkSeal,
  previousText,
  type StatedPlace,
  statedPlace,
} from "../report/journal-chain.ts";
import { stampNames } from "../vocabulary/stamp-names.ts";
import { timeOfRecord } from "./journal-schema.ts";
import { isKeptRecord } from "./kept-records.ts";

/** A row of the journal as it is stored: the reporter may be taken over, so nothing of it is sure. */
export interface StoredRow extends ChainOrigin {
  readonly time: number;
  readonly kept: number;
  /** The record as JSON. */
  readonly body: string;
}

/**
 * `changed`: not as the warden made it, or not made by the warden. `moved`: at another place than the warden made it.
 * `missing`: removed, `count` of them, or at least so many. `restarted`: the chain began again without its end, so that
 * what came last before is not known. `absent`: a seal that somebody has elsewhere is not in the journal. `dropped`: the
 * warden's queue was full, because the disk was slow or the reporter did not acknowledge. `foreign`: something in the file
 * that the reporter does not make, by which one query can answer otherwise than another; the rows were not read.
 */
export interface ChainProblem {
  readonly kind: "changed" | "moved" | "missing" | "restarted" | "absent" | "dropped" | "foreign";
  readonly count: number;
  readonly isAtLeast?: true;
  /** The uid of the record before and after, where there is one. For `changed` and `moved` the record itself. */
  readonly after?: string;
  readonly before?: string;
}

export interface ChainReport {
  /** Records that are as the warden made them; `redacted` of them but for their arguments. */
  readonly genuine: number;
  readonly redacted: number;
  /** Records that the reporter makes itself: of what is missing, and of verdicts for which no other record stands. */
  readonly ofReporter: number;
  /**
   * Records that are missing before the oldest one that the bounds of the journal keep no longer than others. Rotation
   * removes them, and so can who controls the file: the two look alike.
   */
  readonly rotated: number;
  /** Wardens that were killed before they saved the end of their chain: records that they made last can be missing. */
  readonly unconfirmed: number;
  /** The newest genuine record. */
  readonly last: ChainLink | undefined;
  /** The first of them. */
  readonly problems: readonly ChainProblem[];
  /** How many there are. */
  readonly problemCount: number;
}

/** The most problems that are listed; a hostile file can have any number. */
const PROBLEMS_LISTED = 1_000;
/** As `recordUids` makes them. Other text in a record that was not checked may be anything. */
const UID = /^[0-9A-Z]{26}$/;

/** What the reporter writes into the journal by itself: the fields besides the stamps, and their types. */
const ofReporter: ReadonlyMap<unknown, Readonly<Record<string, "string" | "number">>> = new Map([
  [
    "report.gap",
    {
      "report.missing": "number",
      "report.reason": "string",
      "report.queue": "string",
      "report.uid": "string",
    },
  ],
  [
    "policy.verdict.unrecorded",
    {
      "security_rule.ruleset.name": "string",
      "security_rule.name": "string",
      "policy.action": "string",
      "policy.outcome": "string",
      "policy.severity": "string",
      "policy.count": "number",
    },
  ],
]);
const stamps: ReadonlySet<string> = new Set(stampNames);

function isOfReporter(record: EventRecord): boolean {
  const fields = ofReporter.get(record["event.name"]);
  if (fields === undefined) return false;
  return Object.entries(record).every(
    ([name, value]) => typeof value === (stamps.has(name) ? "string" : fields[name]),
  );
}

export class JournalVerification {
  private readonly key: Uint8Array;
  private readonly expected: Set<string>;
  private readonly problems: ChainProblem[] = [];
  private problemCount = 0;
  private genuine = 0;
  private redacted = 0;
  private ofReporter = 0;
  private unconfirmed = 0;
  private rotated = 0;
  /** Whether a record was seen that rotation spares no longer than others. */
  private isPastRotation = false;
  private last: ChainLink | undefined;
  private lastUid = "";
  /** What each record says of itself to the next one: a warden may continue from an earlier end than the journal has. */
  private readonly seen = new Set<string>();
  private readonly wardens = new Set<string>();
  private readonly head: ChainLink | undefined;
  private isHeadSeen = false;

  /**
   * `head`: the warden's last record, saved before the first row was read. `expected`: beginnings of seals that must be in
   * the journal, in lower case.
   */
  constructor(key: Uint8Array, head: ChainLink | undefined, expected: readonly string[] = []) {
    this.key = key;
    this.head = head;
    this.expected = new Set(expected);
  }

  /** To be called for every row, in the order of their ids. */
  take(row: StoredRow): void {
    const record = recordOf(row);
    const uid = String(record?.["log.record.uid"] ?? "");
    const place = record && statedPlace(record);
    if (record !== undefined && place === undefined && isOfReporter(record)) {
      this.ofReporter += 1;
      return;
    }
    const check = record && place ? checkSeal(this.key, row, record, place) : "wrong";
    if (record === undefined || place === undefined || check === "wrong") {
      this.report({ kind: "changed", count: 1, after: UID.test(uid) ? uid : "" });
      return;
    }
    if (!this.follow(row, place, uid)) return;
    if (!isKeptRecord(record)) this.isPastRotation = true;
    this.genuine += 1;
    if (check === "redacted") this.redacted += 1;
    for (const seal of this.expected) if (place.seal.startsWith(seal)) this.expected.delete(seal);
  }

  /** `count` rows are where no command looks for them. */
  takeHidden(count: number): void {
    if (count > 0) this.report({ kind: "changed", count, after: "" });
  }

  /** The file has something that the reporter does not make, such as "index v": no row of it can be relied on. */
  takeForeign(name: string): void {
    this.report({ kind: "foreign", count: 1, after: printable(name) });
  }

  /** To be called once, after the last row. */
  finish(): ChainReport {
    this.checkEnd();
    for (const _seal of this.expected) this.report({ kind: "absent", count: 1 });
    const { genuine, redacted, ofReporter, rotated, unconfirmed, last, problems, problemCount } = this;
    return { genuine, redacted, ofReporter, rotated, unconfirmed, last, problems, problemCount };
  }

  private report(problem: ChainProblem): void {
    this.problemCount += 1;
    if (this.problems.length < PROBLEMS_LISTED) this.problems.push(problem);
  }

  /** False if the record is not where it belongs. */
  private follow(origin: ChainOrigin, place: StatedPlace, uid: string): boolean {
    const { last } = this;
    const isSameWarden = last !== undefined && isOfWarden(last, origin);
    const warden = `${origin.run}:${origin.generation}`;
    // A warden that another one has followed makes no more records.
    if (isSameWarden ? place.number <= last.number : this.wardens.has(warden)) {
      this.report({ kind: "moved", count: 1, after: uid });
      return false;
    }
    if (!isSameWarden && place.previous.includes("?")) this.unconfirmed += 1;
    // The warden numbers what it drops, and names the last record that it did not.
    const isFollowing = isSameWarden || this.isKnownEnd(place.previous);
    const before = isSameWarden ? Number.parseInt(place.previous, 10) : 0;
    const dropped = isFollowing ? place.number - before - 1 : 0;
    if (place.previous !== previousText(last)) this.compareWithPrevious(place, isSameWarden, uid);
    if (dropped > 0) this.report({ kind: "dropped", count: dropped, after: this.lastUid, before: uid });
    const { run, generation } = origin;
    this.last = { run, generation, number: place.number, seal: place.seal };
    this.lastUid = uid;
    this.wardens.add(warden);
    this.seen.add(previousText(this.last));
    const { head } = this;
    if (head?.seal === place.seal && head.number === place.number && isOfWarden(head, origin))
      this.isHeadSeen = true;
    return true;
  }

  /** The record does not follow the last one: what stood between them? */
  private compareWithPrevious({ previous }: StatedPlace, isSameWarden: boolean, uid: string): void {
    const previousNumber = Number.parseInt(previous, 10) || 0;
    const { last } = this;
    if (isSameWarden && last !== undefined) {
      this.miss(previousNumber - last.number, false, uid);
      return;
    }
    if (previousNumber === 0) {
      if (last !== undefined) this.report({ kind: "restarted", count: 1, after: this.lastUid, before: uid });
      return;
    }
    // A warden that was killed had not saved its end: the next one continues from an earlier record.
    if (this.isKnownEnd(previous)) return;
    const isSameBefore = last !== undefined && previousNumber > last.number;
    this.miss(isSameBefore ? previousNumber - last.number : previousNumber, true, uid);
  }

  private isKnownEnd(previous: string): boolean {
    return previous === previousText(undefined) || this.seen.has(previous.replace("?", ":"));
  }

  private miss(count: number, isAtLeast: boolean, uid: string): void {
    if (!this.isPastRotation || this.last === undefined) this.rotated += count;
    else
      this.report({
        kind: "missing",
        count,
        ...(isAtLeast ? { isAtLeast } : {}),
        after: this.lastUid,
        before: uid,
      });
  }

  /** Whether the journal goes as far as the warden's chain did. It may go further: the end is saved now and then. */
  private checkEnd(): void {
    const { head, last } = this;
    if (head === undefined || this.isHeadSeen) return;
    const isSameWarden = last !== undefined && isOfWarden(last, head);
    const missing = isSameWarden ? head.number - last.number : head.number;
    if (missing <= 0) return;
    const shared = { kind: "missing", count: missing, after: this.lastUid } as const;
    this.report(isSameWarden ? shared : { ...shared, isAtLeast: true });
  }
}

function isOfWarden(link: ChainOrigin, origin: ChainOrigin): boolean {
  return link.run === origin.run && link.generation === origin.generation;
}

/** The record of a row; undefined if the row says anything else of it than the reporter would have written. */
function recordOf({ body, time, kept }: StoredRow): EventRecord | undefined {
  const record = parseRecord(body);
  if (record === undefined || JSON.stringify(record) !== body) return undefined;
  return time === timeOfRecord(record) && kept === (isKeptRecord(record) ? 1 : 0) ? record : undefined;
}
