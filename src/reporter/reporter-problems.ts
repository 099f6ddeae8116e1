// What does not work at the reporter's outputs and its endpoint, stored for `treewarden status`. It is the reporter's own
// statement, by which nothing is decided.
import * as v from "valibot";

/** The name in the journal's memory. */
export const PROBLEMS = "reporter.problems";

export interface ReporterProblem {
  /** `logs`, `metrics`, `mail` or `endpoint`. */
  readonly what: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly text: string;
}

/** The most problems that are read, and the characters of each: a reporter has one for each of its signals. */
const MOST = 8;
const LONGEST = 1_024;

const Stored = v.pipe(
  v.string(),
  v.maxLength(MOST * 2 * LONGEST),
  v.parseJson(),
  v.pipe(
    v.array(
      v.object({
        what: v.pipe(v.string(), v.maxLength(LONGEST)),
        since: v.pipe(v.number(), v.safeInteger()),
        text: v.pipe(v.string(), v.maxLength(LONGEST)),
      }),
    ),
    v.maxLength(MOST),
  ),
);

/** What a reporter stored; none if that cannot be read. */
export function parseProblems(text: string | undefined): readonly ReporterProblem[] {
  const result = v.safeParse(Stored, text);
  return result.success ? result.output : [];
}

export class ReporterProblems {
  private readonly store: (text: string) => void;
  private readonly problems = new Map<string, ReporterProblem>();

  /** `store`: stores the text that `parseProblems` reads. What an earlier reporter stored is replaced. */
  constructor(store: (text: string) => void) {
    this.store = store;
    this.save();
  }

  has(what: string): boolean {
    return this.problems.has(what);
  }

  /** Something does not work, or still does not. `text`: what, and why. */
  begin(what: string, text: string): void {
    const known = this.problems.get(what);
    const shown = text.slice(0, LONGEST);
    if (known?.text === shown) return;
    this.problems.set(what, { what, since: known?.since ?? Date.now(), text: shown });
    this.save();
  }

  end(what: string): void {
    if (this.problems.delete(what)) this.save();
  }

  private save(): void {
    this.store(JSON.stringify([...this.problems.values()]));
  }
}
