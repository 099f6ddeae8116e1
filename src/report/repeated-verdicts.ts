// Folds repeated verdicts before they are queued: the first of a kind is reported at once, the others are counted and
// reported together, once a minute. So a program that runs again and again neither hides other alerts nor fills the
// journal, and costs hardly more than one that draws no alert.
//
// A kind is a rule, an outcome and who ran what where. Within a kind, execs with the same arguments and the same
// environment, as far as it was read, are one variant; of events of the network, those with the same address and port.
// Variants beyond a minute's limit share one record, as do verdicts beyond the limit of a kind that is not folded
// otherwise. `policy.count` says how many verdicts a record stands for; its sum is the number of verdicts.
import type { Outcome, Reason } from "../enforcement/outcome.ts";
import { unambiguous } from "../linux/text.ts";
import { type Decision, namesAny, namesContent, type Policy } from "../policy/policy.ts";
import type { Subject } from "../policy/subject.ts";
import type { ProcessKey } from "../vocabulary/process-key.ts";
import { type JudgedVariable, judgedRow } from "../vocabulary/variables.ts";
import { boundedText } from "./bounded-arguments.ts";
import type { EventRecord } from "./event-record.ts";
import {
  beginningOfGiven,
  COMPARED_CHARACTERS,
  comparableOf,
  givenTo,
  hashOfGiven,
  isSameGiven,
  lengthOfGiven,
  shownOf,
} from "./given-arguments.ts";
import type { Room } from "./outbox.ts";
import { repeatedRecord, type Stamp, verdictRecord } from "./records.ts";
import { isOfKind, type KindValues, sharedFields, valuesOf } from "./verdict-kind.ts";

const MINUTE_NS = 60e9;
const HOUR_NS = 3_600e9;

/** The most different arguments of one kind that are reported in full in a minute. */
const DISTINCT_ARGUMENTS = 8;
/** Likewise if the rule names arguments: then each of them may be another attack. */
const DISTINCT_NAMED_ARGUMENTS = 100;
/** The most full verdicts of one kind in a minute if it is not folded before that. */
const EACH_VERDICT = 100;
/** Verdicts with these outcomes are folded from the second one on. All others are rare, and evidence. */
const foldedOutcomes: ReadonlySet<Outcome> = new Set([
  "alerted",
  "would_stop",
  "would_kill",
  "would_prevent",
  "would_deny",
  "silenced",
]);
/** Which part of the queue a verdict with this outcome may use. */
const rooms: Readonly<Record<Outcome, Room>> = {
  allowed: "common",
  alerted: "common",
  withheld: "common",
  silenced: "common",
  would_stop: "severe",
  would_kill: "severe",
  would_prevent: "severe",
  would_deny: "severe",
  failed: "severe",
  stopped: "all",
  killed: "all",
  prevented: "all",
  // No budget bounds what one user is denied, as it does what is killed.
  denied: "severe",
};

/** Whether execs with other arguments or another environment, or connections to other peers, may differ in the variable. */
function variesWithArguments(name: JudgedVariable): boolean {
  return judgedRow(name).dependsOn.some(
    (one) => one === "arguments" || one === "environment" || one === "socket",
  );
}

/** Limits of what is remembered. Beyond them the kinds seen longest ago are reported and forgotten. */
const KINDS = 4_096;
const CHARACTERS = 4 << 20;
/** The most variants of a kind, more than a minute adds. */
const VARIANTS = 128;
/** The most hashes of arguments, of all kinds together; beyond that the number of different arguments is a lower bound. */
const HASHES = 65_536;

/** The most different arguments that one record shows, and the characters of each. */
const SAMPLES = 8;
const SAMPLE_CHARACTERS = 256;
/** The order of kinds is kept to this precision, so that most verdicts do not change it. */
const TOUCH_NS = 1e9;
/** The most records of one `flushDue`: well below a millisecond. */
const RECORDS_PER_FLUSH = 16;
/** The wait before a record is offered again to a queue that had no room. */
const RETRY_NS = 1e9;

/** A verdict that was carried out. */
export interface Verdict {
  readonly subject: Subject;
  readonly decision: Decision;
  readonly outcome: Outcome;
  readonly reason: Reason | undefined;
  readonly policy: Policy;
}

export interface RepeatedVerdictsOptions {
  /** Queues a record, or drops and counts it if there is no room; false if it was dropped. */
  readonly report: (record: EventRecord, room: Room) => boolean;
  /** Queues a record, or returns false if there is no room. */
  readonly offer: (record: EventRecord, room: Room) => boolean;
  readonly stamp: Stamp;
  /** The fields of a full verdict that describe the ancestors of its process; called for nothing else. */
  readonly ancestorsOf?: (process: ProcessKey) => EventRecord;
  /** Random, so that nobody can choose long arguments whose hashes collide. */
  readonly seed: number;
}

/** Verdicts that one record will stand for. */
interface Fold {
  readonly kind: Kind;
  /** The arguments, or addresses and ports, that the record shows; undefined for verdicts in which they differ. */
  readonly shown: EventRecord | undefined;
  count: number;
  /** Of the last verdict: milliseconds since the epoch. */
  wallTime: number;
  /** No record before this time: ns, CLOCK_MONOTONIC. */
  notBefore: number;
  /** `log.record.uid` of the full verdict that the record repeats. */
  firstUid: string;
}

/** Execs of a kind with the same arguments. */
interface Variant {
  /** See `givenTo`; a hash of it if it is long. */
  readonly given: readonly string[] | bigint;
  readonly characters: number;
  readonly fold: Fold;
  /** Another full verdict from this time on: ns, CLOCK_MONOTONIC. */
  fullAgainAt: number;
}

interface Kind {
  readonly key: string;
  /** Its first verdict's values that make the kind. */
  readonly of: KindValues;
  readonly room: Room;
  readonly isFolded: boolean;
  /** The most full verdicts in a minute. */
  readonly limit: number;
  /** The fields of its first verdict that all of the kind share. */
  readonly first: EventRecord;
  readonly variants: Variant[];
  /** The variant of the last verdict, which the next one most often has too. */
  latest: Variant | undefined;
  /** Verdicts beyond `limit`; undefined if there never were any. */
  rest: Fold | undefined;
  /** Of the first full verdict in this minute, or of an earlier one. */
  firstUid: string;
  touched: number;
  /** Begin of the current minute: ns, CLOCK_MONOTONIC. */
  minute: number;
  /** Full verdicts in this minute, its first different arguments, and hashes of all of them. */
  full: number;
  readonly samples: string[];
  readonly hashes: Set<number>;
  characters: number;
}

export class RepeatedVerdicts {
  private readonly options: RepeatedVerdictsOptions;
  /** The kind seen longest ago first. */
  private readonly kinds = new Map<string, Kind>();
  private characters = 0;
  private hashes = 0;
  /** The kind of the last verdict: in a flood the next one is of the same kind. Invalidated by: `forget`. */
  private last: Kind | undefined;
  private readonly waiting = new Set<Fold>();
  /** The earliest time at which a waiting record may be due: ns, CLOCK_MONOTONIC. */
  private nextDue = Number.POSITIVE_INFINITY;

  constructor(options: RepeatedVerdictsOptions) {
    this.options = options;
  }

  /** Reports a verdict other than a plain allow, or counts it as a repeated one. */
  onVerdict(verdict: Verdict): void {
    const { subject } = verdict;
    const { time } = subject;
    const kind = this.kindOf(verdict);
    if (kind === undefined) return;
    this.touch(kind, time);
    if (time - kind.minute >= MINUTE_NS) this.beginMinute(kind, time);
    const variant = kind.isFolded ? this.variantOf(kind, givenTo(subject)) : undefined;
    if (variant !== undefined) this.repeat(variant, verdict);
    else if (kind.full < kind.limit) this.reportFull(kind, verdict);
    else this.addToRest(kind, subject);
  }

  /** Nanoseconds until `flushDue` has something to do; undefined if nothing waits. `now`: ns, CLOCK_MONOTONIC. */
  dueIn(now: number): number | undefined {
    return this.waiting.size === 0 ? undefined : Math.max(0, this.nextDue - now);
  }

  /** Reports what is due, a bounded number of records. `now`: ns, CLOCK_MONOTONIC. */
  flushDue(now: number): void {
    if (now < this.nextDue) return;
    let next = Number.POSITIVE_INFINITY;
    let records = 0;
    for (const fold of this.waiting) {
      if (fold.notBefore > now) {
        next = Math.min(next, fold.notBefore);
        continue;
      }
      if (records === RECORDS_PER_FLUSH) {
        this.nextDue = now;
        return;
      }
      records += 1;
      if (!this.flush(fold, now)) next = now + RETRY_NS;
    }
    // Records that are due within a second of each other go together.
    this.nextDue = Math.max(next, now + RETRY_NS);
  }

  /** Reports everything that waits. For the end. */
  flushAll(): void {
    for (const fold of this.waiting) this.force(fold);
  }

  /** The kind of a verdict; undefined if this is its first one, which is reported then. */
  private kindOf(verdict: Verdict): Kind | undefined {
    const { last } = this;
    if (last !== undefined && isOfKind(last.of, verdict)) return last;
    const values = valuesOf(verdict);
    const key = Object.values(values).join("\0");
    const kind = this.kinds.get(key);
    if (kind === undefined) this.begin(key, values, verdict);
    else this.last = kind;
    return kind;
  }

  private begin(key: string, values: KindValues, verdict: Verdict): void {
    const { decision, outcome, policy, subject } = verdict;
    const isFolded =
      foldedOutcomes.has(outcome) && verdict.reason !== "late" && !namesContent(policy, decision);
    const record = this.fullRecord(verdict);
    const distinct = namesArguments(policy, decision) ? DISTINCT_NAMED_ARGUMENTS : DISTINCT_ARGUMENTS;
    const first = sharedFields(record);
    const kind: Kind = {
      key,
      of: values,
      room: rooms[outcome],
      isFolded,
      limit: isFolded ? distinct : EACH_VERDICT,
      first,
      variants: [],
      latest: undefined,
      rest: undefined,
      firstUid: "",
      touched: subject.time,
      minute: subject.time,
      full: 0,
      samples: [],
      hashes: new Set(),
      characters: key.length + charactersOf(first),
    };
    this.kinds.set(key, kind);
    this.last = kind;
    this.characters += kind.characters;
    this.reportFull(kind, verdict, record);
  }

  private reportFull(kind: Kind, verdict: Verdict, record = this.fullRecord(verdict)): void {
    const { time } = verdict.subject;
    const given = givenTo(verdict.subject);
    const uid = String(record["log.record.uid"]);
    if (kind.full === 0) kind.firstUid = uid;
    kind.full += 1;
    const isQueued = this.options.report(record, kind.room);
    this.noteArguments(kind, given);
    if (kind.isFolded) {
      const variant = this.addVariant(kind, given, shownOf(verdict.subject));
      afterFull(variant, time, uid, isQueued);
    }
    this.trim();
  }

  /** Forgets the kinds seen longest ago while too much is remembered. */
  private trim(): void {
    while (this.kinds.size > KINDS || this.characters > CHARACTERS) {
      const [oldest] = this.kinds.values();
      if (oldest === undefined) return;
      this.forget(oldest);
    }
  }

  private repeat(variant: Variant, verdict: Verdict): void {
    const { fold } = variant;
    const { time, wallTime } = verdict.subject;
    // What was counted before belongs to the last full verdict and is reported first.
    if (time < variant.fullAgainAt || fold.count > 0) {
      this.add(fold, time, wallTime);
      return;
    }
    const record = this.fullRecord(verdict);
    const isQueued = this.options.report(record, fold.kind.room);
    afterFull(variant, time, String(record["log.record.uid"]), isQueued);
  }

  private addToRest(kind: Kind, subject: Subject): void {
    const { time, wallTime } = subject;
    this.noteArguments(kind, givenTo(subject));
    kind.rest ??= newFold(kind, undefined);
    kind.rest.firstUid = kind.firstUid;
    this.add(kind.rest, time, wallTime);
  }

  private add(fold: Fold, time: number, wallTime: number): void {
    fold.count += 1;
    fold.wallTime = wallTime;
    if (fold.count > 1) return;
    this.waiting.add(fold);
    if (time >= fold.notBefore && this.flush(fold, time)) return;
    this.nextDue = Math.min(this.nextDue, Math.max(fold.notBefore, time));
  }

  /** Begins another minute of the kind. What was counted in the last one is reported by now, unless nobody could take it. */
  private beginMinute(kind: Kind, time: number): void {
    const { rest } = kind;
    const isReported = rest === undefined || rest.count === 0 || this.flush(rest, time);
    kind.minute = time;
    kind.full = 0;
    if (rest !== undefined) rest.notBefore = time + MINUTE_NS;
    if (!isReported) return;
    for (const sample of kind.samples) this.grow(kind, -sample.length);
    kind.samples.length = 0;
    this.hashes -= kind.hashes.size;
    kind.hashes.clear();
  }

  private touch(kind: Kind, time: number): void {
    if (time - kind.touched < TOUCH_NS) return;
    kind.touched = time;
    this.kinds.delete(kind.key);
    this.kinds.set(kind.key, kind);
  }

  private variantOf(kind: Kind, given: readonly string[]): Variant | undefined {
    const wanted = comparableOf(given, this.options.seed);
    const { latest } = kind;
    if (latest !== undefined && isSameGiven(latest.given, wanted)) return latest;
    for (const variant of kind.variants) {
      if (!isSameGiven(variant.given, wanted)) continue;
      kind.latest = variant;
      return variant;
    }
    return undefined;
  }

  private addVariant(kind: Kind, given: readonly string[], shown: EventRecord): Variant {
    if (kind.variants.length >= VARIANTS) {
      const oldest = kind.variants.shift();
      if (oldest !== undefined) {
        if (oldest.fold.count > 0) this.force(oldest.fold);
        this.grow(kind, -oldest.characters);
      }
    }
    const comparable = comparableOf(given, this.options.seed);
    const characters = Math.min(lengthOfGiven(given), COMPARED_CHARACTERS);
    const variant: Variant = { given: comparable, characters, fold: newFold(kind, shown), fullAgainAt: 0 };
    kind.variants.push(variant);
    kind.latest = variant;
    this.grow(kind, characters);
    return variant;
  }

  private grow(kind: Kind, characters: number): void {
    kind.characters += characters;
    this.characters += characters;
  }

  /** Counts different arguments, and keeps the first ones as samples. */
  private noteArguments(kind: Kind, given: readonly string[]): void {
    const hash = hashOfGiven(given, this.options.seed);
    if (kind.hashes.has(hash)) return;
    if (kind.samples.length < SAMPLES) {
      const sample = boundedText(beginningOfGiven(given, SAMPLE_CHARACTERS + 1), SAMPLE_CHARACTERS);
      kind.samples.push(sample);
      this.grow(kind, sample.length);
    }
    if (this.hashes >= HASHES) return;
    this.hashes += 1;
    kind.hashes.add(hash);
  }

  private fullRecord({ subject, decision, outcome, reason, policy }: Verdict): EventRecord {
    const { stamp, ancestorsOf } = this.options;
    const ancestors = ancestorsOf?.(subject.process);
    return verdictRecord(subject, decision, outcome, reason, policy.version, stamp, ancestors);
  }

  /** Reports a fold; false if there was no room, and then it goes on counting. */
  private flush(fold: Fold, now: number): boolean {
    if (!this.options.offer(this.recordOf(fold), fold.kind.room)) return false;
    this.reset(fold, now);
    return true;
  }

  private force(fold: Fold): void {
    this.options.report(this.recordOf(fold), fold.kind.room);
    this.reset(fold, fold.notBefore);
  }

  private reset(fold: Fold, now: number): void {
    fold.count = 0;
    fold.notBefore = now + MINUTE_NS;
    this.waiting.delete(fold);
  }

  private recordOf(fold: Fold): EventRecord {
    const { kind, shown, count, firstUid } = fold;
    const repeated = { "policy.count": count, "policy.first_uid": firstUid };
    const details =
      shown === undefined
        ? {
            "policy.distinct_arguments": kind.hashes.size,
            "policy.arguments": kind.samples.map(unambiguous),
          }
        : shown;
    return repeatedRecord(
      { ...kind.first, ...repeated, ...details },
      fold.wallTime * 1e6,
      this.options.stamp,
    );
  }

  private forget(kind: Kind): void {
    for (const { fold } of kind.variants) if (fold.count > 0) this.force(fold);
    if (kind.rest !== undefined && kind.rest.count > 0) this.force(kind.rest);
    this.kinds.delete(kind.key);
    if (this.last === kind) this.last = undefined;
    this.characters -= kind.characters;
    this.hashes -= kind.hashes.size;
  }
}

function newFold(kind: Kind, shown: EventRecord | undefined): Fold {
  return { kind, shown, count: 0, wallTime: 0, notBefore: kind.minute + MINUTE_NS, firstUid: "" };
}

/** A full verdict that was dropped is made up for as soon as there may be room, and until then by what repeats it. */
function afterFull(variant: Variant, time: number, uid: string, isQueued: boolean): void {
  variant.fullAgainAt = time + (isQueued ? HOUR_NS : RETRY_NS);
  variant.fold.firstUid = uid;
  variant.fold.notBefore = time + (isQueued ? MINUTE_NS : RETRY_NS);
}

function namesArguments(policy: Policy, decision: Decision): boolean {
  return namesAny(policy, decision, variesWithArguments);
}

function charactersOf(record: EventRecord): number {
  let characters = 0;
  for (const value of Object.values(record)) if (typeof value === "string") characters += value.length;
  return characters;
}
