// The examiner's loop: answers the warden's questions one by one, and tells it when packages change. It decides
// nothing and may be ended at any moment: what it was asked is asked again. With nothing to do it ends by itself.
import { statSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { imageName } from "../fingerprint/image-reference.ts";
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
import {
  decodeExaminerRequest,
  EXAMINE_PACKET,
  type ExaminerMessage,
  type ExaminerQuestion,
  encodeExaminerMessage,
} from "./protocol.ts";
import { imageOf } from "./runtime-images.ts";

export interface ExaminerOptions {
  readonly base: Config["base"];
  /** Where the system lies; default `/`. */
  readonly root?: string;
  /** The end of the pair to the warden. */
  readonly askFd: number;
  readonly controlFd: number;
  /** A `GrowthWatch` on the package database's folder. */
  readonly packagesFd: number;
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
/** It ends so long after its last work: the memory that the package database takes is free while nobody asks. ns. */
const SLEEP_AFTER = 3e9;
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
  private readonly unread: ExaminerQuestion[] = [];
  private database: PackageDatabase | undefined;
  private readonly watch: GrowthWatch;
  /** When to look whether the database can be read again, ns of the monotonic clock; 0: it has not changed. */
  private changedAt = 0;
  /** The warden that was told the base system. */
  private generation = -1;
  /** When to end if nothing comes, ns of the monotonic clock. */
  private sleepAt = 0;
  private blocked = false;
  private stopping = false;

  constructor(options: ExaminerOptions) {
    this.options = options;
    this.place = { root: options.root ?? "" };
    this.watch = new GrowthWatch(options.packagesFd);
  }

  run(): void {
    setProcessName("tw-examiner");
    standBack();
    this.poll.add(this.options.controlFd, CONTROL, EPOLLIN);
    this.poll.add(this.options.askFd, ASK, EPOLLIN);
    this.poll.add(this.watch.fd, WATCH, EPOLLIN);
    // What it saw until now is about to be read.
    this.watch.clear();
    this.say({ type: "ready" });
    this.read();
    this.stayAwake();
    while (!this.stopping) {
      const ready = this.poll.wait(this.timeout());
      let asked = false;
      for (let i = 0; i < ready; i++) asked = this.serve(this.poll.tokens[i] ?? 0) || asked;
      const now = monotonicNow();
      if (ready === 0 && now >= this.sleepAt && this.isIdle) this.sleep();
      if (this.changedAt > 0 && now >= this.changedAt) this.readAgain();
      else if (!asked && !this.blocked) this.lookAhead();
      this.flush();
    }
  }

  private timeout(): number {
    if (this.ahead.length + this.unread.length > 0 && !this.blocked) return 0;
    if (this.blocked && this.changedAt === 0) return -1;
    const next = this.changedAt > 0 ? this.changedAt : this.sleepAt;
    return Math.max(0, Math.ceil((next - monotonicNow()) / 1e6));
  }

  private get isIdle(): boolean {
    return this.changedAt === 0 && this.ahead.length + this.unread.length === 0 && !this.blocked;
  }

  private stayAwake(): void {
    this.sleepAt = monotonicNow() + SLEEP_AFTER;
  }

  /** What comes from now on waits in the socket and in the watch, and the supervisor sees it there. */
  private sleep(): void {
    this.say({ type: "asleep" });
    this.stopping = !this.blocked;
  }

  private serve(token: number): boolean {
    if (token === CONTROL) {
      const orders = this.options.readOrders();
      this.stopping = orders.includes("stop") || orders.includes("hangup");
    } else if (token === WATCH) {
      this.watch.clear();
      this.stayAwake();
      this.changedAt = monotonicNow() + QUIET;
    } else if (token === ASK && !this.blocked) return this.answerOne();
    return false;
  }

  /** One at a time: orders come between. While the warden takes no answers it is asked for no more questions. */
  private answerOne(): boolean {
    const length = receivePacket(this.options.askFd, this.packet);
    if (length === 0) this.stopping = true;
    if (length <= 0) return false;
    const question = decodeExaminerRequest(this.packet.subarray(0, length));
    if (question === undefined) return true;
    this.stayAwake();
    if ("type" in question && question.type === "container") {
      this.tellImage(question.id);
      return true;
    }
    if ("type" in question) {
      this.begin(question.generation, question.packages);
      return true;
    }
    if (question.digest && this.unread.length < MOST_UNREAD) this.unread.push(question);
    this.answer(question, this.place);
    return true;
  }

  private answer(question: ExaminerQuestion, options: ExamineOptions): void {
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

  private tellImage(id: string): void {
    endAfter(ANSWER_WITHIN);
    const image = imageOf(id, this.place.root);
    this.say({ type: "container", id, ...(image === undefined ? {} : { image: imageName(image) }) });
    endAfter(0);
  }

  private begin(generation: number, packages: string | undefined): void {
    if (generation === this.generation) return;
    this.generation = generation;
    if (packages !== this.state) this.tellBase();
  }

  private get state(): string {
    return this.database?.stamp ?? "";
  }

  private lookAhead(): void {
    const question = this.unread.shift();
    if (question !== undefined) {
      this.answer(question, { ...this.place, digest: true });
      this.stayAwake();
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
    if (this.ahead.length === 0) this.stayAwake();
  }

  private read(): void {
    endAfter(READ_WITHIN);
    this.database = openPackages(this.place.root);
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
    this.stayAwake();
  }

  private tellBase(): void {
    endAfter(READ_WITHIN);
    const { files } = baseOf(this.database, this.options.base);
    endAfter(0);
    this.ahead = this.database === undefined ? [] : [...files.keys()];
    const all = [...files].filter(([path]) => path.length < 4096).sort(([a], [b]) => (a < b ? -1 : 1));
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
    this.say({ type: "packages", state: this.state });
  }

  private say(message: ExaminerMessage): void {
    this.unsent.push(encodeExaminerMessage(message));
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
