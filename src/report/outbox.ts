// The warden's end of the wire: bounded queues of reliable and of best-effort records, and the totals. No function here
// waits, and none throws because the reporter is slow, dead or hostile.
import type { SealedUpdate } from "../baseline/learned.ts";
import { realtimeNow } from "../linux/clock.ts";
import { EAGAIN, EINTR, ENOBUFS } from "../linux/libc.ts";
import { isHungUp } from "../linux/poll.ts";
import { tryReceive, trySend } from "../linux/socketpair.ts";
import { type EventRecord, fitted } from "./event-record.ts";
import type { JournalChain } from "./journal-chain.ts";
import { timestamp } from "./stamp.ts";
import type { Counter, Totals } from "./totals.ts";
import { formatEvents, type Hello, PACKET_LIMIT, parseRequest, REQUEST_LIMIT, type Request } from "./wire.ts";

/** Limits of the reliable queue, which keeps each record until the reporter has written it to its journal. */
const RELIABLE_RECORDS = 4_096;
const RELIABLE_BYTES = 8 * 1024 * 1024;
/**
 * Which part of the queue a record may use. Any user can cause masses of alerts, new trees and withheld kills
 * (`common`), and with more effort of kills that are only reported or come too late (`severe`). The last of the room is
 * for what was carried out, losses and changes (`all`).
 */
export type Room = "common" | "severe" | "all";
const shares: Readonly<Record<Room, number>> = { common: 7 / 8, severe: 15 / 16, all: 1 };
/** The share of both that learned trees may not use: they can wait in the learner, verdicts cannot. */
const RESERVED_FROM_LEARNING = 1 / 2;
/** Limits of the best-effort queue. */
const BEST_EFFORT_RECORDS = 2_048;
const BEST_EFFORT_BYTES = 2 * 1024 * 1024;
/** The most records in a packet. The reporter commits them in one transaction. */
const RECORDS_PER_PACKET = 100;
/** The most bytes of records or changes in a packet; the rest is for the frame around them. */
const BODY_LIMIT = PACKET_LIMIT - 1_024;
/** The most packets of one `flush`: about 1 ms, so that a reporter with endless requests delays no verdict. */
const PACKETS_PER_FLUSH = 16;
const REQUESTS_PER_RECEIVE = 16;
/** Totals are sent at most this often unless the reporter asks. */
const TOTALS_INTERVAL_MS = 1_000;

/** A record of the reliable queue as JSON. `frame`: the type of the frame that carries it. */
interface ReliableEntry {
  readonly number: number;
  readonly frame: "events" | "learned";
  /** It is a new learned tree. */
  readonly isTree: boolean;
  readonly text: string;
  readonly bytes: number;
}

interface BestEffortEntry {
  readonly text: string;
  readonly bytes: number;
}

export interface OutboxOptions {
  /** One end of the SOCK_SEQPACKET pair. Not closed by the outbox. */
  readonly fd: number;
  readonly totals: Totals;
  readonly chain: JournalChain;
  /** Called for each new reporter, because source and policies change. */
  readonly hello: () => Hello;
  /** Called before totals are sent, to update those that only have to be right then. */
  readonly beforeTotals?: () => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Nanoseconds since the epoch. */
  readonly wallNow?: () => number;
}

/** A record with the time at which treewarden observed it. */
function observed(record: EventRecord, wallNs: number): EventRecord {
  return { ...record, observed_timestamp: timestamp(wallNs) };
}

/** The answer to a ping. `alive`: the sensor is running; `reason`: why it is not. */
export type OutboxAnswer = () => {
  readonly alive: boolean;
  readonly reason: string;
  readonly degraded: readonly string[];
};

/**
 * The warden's loop calls `reliable`, `bestEffort` and `learned` while it handles events, `flush` after each turn, and
 * `receive` when `fd` is readable. One outbox serves every reporter of its warden, one after the other.
 */
export class Outbox {
  private fd: number;
  private readonly totals: Totals;
  private readonly chain: JournalChain;
  private readonly hello: () => Hello;
  private readonly beforeTotals: () => void;
  private readonly now: () => number;
  private readonly wallNow: () => number;
  private readonly generation: number;
  private readonly droppedReliable: Counter;
  private readonly droppedBestEffort: Counter;

  private reliableQueue: ReliableEntry[] = [];
  private reliableBytes = 0;
  private reliableTrees = 0;
  /** The number of entries at the front of `reliableQueue` that were sent to this reporter. */
  private sent = 0;
  private nextNumber = 1;
  private bestEffortQueue: BestEffortEntry[] = [];
  private bestEffortBytes = 0;

  private helloDue = true;
  /** True if all series are being sent, not only changed ones. The last frame says so (`whole`). */
  private sendingAllTotals = true;
  /** True while changed totals are to be sent, packet by packet. */
  private totalsDue = true;
  private totalsBegun = false;
  private totalsSentAt = 0;
  private pong: string | undefined;
  private watching = false;

  private readonly packet = new Uint8Array(new ArrayBuffer(PACKET_LIMIT));
  private packetLength = 0;
  private readonly request = new Uint8Array(new ArrayBuffer(REQUEST_LIMIT));

  constructor(options: OutboxOptions) {
    this.fd = options.fd;
    this.totals = options.totals;
    this.chain = options.chain;
    this.hello = options.hello;
    this.beforeTotals = options.beforeTotals ?? (() => undefined);
    this.now = options.now ?? (() => performance.now());
    this.wallNow = options.wallNow ?? realtimeNow;
    this.generation = options.hello().generation;
    this.droppedReliable = options.totals.counter("queueDropped", { queue: "reliable" });
    this.droppedBestEffort = options.totals.counter("queueDropped", { queue: "best_effort" });
  }

  /** Continues on the socket pair `fd` of a new reporter: with a hello, and every record that was not acknowledged. */
  connect(fd: number): void {
    this.fd = fd;
    // Part of this packet's frames may have been sent already; the new reporter needs all of them.
    this.packetLength = 0;
    this.begin();
  }

  /** Whether the reporter wants every exec as a best-effort record. */
  get watched(): boolean {
    return this.watching;
  }

  /** The number of reliable records that the reporter has not acknowledged yet. */
  get unacknowledged(): number {
    return this.reliableQueue.length;
  }

  /** How many of `unacknowledged` are new learned trees. */
  get unacknowledgedTrees(): number {
    return this.reliableTrees;
  }

  /**
   * Queues a record that must not be lost. If there is no room it is dropped and counted, and its number is skipped, so
   * that the reporter sees the gap. False if it was dropped.
   */
  reliable(record: EventRecord, room: Room = "all"): boolean {
    if (this.offer(record, room)) return true;
    this.chain.skip();
    this.drop();
    return false;
  }

  /**
   * Like `reliable`, but if there is no room it returns false and neither queues nor counts the record. For what can
   * wait.
   */
  offer(record: EventRecord, room: Room): boolean {
    const unsealed = this.chain.prepare(observed(record, this.wallNow()), BODY_LIMIT - 1);
    if (!this.hasRoom(unsealed.bytes, shares[room])) return false;
    this.enqueue("events", this.chain.seal(unsealed), unsealed.bytes, false);
    return true;
  }

  /** Queues an update of the learner. If there is no room, returns false and neither queues nor counts it. */
  learned(update: SealedUpdate): boolean {
    const share = 1 - RESERVED_FROM_LEARNING;
    const isFull = this.reliableQueue.length >= RELIABLE_RECORDS * share;
    if (isFull || this.reliableBytes >= RELIABLE_BYTES * share) return false;
    const text = JSON.stringify(update);
    const bytes = Buffer.byteLength(text);
    if (this.hasRoom(bytes, 1)) this.enqueue("learned", text, bytes, update.kind === "tree");
    else this.drop();
    return true;
  }

  /** Counts an entry that is not queued, and skips its number, so that the reporter sees the gap. */
  private drop(): void {
    this.nextNumber += 1;
    this.droppedReliable.add(1);
  }

  private enqueue(frame: ReliableEntry["frame"], text: string, bytes: number, isTree: boolean): void {
    this.reliableQueue.push({ number: this.nextNumber, frame, isTree, text, bytes });
    this.nextNumber += 1;
    this.reliableBytes += bytes;
    if (isTree) this.reliableTrees += 1;
  }

  private hasRoom(bytes: number, share: number): boolean {
    const isFull = this.reliableQueue.length >= RELIABLE_RECORDS * share;
    return !isFull && this.reliableBytes + bytes <= RELIABLE_BYTES * share && bytes < BODY_LIMIT;
  }

  /** Queues a record that may be lost. If there is no room it is dropped and counted. */
  bestEffort(record: EventRecord): void {
    const text = fitted(observed(record, this.wallNow()), BODY_LIMIT - 1);
    const bytes = Buffer.byteLength(text);
    const isFull = this.bestEffortQueue.length >= BEST_EFFORT_RECORDS;
    if (isFull || this.bestEffortBytes + bytes > BEST_EFFORT_BYTES) {
      this.droppedBestEffort.add(1);
      return;
    }
    this.bestEffortQueue.push({ text, bytes });
    this.bestEffortBytes += bytes;
  }

  /** Counts a record that may be lost and was not even made. */
  shedBestEffort(): void {
    this.droppedBestEffort.add(1);
  }

  /** Timeout for poll: milliseconds until `flush` has totals to send, -1 if none have changed. */
  get due(): number {
    if (this.totalsDue) return 0;
    if (!this.totals.pending) return -1;
    return Math.max(0, Math.ceil(this.totalsSentAt + TOTALS_INTERVAL_MS - this.now()));
  }

  /**
   * Sends queued data. `blocked`: call again when `fd` is writable, which may be at once, since one call's work is
   * bounded. `closed`: no reporter can connect any more.
   */
  flush(): "drained" | "blocked" | "closed" {
    for (let packets = 0; packets < PACKETS_PER_FLUSH; packets += 1) {
      if (this.packetLength === 0 && !this.prepare()) return "drained";
      const result = trySend(this.fd, this.packet, this.packetLength);
      if (result === -EINTR) continue;
      if (result === -EAGAIN || result === -ENOBUFS) return "blocked";
      if (result < 0) return "closed";
      this.packetLength = 0;
    }
    return "blocked";
  }

  /** Like `flush`, but sends totals at once. For a clean shutdown. */
  flushAll(): "drained" | "blocked" | "closed" {
    this.totalsDue = true;
    return this.flush();
  }

  /** Handles the reporter's requests; `flush` sends the answers. `closed`: no reporter can connect any more. */
  receive(answer: OutboxAnswer): "open" | "closed" {
    for (let requests = 0; requests < REQUESTS_PER_RECEIVE; requests += 1) {
      const length = tryReceive(this.fd, this.request);
      if (length === 0) {
        if (isHungUp(this.fd)) return "closed";
        continue;
      }
      if (length === -EINTR) continue;
      if (length < 0) return length === -EAGAIN ? "open" : "closed";
      if (length > this.request.length) continue;
      const request = parseRequest(this.request.subarray(0, length));
      if (request !== undefined) this.act(request, answer);
    }
    return "open";
  }

  private act(request: Request, answer: OutboxAnswer): void {
    switch (request.type) {
      case "ready":
        if (request.generation === this.generation) this.acknowledge(request.last);
        this.begin();
        return;
      case "ack":
        if (request.generation === this.generation) this.acknowledge(request.n);
        return;
      case "ping": {
        this.pong = JSON.stringify({ type: "pong", id: request.id, ...answer() });
        this.totalsDue = true;
        return;
      }
      case "watch":
        this.watching = request.on;
        return;
    }
  }

  /** Begins again for a reporter that has nothing yet but what it has acknowledged. */
  private begin(): void {
    this.sent = 0;
    this.helloDue = true;
    this.sendingAllTotals = true;
    this.totalsDue = true;
    this.watching = false;
    this.pong = undefined;
    this.totals.markAllChanged();
  }

  /** Removes the entries up to this number, which are in the journal. */
  private acknowledge(number: number): void {
    let done = 0;
    for (const entry of this.reliableQueue) {
      if (entry.number > number) break;
      this.reliableBytes -= entry.bytes;
      if (entry.isTree) this.reliableTrees -= 1;
      done += 1;
    }
    if (done === 0) return;
    this.reliableQueue.splice(0, done);
    this.sent = Math.max(0, this.sent - done);
  }

  /** Writes the next packet; false if there is nothing to send. */
  private prepare(): boolean {
    if (this.helloDue) {
      this.helloDue = false;
      return this.write(JSON.stringify(this.hello()));
    }
    if (this.sent < this.reliableQueue.length) return this.prepareReliable();
    if (this.totalsDue || this.totalsBegun || this.due === 0) {
      if (!this.totalsBegun) this.beforeTotals();
      this.totalsBegun = true;
      if (this.prepareTotals()) return true;
    }
    if (this.pong !== undefined) {
      const text = this.pong;
      this.pong = undefined;
      return this.write(text);
    }
    return this.bestEffortQueue.length > 0 && this.prepareBestEffort();
  }

  /** Writes as many unsent entries as have consecutive numbers and one type of frame, and fit into a packet. */
  private prepareReliable(): boolean {
    const begin = this.reliableQueue[this.sent];
    if (begin === undefined) return false;
    const texts: string[] = [];
    let bytes = 0;
    for (let i = this.sent; i < this.reliableQueue.length && texts.length < RECORDS_PER_PACKET; i += 1) {
      const entry = this.reliableQueue[i];
      if (entry?.frame !== begin.frame || entry.number !== begin.number + texts.length) break;
      bytes += entry.bytes + 1;
      if (bytes > BODY_LIMIT) break;
      texts.push(entry.text);
    }
    this.sent += texts.length;
    const { generation } = this;
    const first = begin.number;
    if (begin.frame === "events") return this.write(formatEvents({ generation, first }, texts));
    return this.write(
      `{"type":"learned","generation":${generation},"first":${first},"updates":[${texts.join(",")}]}`,
    );
  }

  private prepareBestEffort(): boolean {
    let count = 0;
    let bytes = 0;
    for (const entry of this.bestEffortQueue) {
      if (count === RECORDS_PER_PACKET || bytes + entry.bytes + 1 > BODY_LIMIT) break;
      bytes += entry.bytes + 1;
      count += 1;
    }
    const taken = this.bestEffortQueue.splice(0, count);
    for (const entry of taken) this.bestEffortBytes -= entry.bytes;
    return this.write(`{"type":"best-effort","records":[${taken.map(({ text }) => text).join(",")}]}`);
  }

  /** Writes changed totals; false once all of them were sent. */
  private prepareTotals(): boolean {
    const changes = this.totals.takeChanged(BODY_LIMIT);
    const isLast = !this.totals.pending;
    const whole = isLast && this.sendingAllTotals;
    if (isLast) {
      this.totalsDue = false;
      this.totalsBegun = false;
      this.sendingAllTotals = false;
      this.totalsSentAt = this.now();
    }
    if (changes.length === 0 && !whole) return false;
    const changed = changes.join(",");
    return this.write(
      `{"type":"totals","generation":${this.generation},"whole":${whole},"changed":[${changed}]}`,
    );
  }

  private write(text: string): true {
    this.packetLength = encoder.encodeInto(text, this.packet).written;
    return true;
  }
}

const encoder = new TextEncoder();
