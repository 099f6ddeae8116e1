// The warden's end of the wire: two bounded queues and the totals. Nothing here waits, and nothing throws because the
// reporter is slow, dead or hostile.
import { EAGAIN, EINTR, ENOBUFS } from "../linux/libc.ts";
import { isHungUp } from "../linux/poll.ts";
import { tryReceive, trySend } from "../linux/socketpair.ts";
import { type EventRecord, fitted } from "./event-record.ts";
import type { Counter, Totals } from "./totals.ts";
import { type Hello, PACKET_LIMIT, parseRequest, REQUEST_LIMIT, type Request } from "./wire.ts";

/** Bounds of the queue of numbered records, kept until the reporter has them in its journal. */
const NUMBERED_RECORDS = 4_096;
const NUMBERED_BYTES = 8 * 1024 * 1024;
/** The part of both that is kept free of what anybody can make in masses: alerts and new trees must not crowd out a kill, a loss or a change. */
const RESERVED_SHARE = 1 / 8;
/** Bounds of the queue of all others. */
const PLAIN_RECORDS = 2_048;
const PLAIN_BYTES = 2 * 1024 * 1024;
/** Records in one packet: the reporter commits them together. */
const BATCH = 100;
/** What records or changes may take of a packet; the rest is for what stands around them. */
const BODY_LIMIT = PACKET_LIMIT - 1_024;
/** Packets one `flush` sends: about a millisecond, so that a reporter that asks for everything again and again delays no verdict. */
const PACKETS_PER_FLUSH = 16;
const REQUESTS_PER_RECEIVE = 16;
/** Totals are told at most this often unless the reporter asks. */
const TOTALS_INTERVAL_MS = 1_000;

interface Entry {
  readonly n: number;
  readonly text: string;
  readonly bytes: number;
}

export interface OutboxOptions {
  /** One end of the SOCK_SEQPACKET pair. Not closed by the outbox. */
  readonly fd: number;
  readonly totals: Totals;
  /** Asked again for each new reporter, since source and policies change. */
  readonly hello: () => Hello;
  /** Called before totals are told, for what only has to be right then. */
  readonly beforeTotals?: () => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** `alive`: the sensor lives. */
export type OutboxAnswer = () => { readonly alive: boolean; readonly reason: string };

export class Outbox {
  private readonly fd: number;
  private readonly totals: Totals;
  private readonly hello: () => Hello;
  private readonly beforeTotals: () => void;
  private readonly now: () => number;
  private readonly generation: number;
  private readonly droppedNumbered: Counter;
  private readonly droppedPlain: Counter;

  private kept: Entry[] = [];
  private keptBytes = 0;
  /** How many of `kept` were sent to this reporter. */
  private sent = 0;
  private next = 1;
  private waiting: Entry[] = [];
  private waitingBytes = 0;

  private greet = true;
  /** Totals go out until there are none: everything was marked (`whole`), somebody asked, or it is time. */
  private whole = true;
  private telling = true;
  private inRound = false;
  private told = 0;
  private pong: string | undefined;
  private watching = false;

  private readonly packet = new Uint8Array(new ArrayBuffer(PACKET_LIMIT));
  private packetLength = 0;
  private readonly request = new Uint8Array(new ArrayBuffer(REQUEST_LIMIT));

  constructor(options: OutboxOptions) {
    this.fd = options.fd;
    this.totals = options.totals;
    this.hello = options.hello;
    this.beforeTotals = options.beforeTotals ?? (() => undefined);
    this.now = options.now ?? (() => performance.now());
    this.generation = options.hello().generation;
    this.droppedNumbered = options.totals.counter("queueDropped", { queue: "numbered" });
    this.droppedPlain = options.totals.counter("queueDropped", { queue: "plain" });
  }

  /** The reporter wants every exec, as `plain`. */
  get watched(): boolean {
    return this.watching;
  }

  /** Numbered records that the reporter has not yet said to have. */
  get unacknowledged(): number {
    return this.kept.length;
  }

  /** Half of the queue of numbered records is free: room for what can wait, beside verdicts that cannot. */
  get hasRoom(): boolean {
    return this.kept.length < NUMBERED_RECORDS / 2 && this.keptBytes < NUMBERED_BYTES / 2;
  }

  /**
   * Queues a record that must not be lost. If there is no room its number is used up, and so the gap shows. `room`:
   * which part of the queue it may fill; `common` leaves some to the others.
   */
  reliable(record: EventRecord, room: "all" | "common" = "all"): void {
    const entry = entryOf(this.next, record);
    this.next += 1;
    const share = room === "all" ? 1 : 1 - RESERVED_SHARE;
    const isFull = this.kept.length >= NUMBERED_RECORDS * share;
    if (isFull || this.keptBytes + entry.bytes > NUMBERED_BYTES * share) {
      this.droppedNumbered.add(1);
      return;
    }
    this.kept.push(entry);
    this.keptBytes += entry.bytes;
  }

  /** Queues a record that may be lost, counted. */
  bestEffort(record: EventRecord): void {
    const entry = entryOf(0, record);
    if (this.waiting.length >= PLAIN_RECORDS || this.waitingBytes + entry.bytes > PLAIN_BYTES) {
      this.droppedPlain.add(1);
      return;
    }
    this.waiting.push(entry);
    this.waitingBytes += entry.bytes;
  }

  /** Milliseconds until `flush` has totals to tell, 0 if now, -1 if nothing waits: a timeout for poll. */
  get due(): number {
    if (this.telling) return 0;
    if (!this.totals.pending) return -1;
    return Math.max(0, Math.ceil(this.told + TOTALS_INTERVAL_MS - this.now()));
  }

  /**
   * Sends what waits. `blocked`: call again when `fd` is writable (which may be at once: one call's work is bounded).
   * `closed`: no reporter can come any more.
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

  /** As `flush`, but tells the totals now: before a clean end. */
  flushAll(): "drained" | "blocked" | "closed" {
    this.telling = true;
    return this.flush();
  }

  /** Reads the reporter's requests. Then `flush` has something to send. `closed`: no reporter can come any more. */
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
        this.sent = 0;
        this.greet = true;
        this.whole = true;
        this.telling = true;
        this.watching = false;
        this.pong = undefined;
        this.totals.markAllChanged();
        return;
      case "ack":
        if (request.generation === this.generation) this.acknowledge(request.n);
        return;
      case "ping": {
        const { alive, reason } = answer();
        this.pong = JSON.stringify({ type: "pong", id: request.id, alive, reason });
        this.telling = true;
        return;
      }
      case "watch":
        this.watching = request.on;
        return;
    }
  }

  private acknowledge(n: number): void {
    let done = 0;
    for (const entry of this.kept) {
      if (entry.n > n) break;
      this.keptBytes -= entry.bytes;
      done += 1;
    }
    if (done === 0) return;
    this.kept.splice(0, done);
    this.sent = Math.max(0, this.sent - done);
  }

  /** Puts the next packet together; false if there is none. */
  private prepare(): boolean {
    if (this.greet) {
      this.greet = false;
      return this.write(JSON.stringify(this.hello()));
    }
    if (this.sent < this.kept.length) return this.prepareNumbered();
    if (this.telling || this.inRound || this.due === 0) {
      if (!this.inRound) this.beforeTotals();
      this.inRound = true;
      if (this.prepareTotals()) return true;
    }
    if (this.pong !== undefined) {
      const text = this.pong;
      this.pong = undefined;
      return this.write(text);
    }
    return this.waiting.length > 0 && this.preparePlain();
  }

  private prepareNumbered(): boolean {
    const first = this.kept[this.sent]?.n ?? 0;
    const texts: string[] = [];
    let bytes = 0;
    for (let i = this.sent; i < this.kept.length && texts.length < BATCH; i += 1) {
      const entry = this.kept[i];
      if (entry === undefined || entry.n !== first + texts.length) break;
      bytes += entry.bytes + 1;
      if (bytes > BODY_LIMIT) break;
      texts.push(entry.text);
    }
    this.sent += texts.length;
    const records = texts.join(",");
    return this.write(
      `{"type":"events","generation":${this.generation},"first":${first},"records":[${records}]}`,
    );
  }

  private preparePlain(): boolean {
    let count = 0;
    let bytes = 0;
    for (const entry of this.waiting) {
      if (count === BATCH || bytes + entry.bytes + 1 > BODY_LIMIT) break;
      bytes += entry.bytes + 1;
      count += 1;
    }
    const taken = this.waiting.splice(0, count);
    for (const entry of taken) this.waitingBytes -= entry.bytes;
    return this.write(`{"type":"plain","records":[${taken.map((entry) => entry.text).join(",")}]}`);
  }

  /** False once everything that changed has been told. */
  private prepareTotals(): boolean {
    const changes = this.totals.takeChanged(BODY_LIMIT);
    const last = !this.totals.pending;
    const whole = last && this.whole;
    if (last) {
      this.telling = false;
      this.inRound = false;
      this.whole = false;
      this.told = this.now();
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

function entryOf(n: number, record: EventRecord): Entry {
  const text = fitted(record, BODY_LIMIT - 1);
  return { n, text, bytes: Buffer.byteLength(text) };
}
