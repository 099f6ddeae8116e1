// The examiner's event loop: answers the warden's questions one by one, and reports changes of packages. It takes no
// decisions and may be killed at any moment, because the warden repeats its questions. It exits by itself when idle.
import { statSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { imageName } from "../fingerprint/image-reference.ts";
import { monotonicNow } from "../linux/clock.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { receiveDescriptors } from "../linux/descriptor-passing.ts";
import { EPOLLIN, EPOLLOUT, Poll } from "../linux/epoll.ts";
import { GrowthWatch } from "../linux/inotify.ts";
import { setIdleIo } from "../linux/ioprio.ts";
import { setNice, setProcessName } from "../linux/process.ts";
import { sendPacket } from "../linux/socketpair.ts";
import { baseOf } from "./base.ts";
import { describeContainer } from "./container-description.ts";
import type { PackageDatabase } from "./database.ts";
import { readEvidence } from "./evidence.ts";
import { type ExamineOptions, examine, examineContent } from "./examine.ts";
import { MemoryReads } from "./memory-reads.ts";
import { openPackages } from "./open.ts";
import { OpenFiles } from "./open-files.ts";
import { listPatterns } from "./path-listing.ts";
import {
  decodeExaminerRequest,
  type EvidenceFacts,
  type EvidenceFile,
  EXAMINE_PACKET,
  type ExaminedContent,
  type ExaminerMessage,
  type ExaminerQuestion,
  type ExaminerRequest,
  encodeExaminerMessage,
} from "./protocol.ts";

export interface ExaminerOptions {
  readonly base: Config["base"];
  /** Root directory of the examined system; default `/`. */
  readonly root?: string;
  /** The examiner's end of the socket pair with the warden. */
  readonly askFd: number;
  readonly controlFd: number;
  /** A `GrowthWatch` on the package database's folder and on /etc. */
  readonly packagesFd: number;
  readonly readOrders: () => readonly string[];
  /**
   * Has this process killed if it has not called again after `seconds`, because a file system does not answer; 0 ends
   * the limit. The time in which the process waits for a CPU does not count.
   */
  readonly limitTime: (seconds: number) => void;
}

const ASK = 1;
const CONTROL = 2;
const WATCH = 3;

/** Time limits in seconds for one question and for reading the database, see `limitTime`. */
const ANSWER_TIMEOUT = 10;
const READ_TIMEOUT = 120;
/** The database is read again once it was not written for 3 s (in ns) and is not locked. */
const SETTLE_NS = 3e9;
/** An idle examiner exits after 3 s (in ns), to free the memory that the package database takes. */
const IDLE_NS = 3e9;
/** ld.so(8): in /etc, the libraries that the loader puts into every program. */
const PRELOAD_FILE = "ld.so.preload";
/** At most this many files wait for their digests. */
const MAX_UNREAD = 4096;
/** At most 1,000 entries and 40,000 characters per packet: as JSON they stay below EXAMINE_PACKET. */
const PART_ENTRIES = 1000;
const PART_CHARACTERS = 40_000;

export function runExaminer(options: ExaminerOptions): void {
  new Examiner(options).run();
}

class Examiner {
  private readonly options: ExaminerOptions;
  private readonly system: { readonly root: string };
  private readonly poll = new Poll();
  private readonly packet = new Uint8Array(new ArrayBuffer(EXAMINE_PACKET));
  private readonly unsent: Uint8Array[] = [];
  /** Base programs that the warden has not asked about yet; they are examined when there is nothing else to do. */
  private prefetch: string[] = [];
  /** Files whose digest is wanted; they are read when no question waits. */
  private readonly unread: ExaminerQuestion[] = [];
  private database: PackageDatabase | undefined;
  private readonly files: OpenFiles;
  private readonly memory = new MemoryReads();
  private readonly watch: GrowthWatch;
  /** When to try to read the changed database again; ns, CLOCK_MONOTONIC. 0 if it has not changed. */
  private rereadAt = 0;
  /** The generation of the warden that the base system was sent to; -1 before any warden has asked for it. */
  private generation = -1;
  /** When to exit if nothing happens until then; ns, CLOCK_MONOTONIC. */
  private exitAt = 0;
  private blocked = false;
  private stopping = false;

  constructor(options: ExaminerOptions) {
    this.options = options;
    this.system = { root: options.root ?? "" };
    this.files = new OpenFiles(this.system.root);
    this.watch = new GrowthWatch(options.packagesFd);
  }

  run(): void {
    setProcessName("tw-examiner");
    lowerPriority();
    this.poll.add(this.options.controlFd, CONTROL, EPOLLIN);
    this.poll.add(this.options.askFd, ASK, EPOLLIN);
    this.poll.add(this.watch.fd, WATCH, EPOLLIN);
    this.send({ type: "ready" });
    // The database is read below, so earlier changes of packages do not matter.
    this.readWatch();
    this.readDatabase();
    this.postponeExit();
    while (!this.stopping) {
      const ready = this.poll.wait(this.timeout());
      let hadQuestion = false;
      for (let i = 0; i < ready; i++) hadQuestion = this.handle(this.poll.tokens[i] ?? 0) || hadQuestion;
      const now = monotonicNow();
      if (ready === 0 && now >= this.exitAt && this.isIdle) this.goToSleep();
      if (this.rereadAt > 0 && now >= this.rereadAt) this.rereadDatabase();
      else if (!hadQuestion && !this.blocked) this.doIdleWork();
      this.flush();
    }
  }

  private timeout(): number {
    if (this.prefetch.length + this.unread.length > 0 && !this.blocked) return 0;
    if (this.blocked && this.rereadAt === 0) return -1;
    const next = this.rereadAt > 0 ? this.rereadAt : this.exitAt;
    return Math.max(0, Math.ceil((next - monotonicNow()) / 1e6));
  }

  private get isIdle(): boolean {
    return (
      this.rereadAt === 0 &&
      this.prefetch.length + this.unread.length === 0 &&
      !this.blocked &&
      this.files.isEmpty
    );
  }

  private postponeExit(): void {
    this.exitAt = monotonicNow() + IDLE_NS;
  }

  /**
   * Announces the exit. Later questions and changes wait in the socket and the watch, where the supervisor sees them.
   */
  private goToSleep(): void {
    this.send({ type: "asleep" });
    this.stopping = !this.blocked;
  }

  /** Empties the watch. A change that concerns every program is reported at once. */
  private readWatch(): void {
    if (this.watch.takeNames().has(PRELOAD_FILE)) this.send({ type: "preload" });
  }

  /** Handles one ready descriptor; true if it was a question. */
  private handle(token: number): boolean {
    if (token === CONTROL) {
      const orders = this.options.readOrders();
      this.stopping = orders.includes("stop") || orders.includes("hangup");
    } else if (token === WATCH) {
      this.readWatch();
      this.postponeExit();
      this.rereadAt = monotonicNow() + SETTLE_NS;
    } else if (token === ASK && !this.blocked) return this.answerNext();
    return false;
  }

  /**
   * Answers one question, so that orders are handled between two of them. Must not be called while an answer cannot be
   * sent. True if there was a question.
   */
  private answerNext(): boolean {
    const { length, descriptors } = receiveDescriptors(this.options.askFd, this.packet);
    try {
      if (length === 0) this.stopping = true;
      if (length <= 0) return false;
      const question = decodeExaminerRequest(this.packet.subarray(0, length));
      if (question !== undefined) this.answerRequest(question, descriptors);
      return true;
    } finally {
      for (const each of descriptors) closeDescriptor(each);
    }
  }

  /** `descriptors`: those that came with the question; the caller closes them. */
  private answerRequest(question: ExaminerRequest, descriptors: readonly number[]): void {
    this.postponeExit();
    if ("type" in question && question.type === "content") {
      this.sendContent(question.id, question.path, descriptors[0]);
      return;
    }
    if ("type" in question && question.type === "evidence") {
      this.sendEvidence(question, descriptors);
      return;
    }
    if ("type" in question && question.type === "container") {
      this.sendContainer(question.id);
      return;
    }
    if ("type" in question && question.type === "open") {
      this.openFiles(question.id, question.paths);
      return;
    }
    if ("type" in question && question.type === "list") {
      this.listFiles(question.id, question.patterns);
      return;
    }
    if ("type" in question && question.type === "release") {
      this.files.release(question.id);
      return;
    }
    if ("type" in question) {
      this.onWardenStart(question.generation, question.packages);
      return;
    }
    if (question.digest && this.unread.length < MAX_UNREAD) this.unread.push(question);
    this.answer(question, this.system);
  }

  private sendContent(id: number, path: string, fd: number | undefined): void {
    this.options.limitTime(ANSWER_TIMEOUT);
    let content: ExaminedContent = { packaged: false };
    try {
      content = examineContent(path, fd, this.database, this.system.root);
    } catch {
      // The database or the file cannot be read, so nothing is known about the file.
    }
    this.send({ type: "content", id, ...content });
    this.options.limitTime(0);
  }

  private sendEvidence(
    { id, files, sockets, copyBytes }: Extract<ExaminerRequest, { readonly type: "evidence" }>,
    descriptors: readonly number[],
  ): void {
    this.options.limitTime(ANSWER_TIMEOUT);
    const opened = new Map<EvidenceFile, number>();
    for (const [i, file] of files.entries()) {
      const fd = descriptors[i];
      if (fd !== undefined) opened.set(file, fd);
    }
    let facts: EvidenceFacts = { sockets: [] };
    try {
      facts = readEvidence(opened, sockets, this.memory, copyBytes);
    } catch {
      // The executable cannot be read, so nothing is known about it.
    }
    this.send({ type: "evidence", id, ...facts });
    this.options.limitTime(0);
  }

  private openFiles(id: number, paths: readonly string[]): void {
    this.options.limitTime(ANSWER_TIMEOUT);
    this.send({ type: "opened", id, pid: process.pid, files: [...this.files.open(id, paths)] });
    this.options.limitTime(0);
  }

  private listFiles(id: number, patterns: readonly string[]): void {
    this.options.limitTime(ANSWER_TIMEOUT);
    this.send({ type: "listed", id, patterns: [...listPatterns(patterns, this.system.root)] });
    this.options.limitTime(0);
  }

  private answer(question: ExaminerQuestion, options: ExamineOptions): void {
    this.options.limitTime(ANSWER_TIMEOUT);
    try {
      const answer = examine(question, this.database, options);
      this.send(answer);
      if (!answer.final && this.rereadAt === 0 && this.database?.isCurrent() === false)
        this.rereadAt = monotonicNow() + SETTLE_NS;
    } catch {
      // The database or the file cannot be read, so nothing is known about the file.
      const { path, device, inode } = question;
      this.send({ type: "answer", path, device, inode, final: false });
    }
    this.options.limitTime(0);
  }

  private sendContainer(id: string): void {
    this.options.limitTime(ANSWER_TIMEOUT);
    const { image, pod } = describeContainer(id, this.system.root);
    this.send({ type: "container", id, image: image === undefined ? undefined : imageName(image), pod });
    this.options.limitTime(0);
  }

  private onWardenStart(generation: number, packages: string | undefined): void {
    if (generation === this.generation) return;
    this.generation = generation;
    this.files.releaseAll();
    if (packages !== this.state) this.sendBase();
  }

  private get state(): string {
    return this.database?.stamp ?? "";
  }

  /** Reads one digest that is wanted, or else examines one base program in advance. */
  private doIdleWork(): void {
    const question = this.unread.shift();
    if (question !== undefined) {
      this.answer(question, { ...this.system, digest: true });
      this.postponeExit();
      return;
    }
    const path = this.prefetch.pop();
    if (path === undefined) return;
    this.options.limitTime(ANSWER_TIMEOUT);
    try {
      const { dev: device, ino: inode } = statSync(`${this.system.root}${path}`);
      const answer = examine({ path, device, inode }, this.database, this.system);
      if (answer.changed !== undefined) this.send(answer);
    } catch {
      // The file cannot be examined now; the warden asks when it runs.
    }
    this.options.limitTime(0);
    if (this.prefetch.length === 0) this.postponeExit();
  }

  private readDatabase(): void {
    this.options.limitTime(READ_TIMEOUT);
    this.database = openPackages(this.system.root);
    this.options.limitTime(0);
    if (this.generation >= 0) this.sendBase();
  }

  /** Reads the changed database, or waits for another SETTLE_NS if a package manager is working on it. */
  private rereadDatabase(): void {
    if (this.database?.isBusy() === true) {
      this.rereadAt = monotonicNow() + SETTLE_NS;
      return;
    }
    this.rereadAt = 0;
    if (this.database?.isCurrent() === true) return;
    this.readDatabase();
    this.postponeExit();
  }

  private sendBase(): void {
    this.options.limitTime(READ_TIMEOUT);
    const { files } = baseOf(this.database, this.options.base);
    this.options.limitTime(0);
    this.prefetch = this.database === undefined ? [] : [...files.keys()];
    const all = [...files].filter(([path]) => path.length < 4096).sort(([a], [b]) => (a < b ? -1 : 1));
    const parts: [string, string][][] = [[]];
    let characters = 0;
    for (const [path, origin] of all) {
      const last = parts.at(-1);
      characters += path.length + origin.length;
      if (last !== undefined && last.length < PART_ENTRIES && characters < PART_CHARACTERS)
        last.push([path, origin.slice(0, 255)]);
      else {
        parts.push([[path, origin.slice(0, 255)]]);
        characters = path.length + origin.length;
      }
    }
    for (const [i, part] of parts.entries())
      this.send({ type: "base", files: part, first: i === 0, last: i === parts.length - 1 });
    this.send({ type: "packages", state: this.state });
  }

  private send(message: ExaminerMessage): void {
    this.unsent.push(encodeExaminerMessage(message));
    this.flush();
  }

  /** Sends waiting messages. If the socket is full, no question is read and no file examined until they are sent. */
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

/** Gives up CPU and disk time to every other process, as far as a filter of system calls lets it. */
function lowerPriority(): void {
  for (const giveUp of [() => setNice(19), setIdleIo])
    try {
      giveUp();
    } catch {
      // systemd's, for example (SystemCallFilter=~@resources): it examines with the ordinary priority.
    }
}
