// The warden's questions about paths, in parts that fit into packets. Never waits for an answer.

export interface PathQuestionsInputs {
  /** As that of `FileContents`: the ids of the questions are greater than this. */
  readonly idsAfter: number;
  /** The most paths of one question. */
  readonly most: number;
  /** Sends a question; false if the socket is full. */
  readonly send: (id: number, paths: readonly string[]) => boolean;
}

/** Characters of one question; a packet has room for more. */
const CHARACTERS = 16_384;

export class PathQuestions {
  private readonly inputs: PathQuestionsInputs;
  /** By id; those that the socket had no room for are sent again. */
  private readonly questions = new Map<number, { readonly paths: readonly string[]; isSent: boolean }>();
  private latestId: number;

  constructor(inputs: PathQuestionsInputs) {
    this.inputs = inputs;
    this.latestId = inputs.idsAfter;
  }

  ask(paths: Iterable<string>): void {
    let part: string[] = [];
    let characters = 0;
    for (const path of paths) {
      if (part.length >= this.inputs.most || characters + path.length > CHARACTERS) {
        this.askPart(part);
        part = [];
        characters = 0;
      }
      part.push(path);
      characters += path.length;
    }
    if (part.length > 0) this.askPart(part);
  }

  /** An answer has come. False if nobody waits for it. */
  take(id: number): boolean {
    return this.questions.delete(id);
  }

  /** Sends what the socket had no room for. */
  sendWaiting(): void {
    for (const [id, question] of this.questions) {
      if (question.isSent) continue;
      question.isSent = this.inputs.send(id, question.paths);
      if (!question.isSent) return;
    }
  }

  /** The examiner that was asked has ended. */
  askAgain(): void {
    for (const question of this.questions.values()) question.isSent = false;
    this.sendWaiting();
  }

  private askPart(paths: readonly string[]): void {
    this.latestId += 1;
    this.questions.set(this.latestId, { paths, isSent: this.inputs.send(this.latestId, paths) });
  }
}
