// The warden's client of the examiner: asks once for each file, caches the answers, and never waits for one.

import type { BaseSystem } from "../fingerprint/base.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { imageKey } from "../fingerprint/image-reference.ts";
import { monotonicNow } from "../linux/clock.ts";
import { sendDescriptors } from "../linux/descriptor-passing.ts";
import { isHungUp } from "../linux/poll.ts";
import { receivePacket, sendPacket } from "../linux/socketpair.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { Containers } from "./containers.ts";
import { FileContents } from "./file-contents.ts";
import { FileEntries, type FileName, fileKey } from "./file-entries.ts";
import { PathQuestions } from "./path-questions.ts";
import {
  type BaseSystemPart,
  type ContainerAnswer,
  decodeExaminerMessage,
  type EvidenceFacts,
  type EvidenceFile,
  EXAMINE_PACKET,
  type ExaminedContent,
  type ExaminerAnswer,
  encodeExaminerMessage,
  type ListedPattern,
  type OpenedPath,
} from "./protocol.ts";

export type { ExaminedContent, ListedPattern, OpenedPath };

interface Entry extends FileName {
  /** The file's digest is wanted. */
  digest: boolean;
  /** The file's ctime in seconds since the epoch; another ctime means that the content may have changed. */
  changed: number;
  examined: ExaminedFile | undefined;
  final: boolean;
  /** ns, CLOCK_MONOTONIC */
  askedAt: number;
  asks: number;
}

/** Number of files cached; the oldest is evicted. With paths of the maximum length they take at most 16 MiB. */
const MAX_FILES = 8192;
const MAX_PATH = 1024;
/** The ctime computed from an event's time may differ from the file's own by this many seconds. */
const TOLERANCE = 2;
/** After an answer that is not final, the next exec after 5 s (in ns) asks again. */
const RETRY_NS = 5e9;
/** A file at which two examiners have ended is not asked for again for a minute: it may be the cause. */
const MAX_ASKS = 2;
/** Then, in ns, the next exec asks again: another file may have been the cause, of a user who wants this one to stay unknown. */
const GIVEN_UP_NS = 60e9;
/** The largest base system accepted, in programs; no distribution has one as large. */
const MAX_BASE = 20_000;
/**
 * A warden's generation is the time of its start in milliseconds since boot, and it asks far fewer than 1000 questions
 * in a millisecond, so that its ids stay below those of the next warden. They are safe integers for 285 years of uptime.
 */
export const IDS_PER_GENERATION = 1000;
/** At most this many questions about digests wait for room in the socket. */
const MAX_WAITING = 4096;
/** Paths of one question: each file is held open until it is answered; each pattern may stand for several. */
const OPENED_PATHS = 128;
const LISTED_PATTERNS = 64;
/** At most 64 packets are read at each turn of the poll, so that events are not delayed. */
const PACKETS_PER_TURN = 64;

/** Receives the results of the examiner. */
export interface ExaminerListener {
  base(base: BaseSystem): void;
  /** The file that was run as `path` was examined. */
  examined?(path: string, examined: ExaminedFile): void;
  /** An answer that was given earlier has changed. */
  changed?(what: "packages" | "container"): void;
  /** What `awaits` has named is answered, or the image of a container: `image:ID`. */
  answered?(key: string): void;
  /** The answer to a question of `contents`; undefined if it was given up. */
  content?(id: number, content: ExaminedContent | undefined): void;
  /** The evidence that `askEvidence` asked for. */
  evidence?(id: number, facts: EvidenceFacts): void;
  /** The examiner `pid` has these files open until this returns. */
  opened?(pid: number, files: readonly OpenedPath[]): void;
  listed?(patterns: readonly ListedPattern[]): void;
  /** /etc/ld.so.preload has changed. */
  preloadChanged?(): void;
}

export class ExaminerClient {
  private descriptor: number;
  readonly containers: Containers;
  readonly contents: FileContents;
  /** Files that the kernel is to recognise. */
  readonly opened: PathQuestions;
  /** Paths of a baseline, of which it is asked what files they stand for. */
  readonly listed: PathQuestions;
  private readonly generation: number;
  private readonly listener: ExaminerListener;
  private readonly now: () => number;
  /** Invalidated by: another ctime of the file, and another state of the package database (`invalidateAll`). */
  private readonly files = new FileEntries<Entry>(MAX_FILES);
  private readonly packet = new Uint8Array(new ArrayBuffer(EXAMINE_PACKET));
  private base: Map<string, string> | undefined;
  private waiting: Entry[] = [];
  /** The state of the package database from which the base system was made. */
  private packages: string | undefined;
  /** The examiner has exited because it was idle, with no question unanswered. */
  private asleep = false;

  /**
   * `fd`: the warden's end of the socket pair. `generation`: when the warden started, in milliseconds since boot. `now`: ns,
   * CLOCK_MONOTONIC.
   */
  constructor(fd: number, generation: number, listener: ExaminerListener, now = monotonicNow) {
    this.descriptor = fd;
    this.now = now;
    this.generation = generation;
    this.listener = listener;
    this.containers = new Containers(
      (id) => sendPacket(this.fd, encodeExaminerMessage({ type: "container", id })),
      () => listener.changed?.("container"),
    );
    this.contents = new FileContents({
      idsAfter: generation * IDS_PER_GENERATION,
      send: (id, path, fd) => {
        const packet = encodeExaminerMessage({ type: "content", id, path });
        return fd === undefined ? sendPacket(this.fd, packet) : sendDescriptors(this.fd, packet, [fd]);
      },
      onAnswer: (id, content) => listener.content?.(id, content),
    });
    this.opened = new PathQuestions({
      idsAfter: generation * IDS_PER_GENERATION,
      most: OPENED_PATHS,
      send: (id, paths) =>
        sendPacket(this.fd, encodeExaminerMessage({ type: "open", id, paths: [...paths] })),
    });
    this.listed = new PathQuestions({
      idsAfter: generation * IDS_PER_GENERATION,
      most: LISTED_PATTERNS,
      send: (id, patterns) =>
        sendPacket(this.fd, encodeExaminerMessage({ type: "list", id, patterns: [...patterns] })),
    });
    this.begin();
  }

  /** The warden's end of the socket pair. */
  get fd(): number {
    return this.descriptor;
  }

  /** Continues with a new examiner on the socket `fd`. Questions that waited in the old one are asked again. */
  connect(fd: number): void {
    this.descriptor = fd;
    this.asleep = false;
  }

  /**
   * What is known of the file that a process of the host runs; asks the examiner if nothing is known yet. `wallTime` is
   * the time of the facts, in milliseconds since the epoch. `digest`: the digest of the file's content is wanted too,
   * also when the file is replaced later.
   */
  lookup(facts: ProcessFacts, wallTime: number, digest = false): ExaminedFile | undefined {
    const { executable, device, inode, executableAge } = facts;
    if (executable === undefined || device === undefined || inode === undefined) return undefined;
    if (executableAge === undefined || facts.executableDeleted !== false || facts.executableMemfd !== false)
      return undefined;
    if (executable.length > MAX_PATH || !executable.startsWith("/")) return undefined;
    const changed = wallTime / 1000 - executableAge;
    const entry = this.files.find(executable, device, inode);
    const isSame = entry !== undefined && Math.abs(entry.changed - changed) <= TOLERANCE;
    const needsDigest = digest && entry?.digest !== true;
    if (isSame && entry.final && !needsDigest) return entry.examined;
    if (entry === undefined) {
      this.ask(newEntry(executable, device, inode, changed, digest));
    } else if (needsDigest) {
      const asked = isSame ? entry : newEntry(executable, device, inode, changed, true);
      asked.digest = true;
      this.ask(asked);
    } else if (mayAskAgain(entry, isSame, this.now())) {
      const asked = isSame ? entry : newEntry(executable, device, inode, changed, entry.digest);
      this.ask(asked);
    }
    return isSame ? entry.examined : undefined;
  }

  /** A name for the answer that `lookup` waits for; undefined if it waits for none. */
  awaits({ executable, device, inode }: ProcessFacts): string | undefined {
    if (executable === undefined || device === undefined || inode === undefined) return undefined;
    const entry = this.files.find(executable, device, inode);
    const isAwaited = entry !== undefined && entry.examined === undefined;
    return isAwaited ? fileKey(executable, device, inode) : undefined;
  }

  /**
   * Asks for evidence, with copies of the descriptors of `files`; `sockets`: inodes of the sockets to be described.
   * `copyBytes`: the largest executable that is copied to the file `copy`, if that is among them. False if the socket is full. It is asked for once: who waits for it gives up sooner than an examiner starts.
   */
  askEvidence(
    id: number,
    files: ReadonlyMap<EvidenceFile, number>,
    sockets: readonly number[],
    copyBytes: number,
  ): boolean {
    const packet = encodeExaminerMessage({
      type: "evidence",
      id,
      files: [...files.keys()],
      sockets: [...sockets],
      copyBytes,
    });
    return sendDescriptors(this.fd, packet, [...files.values()]);
  }

  /** Number of files cached. */
  get size(): number {
    return this.files.size;
  }

  /** Handles the examiner's waiting messages. Never blocks. False if the socket was shut down. */
  receive(): boolean {
    for (let i = 0; i < PACKETS_PER_TURN; i++) {
      const length = receivePacket(this.fd, this.packet);
      if (length === 0) return !isHungUp(this.fd);
      if (length < 0) return true;
      const message = decodeExaminerMessage(this.packet.subarray(0, length));
      if (message?.type === "answer") this.onAnswer(message);
      else if (message?.type === "base") this.onBasePart(message);
      else if (message?.type === "container") this.onContainer(message);
      else if (message?.type === "content") this.onContent(message);
      else if (message?.type === "evidence") {
        const { type: _type, id, ...facts } = message;
        this.listener.evidence?.(id, facts);
      } else if (message?.type === "opened") this.onOpened(message);
      else if (message?.type === "listed") this.onListed(message);
      else if (message?.type === "ready") this.onRestart();
      else if (message?.type === "asleep") this.asleep = true;
      else if (message?.type === "packages") this.onPackages(message.state);
      else if (message?.type === "preload") this.listener.preloadChanged?.();
      this.askWaiting();
    }
    return true;
  }

  private onContainer({ id, image, pod }: ContainerAnswer): void {
    this.containers.take(id, image, pod);
    this.listener.answered?.(imageKey(id));
  }

  private onContent({
    id,
    type: _type,
    ...content
  }: ExaminedContent & { id: number; type: "content" }): void {
    this.contents.take(id, content);
  }

  private onOpened({ id, pid, files }: { id: number; pid: number; files: readonly OpenedPath[] }): void {
    if (this.opened.take(id)) this.listener.opened?.(pid, files);
    sendPacket(this.fd, encodeExaminerMessage({ type: "release", id }));
  }

  private onListed({ id, patterns }: { id: number; patterns: readonly ListedPattern[] }): void {
    if (this.listed.take(id)) this.listener.listed?.(patterns);
  }

  private askWaiting(): void {
    this.contents.sendWaiting();
    this.opened.sendWaiting();
    this.listed.sendWaiting();
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (!this.ask(next)) return;
      this.waiting.shift();
    }
  }

  private begin(): void {
    const { generation, packages } = this;
    const state = packages === undefined ? {} : { packages };
    sendPacket(this.fd, encodeExaminerMessage({ type: "begin", generation, ...state }));
  }

  /** False if the socket is full. A digest is then asked for when there is room, everything else at the next exec. */
  private ask(entry: Entry): boolean {
    const { path, device, inode, digest } = entry;
    const question = digest ? { path, device, inode, digest } : { path, device, inode };
    if (!sendPacket(this.fd, encodeExaminerMessage(question))) {
      if (digest && this.waiting.length < MAX_WAITING && !this.waiting.includes(entry))
        this.waiting.push(entry);
      return false;
    }
    entry.askedAt = this.now();
    entry.asks += 1;
    this.files.remember(entry);
    return true;
  }

  private onAnswer(answer: ExaminerAnswer): void {
    const { path, device, inode, changed, final } = answer;
    if (path.length > MAX_PATH) return;
    const cached = this.files.find(path, device, inode);
    if (cached === undefined && changed === undefined) return;
    const entry = cached ?? newEntry(path, device, inode, changed ?? 0, false);
    const previous = entry.examined;
    entry.examined = {
      ...(answer.package === undefined ? {} : { package: answer.package }),
      ...(answer.unpackaged === undefined ? {} : { unpackaged: answer.unpackaged }),
      ...(answer.modified === undefined ? {} : { modified: answer.modified }),
      ...(answer.digest === undefined ? {} : { digest: answer.digest }),
    };
    // A first answer needs no notice: rules that lacked it were undecided, and undecided verdicts are not cached.
    if (previous !== undefined && !isSameOwner(previous, entry.examined)) this.listener.changed?.("packages");
    entry.final = final;
    // The count is kept while the digest is outstanding, because reading it may be what ends the examiner.
    if (!entry.digest || answer.digest !== undefined) entry.asks = 0;
    if (changed !== undefined) entry.changed = changed;
    if (cached === undefined) this.files.remember(entry);
    if (entry.digest && changed !== undefined) this.listener.examined?.(path, entry.examined);
    if (previous === undefined) this.listener.answered?.(fileKey(path, device, inode));
  }

  private onBasePart({ files, first, last }: BaseSystemPart): void {
    if (first) this.base = new Map();
    if (this.base === undefined) return;
    for (const [path, origin] of files) if (this.base.size < MAX_BASE) this.base.set(path, origin);
    if (!last) return;
    this.listener.base({ files: this.base });
    this.base = undefined;
  }

  /** A new examiner has started. Unless the previous one was idle, the questions that it had received are lost. */
  private onRestart(): void {
    this.base = undefined;
    this.begin();
    if (!this.asleep) this.askAgain();
    this.asleep = false;
  }

  private askAgain(): void {
    this.containers.askAgain();
    this.contents.askAgain();
    this.opened.askAgain();
    this.listed.askAgain();
    for (const entry of [...this.files.values()])
      if (isUnanswered(entry) && entry.asks < MAX_ASKS) this.ask(entry);
  }

  private onPackages(packages: string): void {
    const hasChanged = this.packages !== undefined && packages !== this.packages;
    this.packages = packages;
    if (!hasChanged) return;
    this.invalidateAll();
    this.listener.changed?.("packages");
  }

  /** Makes every file be asked for again when it runs next, because packages have changed. */
  private invalidateAll(): void {
    for (const entry of this.files.values()) {
      entry.final = false;
      entry.askedAt = 0;
    }
  }
}

/** True if both agree on the package that owns the file, and on whether the file was modified. */
function isSameOwner(a: ExaminedFile, b: ExaminedFile): boolean {
  return a.package === b.package && a.unpackaged === b.unpackaged && a.modified === b.modified;
}

/** `isSame`: the file has not changed since it was asked for. What was asked for and not given up is waited for. */
function mayAskAgain({ askedAt, examined, asks }: Entry, isSame: boolean, now: number): boolean {
  const since = now - askedAt;
  const isGivenUp = asks >= MAX_ASKS && since >= GIVEN_UP_NS;
  return since >= RETRY_NS && (!isSame || examined !== undefined || isGivenUp);
}

/** True if a part of the question has not been answered. */
function isUnanswered({ examined, digest }: Entry): boolean {
  return examined === undefined || (digest && examined.digest === undefined);
}

function newEntry(path: string, device: number, inode: number, changed: number, digest: boolean): Entry {
  return { path, device, inode, changed, digest, examined: undefined, final: false, askedAt: 0, asks: 0 };
}
