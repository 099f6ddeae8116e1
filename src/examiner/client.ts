// What the warden knows from the examiner: asked once for each file, never waited for.

import type { BaseSystem } from "../fingerprint/base.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { monotonicNow } from "../linux/clock.ts";
import { receivePacket, sendPacket } from "../linux/socketpair.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { ContainerImages } from "./container-images.ts";
import {
  type BaseSystemPart,
  decodeExaminerMessage,
  EXAMINE_PACKET,
  type ExaminerAnswer,
  encodeExaminerMessage,
} from "./protocol.ts";

interface Entry {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  /** Its digest is wanted. */
  digest: boolean;
  /** The file's ctime, seconds since the epoch: another one is another content. */
  changed: number;
  examined: ExaminedFile | undefined;
  final: boolean;
  /** ns, CLOCK_MONOTONIC */
  askedAt: number;
  asks: number;
}

/** Files remembered; the oldest goes. With the longest path that is asked for: at most 16 MiB. */
const MOST_FILES = 8192;
const LONGEST_PATH = 1024;
/** An event's time, from which the ctime comes, and the file's own may be so far apart: seconds. */
const TOLERANCE = 2;
/** An answer that is not final is asked for again, at an exec, after so long: ns. */
const AGAIN_NS = 5e9;
/** A file that ended two examiners is not asked for again. */
const MOST_ASKS = 2;
/** No distribution's base system has more programs. */
const MOST_BASE = 20_000;
/** Questions about digests that wait until there is room for them. */
const MOST_WAITING = 4096;
/** Events go first: so many packets at one turn of the poll. */
const PACKETS_A_TURN = 64;

/** What is done with what the examiner says. */
export interface ExaminerListener {
  base(base: BaseSystem): void;
  /** Something is known of the file that was run under `path`. */
  examined?(path: string, examined: ExaminedFile): void;
  /** An answer that was given before is another one now. */
  changed?(what: "packages" | "container image"): void;
}

export class ExaminerClient {
  readonly fd: number;
  readonly images: ContainerImages;
  private readonly generation: number;
  private readonly listener: ExaminerListener;
  /** Invalidated by: another ctime of the file, and another state of the package database (`doubt`). */
  private readonly files = new Map<string, Entry>();
  private readonly packet = new Uint8Array(new ArrayBuffer(EXAMINE_PACKET));
  private base: Map<string, string> | undefined;
  private waiting: Entry[] = [];
  /** The state of the package database that the base system was told by. */
  private packages: string | undefined;
  /** The examiner has ended and left no question unanswered. */
  private asleep = false;

  /** `fd`: the end of the pair to the examiner. `generation`: no two wardens of one run have the same. */
  constructor(fd: number, generation: number, listener: ExaminerListener) {
    this.fd = fd;
    this.generation = generation;
    this.listener = listener;
    this.images = new ContainerImages(
      (id) => sendPacket(fd, encodeExaminerMessage({ type: "container", id })),
      () => listener.changed?.("container image"),
    );
    this.begin();
  }

  /**
   * What is known of the file that a process of the host runs; asks the examiner if that is nothing yet. `wallTime`:
   * of the facts, milliseconds since the epoch. `digest`: that of its content is wanted too, and of what takes its place.
   */
  lookup(facts: ProcessFacts, wallTime: number, digest = false): ExaminedFile | undefined {
    const { executable, device, inode, executableAge } = facts;
    if (executable === undefined || device === undefined || inode === undefined) return undefined;
    if (executableAge === undefined || facts.executableDeleted !== false || facts.executableMemfd !== false)
      return undefined;
    if (executable.length > LONGEST_PATH || !executable.startsWith("/")) return undefined;
    const changed = wallTime / 1000 - executableAge;
    const key = keyOf(executable, device, inode);
    const entry = this.files.get(key);
    const isSame = entry !== undefined && Math.abs(entry.changed - changed) <= TOLERANCE;
    const isDue = digest && entry?.digest !== true;
    if (isSame && entry.final && !isDue) return entry.examined;
    if (entry === undefined) {
      this.ask(key, newEntry(executable, device, inode, changed, digest));
    } else if (isDue) {
      const again = isSame ? entry : newEntry(executable, device, inode, changed, true);
      again.digest = true;
      this.ask(key, again);
    } else if (monotonicNow() - entry.askedAt >= AGAIN_NS && (!isSame || entry.examined !== undefined)) {
      const again = isSame ? entry : newEntry(executable, device, inode, changed, entry.digest);
      this.ask(key, again);
    }
    return isSame ? entry.examined : undefined;
  }

  /** Files remembered. */
  get size(): number {
    return this.files.size;
  }

  /** Takes what the examiner has said, without waiting. */
  receive(): void {
    for (let i = 0; i < PACKETS_A_TURN; i++) {
      const length = receivePacket(this.fd, this.packet);
      if (length <= 0) return;
      const told = decodeExaminerMessage(this.packet.subarray(0, length));
      if (told?.type === "answer") this.take(told);
      else if (told?.type === "base") this.takeBase(told);
      else if (told?.type === "container") this.images.take(told.id, told.image);
      else if (told?.type === "ready") this.another();
      else if (told?.type === "asleep") this.asleep = true;
      else if (told?.type === "packages") this.takeState(told.state);
      this.askWaiting();
    }
  }

  private askWaiting(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (!this.ask(keyOf(next.path, next.device, next.inode), next)) return;
      this.waiting.shift();
    }
  }

  private begin(): void {
    const { generation, packages } = this;
    const known = packages === undefined ? {} : { packages };
    sendPacket(this.fd, encodeExaminerMessage({ type: "begin", generation, ...known }));
  }

  /** False if there was no room: it is asked for at the next exec; for its digest, as soon as there is room. */
  private ask(key: string, entry: Entry): boolean {
    const { path, device, inode, digest } = entry;
    const question = digest ? { path, device, inode, digest } : { path, device, inode };
    if (!sendPacket(this.fd, encodeExaminerMessage(question))) {
      if (digest && this.waiting.length < MOST_WAITING && !this.waiting.includes(entry))
        this.waiting.push(entry);
      return false;
    }
    entry.askedAt = monotonicNow();
    entry.asks += 1;
    this.remember(key, entry);
    return true;
  }

  private remember(key: string, entry: Entry): void {
    this.files.delete(key);
    this.files.set(key, entry);
    if (this.files.size <= MOST_FILES) return;
    const [oldest] = this.files.keys();
    if (oldest !== undefined) this.files.delete(oldest);
  }

  private take(answer: ExaminerAnswer): void {
    const { path, device, inode, changed, final } = answer;
    if (path.length > LONGEST_PATH) return;
    const key = keyOf(path, device, inode);
    const before = this.files.get(key);
    if (before === undefined && changed === undefined) return;
    const entry = before ?? newEntry(path, device, inode, changed ?? 0, false);
    const known = entry.examined;
    entry.examined = {
      ...(answer.package === undefined ? {} : { package: answer.package }),
      ...(answer.unpackaged === undefined ? {} : { unpackaged: answer.unpackaged }),
      ...(answer.modified === undefined ? {} : { modified: answer.modified }),
      ...(answer.digest === undefined ? {} : { digest: answer.digest }),
    };
    // What had no answer left its rules undecided, so that nothing was settled by it.
    if (known !== undefined && !isSameOwner(known, entry.examined)) this.listener.changed?.("packages");
    entry.final = final;
    // A digest that is still wanted may be what ends the examiner.
    if (!entry.digest || answer.digest !== undefined) entry.asks = 0;
    if (changed !== undefined) entry.changed = changed;
    if (before === undefined) this.remember(key, entry);
    if (entry.digest && changed !== undefined) this.listener.examined?.(path, entry.examined);
  }

  private takeBase({ files, first, last }: BaseSystemPart): void {
    if (first) this.base = new Map();
    if (this.base === undefined) return;
    for (const [path, origin] of files) if (this.base.size < MOST_BASE) this.base.set(path, origin);
    if (!last) return;
    this.listener.base({ files: this.base });
    this.base = undefined;
  }

  /** Another examiner: unless it was asleep, what the one before it had taken and not answered is lost. */
  private another(): void {
    this.base = undefined;
    this.begin();
    if (!this.asleep) this.askAgain();
    this.asleep = false;
  }

  private askAgain(): void {
    this.images.askAgain();
    for (const [key, entry] of this.files)
      if (isWanting(entry) && entry.asks < MOST_ASKS) this.ask(key, entry);
  }

  private takeState(packages: string): void {
    const isAnother = this.packages !== undefined && packages !== this.packages;
    this.packages = packages;
    if (!isAnother) return;
    this.doubt();
    this.listener.changed?.("packages");
  }

  /** Packages have changed: each file is asked for again when it next runs. */
  private doubt(): void {
    for (const entry of this.files.values()) {
      entry.final = false;
      entry.askedAt = 0;
    }
  }
}

function keyOf(path: string, device: number, inode: number): string {
  return `${device}:${inode}:${path}`;
}

/** Both say the same of the package that owns the file, and of whether it is as the package has it. */
function isSameOwner(a: ExaminedFile, b: ExaminedFile): boolean {
  return a.package === b.package && a.unpackaged === b.unpackaged && a.modified === b.modified;
}

/** Something of what was asked has not been answered. */
function isWanting({ examined, digest }: Entry): boolean {
  return examined === undefined || (digest && examined.digest === undefined);
}

function newEntry(path: string, device: number, inode: number, changed: number, digest: boolean): Entry {
  return { path, device, inode, changed, digest, examined: undefined, final: false, askedAt: 0, asks: 0 };
}
