// What the examiner answers about paths of this host: which are asked for, and which answers still count.
import { SETTLED_NS } from "../sensor/prevention/closed-set.ts";

export interface PathAnswer {
  /** When it was asked for. A file that has changed since may be another one; nanoseconds since 1970-01-01T00:00:00Z. */
  readonly since: bigint;
}

export interface PathAnswersInputs {
  /** Has the examiner asked about these paths. */
  readonly ask: (paths: Iterable<string>) => void;
  /** Nanoseconds since 1970-01-01T00:00:00Z. */
  readonly now: () => bigint;
}

/** A question about a path that is not answered yet. */
interface Question {
  /** When it was asked last; undefined: what the answers say no longer counts. */
  readonly since: bigint | undefined;
  /** Answers that are outstanding. They come in the order of the questions, so only the last one counts. */
  readonly outstanding: number;
  /** How often it was asked again since the answer was needed first. */
  readonly repeats: number;
}

/** An answer that is asked for again. */
interface Unsettled extends PathAnswer {
  readonly repeats: number;
}

/** More paths than any policy and baseline name below services; each takes some 200 bytes. */
const PATHS = 16_384;
/** After the first answer, and after one in whose time the file was changed: who changes it for ever causes no more. */
const REPEATS = 2;
/** What was asked for in one burst is asked for again together. */
const REPEATED_AFTER_NS = SETTLED_NS + 250_000_000n;

export class PathAnswers<Answer extends PathAnswer> {
  private readonly inputs: PathAnswersInputs;
  /**
   * Invalidated by: `forget`, when packages or the clock have changed, and `forgetThose`, when mounts have. A newer file is
   * seen by its ctime.
   */
  private readonly answers = new Map<string, Answer>();
  /**
   * What was known before `refresh`, and was not answered since. It is still right of every file that has not changed since,
   * which its ctime shows.
   */
  private previous = new Map<string, Answer>();
  /**
   * What is asked for again when files that were changed just before can be told from later ones, in the order in which that
   * is due. Until then the answer counts.
   */
  private readonly unsettled = new Map<string, Unsettled>();
  private readonly wanted = new Set<string>();
  private readonly questions = new Map<string, Question>();

  constructor(inputs: PathAnswersInputs) {
    this.inputs = inputs;
  }

  /** undefined: it is not known yet, and is asked for with the next `askWanted`. */
  get(path: string): Answer | undefined {
    const answer = this.answers.get(path);
    const hasRoom = this.answers.size + this.questions.size < PATHS;
    if (answer === undefined && !this.isAsked(path) && hasRoom) this.wanted.add(path);
    return answer ?? this.previous.get(path);
  }

  /** Whether something was asked for that is not known yet. */
  get isAwaited(): boolean {
    return this.wanted.size > 0 || this.hasQuestions();
  }

  /** Nanoseconds until `askWanted` asks again for what was answered; infinite if it does not. */
  get askedAgainIn(): number {
    if (this.unsettled.size === 0) return Number.POSITIVE_INFINITY;
    for (const { since } of this.unsettled.values())
      return Math.max(0, Number(since + REPEATED_AFTER_NS - this.inputs.now()));
    return Number.POSITIVE_INFINITY;
  }

  askWanted(): void {
    const isDue = this.askedAgainIn === 0;
    if (this.wanted.size === 0 && !isDue) return;
    const now = this.inputs.now();
    const repeats = new Map([...this.wanted].map((path) => [path, 0]));
    this.wanted.clear();
    if (isDue)
      for (const [path, { since, repeats: before }] of this.unsettled) {
        if (since + SETTLED_NS >= now) continue;
        this.unsettled.delete(path);
        repeats.set(path, before + 1);
      }
    for (const [path, times] of repeats) {
      const outstanding = (this.questions.get(path)?.outstanding ?? 0) + 1;
      this.questions.set(path, { since: now, outstanding, repeats: times });
    }
    this.inputs.ask(repeats.keys());
  }

  /** Has everything asked for again, and goes on with what is known until then. */
  refresh(): void {
    const known = new Map([...this.previous, ...this.answers]);
    const latest = known.size > PATHS ? new Map(this.answers) : known;
    this.forget();
    this.previous = latest;
  }

  /** Has everything asked for again; until then nothing is known. */
  forget(): void {
    this.forgetThose(() => true);
  }

  /** Has these paths asked for again; false if nothing was known of any of them, or asked for. */
  protected forgetThose(isForgotten: (path: string) => boolean): boolean {
    let hasForgotten = false;
    for (const path of [...this.previous.keys(), ...this.answers.keys()]) {
      if (!isForgotten(path)) continue;
      this.replace(path, undefined);
      hasForgotten = true;
    }
    for (const [path, { since, outstanding }] of [...this.questions]) {
      if (since === undefined || !isForgotten(path)) continue;
      this.questions.set(path, { since: undefined, outstanding, repeats: 0 });
      hasForgotten = true;
    }
    return hasForgotten;
  }

  /** The examiner has answered. `answerOf` is given when it was asked, and is called only if the answer counts. */
  protected accept(path: string, answerOf: (since: bigint) => Answer): void {
    const question = this.questions.get(path);
    if (question === undefined) return;
    const { since, outstanding, repeats } = question;
    // It was forgotten since, and asked for again: what was there then may be another file.
    if (outstanding > 1) {
      this.questions.set(path, { since, outstanding: outstanding - 1, repeats });
      return;
    }
    this.questions.delete(path);
    if (since === undefined) return;
    const answer = answerOf(since);
    this.replace(path, answer);
    const isAskedAgain = repeats === 0 || (repeats < REPEATS && this.isRecent(answer));
    if (isAskedAgain) this.unsettled.set(path, { since, repeats });
  }

  /** Whether the file was changed so shortly before that it cannot be told from a later one. */
  protected isRecent(_: Answer): boolean {
    return false;
  }

  /** No answer that counts is outstanding. */
  protected get isComplete(): boolean {
    return !this.hasQuestions();
  }

  /** What was answered since all was forgotten. */
  protected answerTo(path: string): Answer | undefined {
    return this.answers.get(path);
  }

  /** `answer`: undefined: what is known of the path is wrong. */
  protected replace(path: string, answer: Answer | undefined): void {
    this.previous.delete(path);
    this.unsettled.delete(path);
    if (answer === undefined) this.answers.delete(path);
    else this.answers.set(path, answer);
  }

  protected isAsked(path: string): boolean {
    return this.questions.get(path)?.since !== undefined;
  }

  private hasQuestions(): boolean {
    for (const { since } of this.questions.values()) if (since !== undefined) return true;
    return false;
  }
}
