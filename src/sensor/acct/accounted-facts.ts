// What process accounting knows of a process, as facts: nearly nothing, and it says so.
import type { ProcessFacts } from "../event.ts";

/** Facts of a process of which no more than the kernel's short name is known. */
export interface AccountedFacts extends ProcessFacts {
  /**
   * `comm`: at most 15 bytes, of the file's name at first, but a process may give itself any other (prctl(2),
   * PR_SET_NAME). It is a name, not a path, so `executable` stays unknown.
   */
  readonly comm: string;
}

export function withComm(facts: ProcessFacts, comm: string): AccountedFacts {
  return { ...facts, comm };
}

/** The short name, if that is how the process is known. */
export function commOf(facts: ProcessFacts): string | undefined {
  return "comm" in facts && typeof facts.comm === "string" ? facts.comm : undefined;
}
