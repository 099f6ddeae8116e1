// The warden's questions about the contents of files: each is asked with a descriptor of the file where there is one,
// repeated for a new examiner, and given up after a while. Never waits for an answer.
import { monotonicNow } from "../linux/clock.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { type Payer, Shares } from "../vocabulary/shares.ts";
import type { ExaminedContent } from "./protocol.ts";

interface Question {
  readonly path: string;
  /** Belongs to the question, and is closed with it. */
  readonly fd: number | undefined;
  /** ns, CLOCK_MONOTONIC */
  readonly since: number;
  readonly payers: readonly Payer[];
  /** How many examiners were asked. */
  asks: number;
}

export interface FileContentsInputs {
  /**
   * The ids of the questions are greater than this. The socket to the examiner survives a warden, so answers to the
   * questions of the previous warden may arrive: no two wardens of a run may use the same ids.
   */
  readonly idsAfter: number;
  /** Sends a question, with a copy of `fd`; false if the socket is full. */
  readonly send: (id: number, path: string, fd: number | undefined) => boolean;
  /** The answer to the question `id`; undefined if it was given up. */
  readonly onAnswer: (id: number, content: ExaminedContent | undefined) => void;
  /** ns, CLOCK_MONOTONIC */
  readonly now?: () => number;
}

/** Maximum number of questions without an answer: each holds a descriptor. */
const MAX_QUESTIONS = 512;
/** Of one user other than root, so that nobody keeps questions about other users' programs from being asked. */
const MAX_OF_USER = MAX_QUESTIONS / 2;
/** A question during which two examiners have ended is given up, because its file may be the cause. */
const MAX_ASKS = 2;
/** A question is given up after 30 s (in ns): reading the package database may take seconds. */
const GIVE_UP_NS = 30e9;
/** Longest path that is asked for, in characters. */
const MAX_PATH = 1024;

export class FileContents {
  private readonly inputs: FileContentsInputs;
  private readonly now: () => number;
  /** Oldest first. */
  private readonly questions = new Map<number, Question>();
  private readonly shares = new Shares(MAX_QUESTIONS, MAX_OF_USER);
  private latestId: number;

  constructor(inputs: FileContentsInputs) {
    this.inputs = inputs;
    this.now = inputs.now ?? monotonicNow;
    this.latestId = inputs.idsAfter;
  }

  /**
   * Asks for the content of the file behind `fd`, which is closed later, or of the one at `path`, at the charge of `payers`.
   * Returns the question's id; undefined if too many questions wait, and then `fd` is closed.
   */
  ask(path: string, fd: number | undefined, payers: readonly Payer[]): number | undefined {
    if (path.length > MAX_PATH || !this.shares.take(payers)) {
      if (fd !== undefined) closeDescriptor(fd);
      return undefined;
    }
    this.latestId += 1;
    const asks = this.inputs.send(this.latestId, path, fd) ? 1 : 0;
    this.questions.set(this.latestId, { path, fd, since: this.now(), payers, asks });
    return this.latestId;
  }

  /** Takes the examiner's answer; an answer that was not asked for is ignored. */
  take(id: number, content: ExaminedContent): void {
    this.end(id, content);
  }

  /** Sends the questions for which the socket had no room, as far as it has some now. */
  sendWaiting(): void {
    for (const [id, question] of this.questions) if (question.asks === 0 && !this.send(id, question)) return;
  }

  /** Must be called for a new examiner: repeats the questions that the previous one has lost. */
  askAgain(): void {
    for (const [id, question] of [...this.questions]) {
      if (question.asks >= MAX_ASKS) this.end(id, undefined);
      else if (!this.send(id, question)) question.asks = 0;
    }
  }

  /** Nanoseconds until `giveUp` has something to do; undefined if no question waits. */
  dueIn(now: number): number | undefined {
    if (this.questions.size === 0) return undefined;
    const [oldest] = this.questions.values();
    return oldest === undefined ? undefined : Math.max(0, oldest.since + GIVE_UP_NS - now);
  }

  /** Gives up the questions that have waited for too long. */
  giveUp(now: number): void {
    if (this.questions.size === 0) return;
    for (const [id, { since }] of this.questions) {
      if (now - since < GIVE_UP_NS) return;
      this.end(id, undefined);
    }
  }

  private send(id: number, question: Question): boolean {
    const isSent = this.inputs.send(id, question.path, question.fd);
    if (isSent) question.asks += 1;
    return isSent;
  }

  private end(id: number, content: ExaminedContent | undefined): void {
    const question = this.questions.get(id);
    if (question === undefined) return;
    this.questions.delete(id);
    this.shares.giveBack(question.payers);
    if (question.fd !== undefined) closeDescriptor(question.fd);
    this.inputs.onAnswer(id, content);
  }
}
