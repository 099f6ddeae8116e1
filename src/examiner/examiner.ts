// The examiner's loop: answers the warden's questions one by one, and tells it when packages change. It decides
// nothing and may be ended at any moment: what it was asked is asked again.
import { statSync } from "node:fs";
import type { Config } from "../config/config.ts";
import type { BaseSystem } from "../fingerprint/base.ts";
import {
  decodeAsked,
  EXAMINE_PACKET,
  encodeMessage,
  type Question,
  type Told,
} from "../fingerprint/examined.ts";
import { endAfter } from "../linux/alarm.ts";
import { monotonicNow } from "../linux/clock.ts";
import { EPOLLIN, EPOLLOUT, Poll } from "../linux/epoll.ts";
import { GrowthWatch } from "../linux/inotify.ts";
import { setIdleIo } from "../linux/ioprio.ts";
import { setNice, setProcessName } from "../linux/process.ts";
import { receivePacket, sendPacket } from "../linux/socketpair.ts";
import { baseOf } from "./base.ts";
import type { PackageDatabase } from "./database.ts";
import { type ExamineOptions, examine } from "./examine.ts";
import { openPackages } from "./open.ts";

export interface ExaminerOptions {
  readonly base: Config["base"];
  /** Where the system lies; default `/`. */
  readonly root?: string;
  /** The end of the pair to the warden. */
  readonly askFd: number;
  readonly controlFd: number;
  readonly readOrders: () => readonly string[];
}

const ASK = 1;
const CONTROL = 2;
const WATCH = 3;

/** Seconds for one question, and for reading the database. A file system that takes longer ends the process. */
const ANSWER_WITHIN = 10;
const READ_WITHIN = 120;
/** The database is read again when nothing was written to it for so long, and nobody holds its lock: ns. */
const QUIET = 3e9;
/** Garbage is collected so long after the work, and again as long after that: ns. */
const COLLECT_AFTER = 2e9;
const COLLECTIONS = 2;
/** Files that wait for their digests. */
const MOST_UNREAD = 4096;
/** Path and origin of so many programs fit into a packet for sure. */
const BASE_PART = 1000;
const PART_CHARACTERS = 40_000;

export function runExaminer(options: ExaminerOptions): void {
  new Examiner(options).run();
}

class Examiner {
  private readonly options: ExaminerOptions;
  private readonly place: { readonly root: string };
  private readonly poll = new Poll();
  private readonly packet = new Uint8Array(new ArrayBuffer(EXAMINE_PACKET));
  private readonly unsent: Uint8Array[] = [];
  /** Base programs that nobody has asked for yet: looked at when nothing else is to do. */
  private ahead: string[] = [];
  /** Files whose digest is wanted: read when nothing is asked. */
  private readonly unread: Question[] = [];
  private database: PackageDatabase | undefined;
  private watch: GrowthWatch | undefined;
  /** When to look whether the database can be read again, ns of the monotonic clock; 0: it has not changed. */
  private changedAt = 0;
  private base: BaseSystem = { files: new Map() };
  private told = "";
  /** The warden that was told the base system. */
  private generation = -1;
  /** When to give memory back, ns of the monotonic clock; 0: there is none to give. */
  private collectAt = 0;
  private collections = 0;
  private blocked = false;
  private stopping = false;

  constructor(options: ExaminerOptions) {
    this.options = options;
    this.place = { root: options.root ?? "" };
  }

  run(): void {
    setProcessName("tw-examiner");
    standBack();
    this.poll.add(this.options.controlFd, CONTROL, EPOLLIN);
    this.poll.add(this.options.askFd, ASK, EPOLLIN);
    this.say({ type: "ready" });
    this.read();
    while (!this.stopping) {
      const ready = this.poll.wait(this.timeout());
      let asked = false;
      for (let i = 0; i < ready; i++) asked = this.serve(this.poll.tokens[i] ?? 0) || asked;
      const now = monotonicNow();
      if (this.collectAt > 0 && now >= this.collectAt) this.collect(now);
      if (this.changedAt > 0 && now >= this.changedAt) this.readAgain();
      else if (!asked && !this.blocked) this.lookAhead();
      this.flush();
    }
  }

  private timeout(): number {
    if (this.ahead.length + this.unread.length > 0 && !this.blocked) return 0;
    const times = [this.changedAt, this.collectAt].filter((time) => time > 0);
    return times.length === 0 ? -1 : Math.max(0, Math.ceil((Math.min(...times) - monotonicNow()) / 1e6));
  }

  /** Gives back what reading the database and the files has left: the second time also what was free but kept. */
  private collect(now: number): void {
    Bun.gc(true);
    this.collections += 1;
    this.collectAt = this.collections < COLLECTIONS ? now + COLLECT_AFTER : 0;
  }

  private serve(token: number): boolean {
    if (token === CONTROL) {
      const orders = this.options.readOrders();
      this.stopping = orders.includes("stop") || orders.includes("hangup");
    } else if (token === WATCH) {
      this.watch?.clear();
      this.changedAt = monotonicNow() + QUIET;
    } else if (token === ASK && !this.blocked) return this.answerOne();
    return false;
  }

  /** One at a time: orders come between. While the warden takes no answers it is asked for no more questions. */
  private answerOne(): boolean {
    const length = receivePacket(this.options.askFd, this.packet);
    if (length === 0) this.stopping = true;
    if (length <= 0) return false;
    const question = decodeAsked(this.packet.subarray(0, length));
    if (question === undefined) return true;
    if ("type" in question) {
      this.begin(question.generation);
      return true;
    }
    if (question.digest && this.unread.length < MOST_UNREAD) this.unread.push(question);
    this.answer(question, this.place);
    return true;
  }

  private answer(question: Question, options: ExamineOptions): void {
    endAfter(ANSWER_WITHIN);
    try {
      const answer = examine(question, this.database, options);
      this.say(answer);
      if (!answer.final && this.changedAt === 0 && this.database?.isCurrent() === false)
        this.changedAt = monotonicNow() + QUIET;
    } catch {
      // A database that cannot be read, a file whose disk is broken: nothing is known.
      const { path, device, inode } = question;
      this.say({ type: "answer", path, device, inode, final: false });
    }
    endAfter(0);
  }

  private begin(generation: number): void {
    if (generation === this.generation) return;
    this.generation = generation;
    this.told = "";
    this.tellBase();
  }

  private lookAhead(): void {
    const question = this.unread.shift();
    if (question !== undefined) {
      this.answer(question, { ...this.place, digest: true });
      this.collections = 0;
      this.collectAt = monotonicNow() + COLLECT_AFTER;
      return;
    }
    const path = this.ahead.pop();
    if (path === undefined) return;
    endAfter(ANSWER_WITHIN);
    try {
      const { dev: device, ino: inode } = statSync(`${this.place.root}${path}`);
      const answer = examine({ path, device, inode }, this.database, this.place);
      if (answer.changed !== undefined) this.say(answer);
    } catch {
      // It is asked for when it runs.
    }
    endAfter(0);
    if (this.ahead.length === 0) this.collectAt = monotonicNow() + COLLECT_AFTER;
  }

  private read(): void {
    endAfter(READ_WITHIN);
    this.database = openPackages(this.place.root);
    this.collections = 0;
    this.watchDatabase();
    this.base = baseOf(this.database, this.options.base);
    endAfter(0);
    if (this.generation >= 0) this.tellBase();
  }

  /** After a change of the database: at once if nobody is at work on it, else when it is quiet again. */
  private readAgain(): void {
    if (this.database?.isBusy() === true) {
      this.changedAt = monotonicNow() + QUIET;
      return;
    }
    this.changedAt = 0;
    if (this.database?.isCurrent() === true) return;
    this.read();
    this.say({ type: "changed" });
  }

  private watchDatabase(): void {
    if (this.watch !== undefined || this.database === undefined) return;
    try {
      this.watch = new GrowthWatch(this.database.folder);
      this.poll.add(this.watch.fd, WATCH, EPOLLIN);
    } catch {
      // Without a watch every question finds out that the database has changed.
    }
  }

  private tellBase(): void {
    this.ahead = this.database === undefined ? [] : [...this.base.files.keys()];
    const all = [...this.base.files]
      .filter(([path]) => path.length < 4096)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const digest = JSON.stringify(all);
    if (digest === this.told) return;
    this.told = digest;
    const parts: [string, string][][] = [[]];
    let characters = 0;
    for (const [path, origin] of all) {
      const last = parts.at(-1);
      characters += path.length + origin.length;
      if (last !== undefined && last.length < BASE_PART && characters < PART_CHARACTERS)
        last.push([path, origin.slice(0, 255)]);
      else {
        parts.push([[path, origin.slice(0, 255)]]);
        characters = path.length + origin.length;
      }
    }
    for (const [at, part] of parts.entries())
      this.say({ type: "base", files: part, first: at === 0, last: at === parts.length - 1 });
  }

  private say(message: Told): void {
    this.unsent.push(encodeMessage(message));
    this.flush();
  }

  /** What the warden does not take now waits; nothing more is asked for or looked at until it is gone. */
  private flush(): void {
    const { askFd } = this.options;
    for (let next = this.unsent[0]; next !== undefined; next = this.unsent[0]) {
      if (!sendPacket(askFd, next)) break;
      this.unsent.shift();
    }
    const blocked = this.unsent.length > 0;
    if (blocked === this.blocked) return;
    this.blocked = blocked;
    this.poll.modify(askFd, ASK, blocked ? EPOLLOUT : EPOLLIN);
  }
}

function standBack(): void {
  setNice(19);
  try {
    setIdleIo();
  } catch {
    // A filter of system calls may forbid it.
  }
}
