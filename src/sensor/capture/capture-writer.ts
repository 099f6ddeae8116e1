// A capture that is being written: items into lines, lines into blocks.
import {
  type EnvironmentVariables,
  isNetworkEvent,
  type ProcessEvent,
  type ProcessFacts,
  type ScannedProcess,
} from "../event.ts";
import { BlockWriter, type EndReason } from "./blocks.ts";
import { type CaptureHeader, headerLine } from "./header.ts";
import { writeItem } from "./item-codecs.ts";
import type { LineItems, LineKind } from "./items.ts";

/** A clock that was set or slewed by less than this is not recorded: ns. */
export const CLOCK_STEP_NS = 100_000;
/** The most characters of a text in one line, so that no line takes the writer more than a fraction of a millisecond. */
const TEXT_PART = 64 * 1024;
/** User names remembered as written; then all are written again. */
const USERS_LIMIT = 65_536;

/** What leaves the host in place of what was read there. */
export interface CaptureRedaction {
  readonly args: (args: readonly string[]) => readonly string[];
  readonly environment: (environment: EnvironmentVariables) => EnvironmentVariables;
  readonly userName: (uid: number, name: string) => string;
}

export class CaptureWriter {
  /** Events so far; processes found by scans are not counted. */
  events = 0;
  private readonly blocks: BlockWriter;
  private readonly redaction: CaptureRedaction | undefined;
  private userName: (uid: number) => string | undefined;
  private readonly usersWritten = new Set<number>();
  private wallOffset: number;
  private suspended: number;

  /** `out` takes a frame whole or throws. `userName`: of the host's users, written once for each that is met. */
  constructor(
    out: (frame: Uint8Array) => void,
    header: CaptureHeader,
    userName: (uid: number) => string | undefined,
    redaction?: CaptureRedaction,
  ) {
    this.blocks = new BlockWriter(headerLine(header), out);
    this.userName = userName;
    this.redaction = redaction;
    this.wallOffset = header.wallOffset;
    this.suspended = header.suspended;
  }

  /** Secrets and names are replaced. */
  get isRedacted(): boolean {
    return this.redaction !== undefined;
  }

  /** Bytes handed to `out`. */
  get bytes(): number {
    return this.blocks.bytes;
  }

  /** Something waits for its block to be closed. */
  get isPending(): boolean {
    return this.blocks.isPending;
  }

  /** Writes a line of any kind but those that have a method of their own. */
  add<K extends Exclude<LineKind, "scanned" | "scan" | "text" | "clock">>(kind: K, item: LineItems[K]): void {
    this.blocks.add(writeItem(kind, item));
  }

  event(event: ProcessEvent): void {
    this.events += 1;
    if (isNetworkEvent(event) && event.uid !== undefined) this.meetUser(event.uid);
    if (event.kind === "exec") this.add("exec", { ...event, facts: this.prepared(event.facts) });
    else this.add(event.kind, event);
  }

  /** A scan of /proc that began at `time` (ns, CLOCK_MONOTONIC). */
  scan(processes: readonly ScannedProcess[], time: number): void {
    for (const process of processes) {
      const facts = this.prepared(process.facts);
      this.blocks.add(writeItem("scanned", { kind: "scanned", process: { ...process, facts } }));
    }
    this.blocks.add(writeItem("scan", { kind: "scan", time }));
  }

  /** The clocks (see ClockItem) of the events that follow. */
  clock(wallOffset: number, suspended: number): void {
    const isSame =
      Math.abs(wallOffset - this.wallOffset) < CLOCK_STEP_NS &&
      Math.abs(suspended - this.suspended) < CLOCK_STEP_NS;
    if (isSame) return;
    this.wallOffset = wallOffset;
    this.suspended = suspended;
    this.blocks.add(writeItem("clock", { kind: "clock", wallOffset, suspended }));
  }

  /** The host's users have other names from here on. */
  renameUsers(userName: (uid: number) => string | undefined): void {
    this.userName = userName;
    this.forgetUsers();
  }

  /** Writes a text on which verdicts depend, one part for each step of the generator. */
  *text(name: string, text: string): Generator<void, void, void> {
    for (let start = 0; ; start += TEXT_PART) {
      const part = text.slice(start, start + TEXT_PART);
      const isLast = start + TEXT_PART >= text.length;
      this.blocks.add(writeItem("text", { kind: "text", name, text: part, isLast }));
      if (isLast) return;
      yield;
    }
  }

  /** Writes what is pending: a capture that is cut after it has all of it. */
  flush(): void {
    this.blocks.flush();
  }

  /** The last block. */
  end(reason: EndReason = "complete"): void {
    this.blocks.end(this.events, reason);
  }

  /** Facts as they are written, after the name of their user. */
  private prepared(facts: ProcessFacts): ProcessFacts {
    if (facts.uid !== undefined) this.meetUser(facts.uid);
    const { redaction } = this;
    if (redaction === undefined) return facts;
    const { args, environment } = facts;
    return {
      ...facts,
      args: args === undefined ? undefined : redaction.args(args),
      environment: environment === undefined ? undefined : redaction.environment(environment),
    };
  }

  /** Writes the name of a user before the first event of that user. */
  private meetUser(uid: number): void {
    if (this.usersWritten.has(uid)) return;
    if (this.usersWritten.size >= USERS_LIMIT) this.forgetUsers();
    this.usersWritten.add(uid);
    const name = this.userName(uid);
    if (name === undefined) return;
    this.add("user_name", { kind: "user_name", uid, name: this.redaction?.userName(uid, name) ?? name });
  }

  private forgetUsers(): void {
    this.usersWritten.clear();
    this.add("forget", { kind: "forget", what: "user_names" });
  }
}
