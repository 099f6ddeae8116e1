// Answers of the examiner about paths of this host: asks for those that are needed, and knows which answers are still valid.
//
// A path goes through these states: wanted (`get` has found nothing), asked (`askWanted`), answered (`accept`), and for a while
// unsettled, if it has to be asked again because a file that was changed just before the answer cannot be told from a later one.
import { SETTLED_NS } from "../sensor/prevention/closed-set.ts";

export interface PathAnswer {
  /** When it was asked for; nanoseconds since 1970-01-01T00:00:00Z. A file with a later ctime may be another one. */
  readonly since: bigint;
}

export interface PathAnswersInputs {
  /** Sends questions about these paths to the examiner. */
  readonly ask: (paths: Iterable<string>) => void;
  /** Nanoseconds since 1970-01-01T00:00:00Z. */
  readonly now: () => bigint;
}

/** A question about a path that is not answered yet. */
interface Question {
  /** When it was asked last; undefined: it was forgotten since, and its answers are ignored. */
  readonly since: bigint | undefined;
  /** How many answers are outstanding. They come in the order of the questions, and only the last one counts. */
  readonly outstanding: number;
  /** How often it was asked again since the answer was needed first. */
  readonly repeats: number;
}

/** An answer that is asked for again. */
interface Unsettled extends PathAnswer {
  readonly repeats: number;
}

/** The most paths: more than any policy and baseline name below services. Each takes some 200 bytes. */
const PATHS = 16_384;
/** How often a path is asked again: after the first answer, and once more if the file was changed, not at every change. */
const REPEATS = 2;
/** After a question. The 250 ms beyond SETTLED_NS have paths that were asked for in one burst asked again together. */
const REPEATED_AFTER_NS = SETTLED_NS + 250_000_000n;

export class PathAnswers<Answer extends PathAnswer> {
  private readonly inputs: PathAnswersInputs;
  /**
   * Invalidated by: `forget`, when packages or the clock have changed, and `forgetThose`, when mounts have. A newer file is
   * seen by its ctime.
   */
  private readonly answers = new Map<string, Answer>();
  /**
   * Answers from before `refresh` to paths that were not answered since. They still hold for every file that has not changed
   * since, which its ctime shows.
   */
  private previous = new Map<string, Answer>();
  /**
   * Paths that are asked again once a file that was changed just before the answer can be told from later ones, in the order in
   * which that is due. Until then the answer counts.
   */
  private readonly unsettled = new Map<string, Unsettled>();
  private readonly wanted = new Set<string>();
  private readonly questions = new Map<string, Question>();

  constructor(inputs: PathAnswersInputs) {
    this.inputs = inputs;
  }

  /** The answer about the path; undefined: there is none yet, and the next `askWanted` asks for it. */
  get(path: string): Answer | undefined {
    const answer = this.answers.get(path);
    const hasRoom = this.answers.size + this.questions.size < PATHS;
    if (answer === undefined && !this.isAsked(path) && hasRoom) this.wanted.add(path);
    return answer ?? this.previous.get(path);
  }

  /** Whether there are paths whose answers are still to come. */
  get isAwaited(): boolean {
    return this.wanted.size > 0 || this.hasQuestions();
  }

  /** Nanoseconds until `askWanted` has a path to ask again; infinite if there is none. */
  get askedAgainIn(): number {
    if (this.unsettled.size === 0) return Number.POSITIVE_INFINITY;
    for (const { since } of this.unsettled.values())
      return Math.max(0, Number(since + REPEATED_AFTER_NS - this.inputs.now()));
    return Number.POSITIVE_INFINITY;
  }

  /** Asks the examiner about all paths that are wanted, and about those that are due to be asked again. */
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

  /** Asks for every path again when it is next needed, and uses the present answers until then. */
  refresh(): void {
    const known = new Map([...this.previous, ...this.answers]);
    const latest = known.size > PATHS ? new Map(this.answers) : known;
    this.forget();
    this.previous = latest;
  }

  /** Forgets all answers: every path is asked for again when it is next needed. */
  forget(): void {
    this.forgetThose(() => true);
  }

  /** Forgets the answers about these paths; false if none of them was known or asked for. */
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

  /** The examiner has answered. `answerOf` gets the time of the question, and is called only if the answer counts. */
  protected accept(path: string, answerOf: (since: bigint) => Answer): void {
    const question = this.questions.get(path);
    if (question === undefined) return;
    const { since, outstanding, repeats } = question;
    // It was asked again since. The file that lay there at the first question may be another one.
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

  /** The answer about the path that was given since the last `refresh`. */
  protected answerTo(path: string): Answer | undefined {
    return this.answers.get(path);
  }

  /** Replaces what is known of the path; `answer` is undefined if that is wrong and nothing else is known. */
  protected replace(path: string, answer: Answer | undefined): void {
    this.previous.delete(path);
    this.unsettled.delete(path);
    if (answer === undefined) this.answers.delete(path);
    else this.answers.set(path, answer);
  }

  /** Whether an answer about the path is outstanding that counts. */
  protected isAsked(path: string): boolean {
    return this.questions.get(path)?.since !== undefined;
  }

  private hasQuestions(): boolean {
    for (const { since } of this.questions.values()) if (since !== undefined) return true;
    return false;
  }
}
