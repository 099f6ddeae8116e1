// Sets that the kernel knows by number: equal ones have one, and a number is never used again.
import { SystemCallError } from "../linux/libc.ts";

/** What a set is refused for; for a person. */
export type SetProblem = (why: string) => void;

export class NumberedSets {
  private readonly limit: number;
  private readonly byContent = new Map<string, number>();
  private unused = new Set<string>();
  private next = 1;

  /** `limit`: of different sets at a time. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** How many different sets there are. */
  get size(): number {
    return this.byContent.size;
  }

  /** Forgets all sets, whose numbers it returns. */
  takeAll(): readonly number[] {
    const numbers = [...this.byContent.values()];
    this.byContent.clear();
    this.unused.clear();
    return numbers;
  }

  /** From now on `takeUnused` counts those as unused that `numberOf` is not asked for. */
  beginUse(): void {
    this.unused = new Set(this.byContent.keys());
  }

  /** Forgets the sets that were not used since `beginUse`, and returns their numbers. */
  takeUnused(): readonly number[] {
    const numbers: number[] = [];
    for (const content of this.unused) {
      const number = this.byContent.get(content);
      this.byContent.delete(content);
      if (number !== undefined) numbers.push(number);
    }
    this.unused.clear();
    return numbers;
  }

  /** The number of the set with this content, which `define` gives to the kernel; 0 if there is no room for it. */
  numberOf(content: string, define: (set: number) => void, onProblem: SetProblem): number {
    const known = this.byContent.get(content);
    if (known !== undefined) {
      this.unused.delete(content);
      return known;
    }
    if (this.byContent.size >= this.limit) {
      onProblem(`more than ${this.limit} different sets`);
      return 0;
    }
    const set = this.next;
    this.next += 1;
    try {
      define(set);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      onProblem(error.message);
      return 0;
    }
    this.byContent.set(content, set);
    return set;
  }
}
