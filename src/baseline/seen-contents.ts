// The contents of the files that learned trees run. Each path is kept once and shared by all trees that run it.
import { CONTENTS_OF_A_RUN, type Contents, joinContents } from "./contents.ts";

/** What was found at a path. */
export interface FoundContent {
  /** `sha256:` and 64 hexadecimal digits; undefined if the file could not be read. */
  readonly digest: string | undefined;
  readonly packaged: boolean;
}

export interface SeenContent<User> {
  contents: Contents;
  /** The trees that run it. */
  readonly users: User[];
  /** Its content was requested outside of a learning run, which happens once. */
  wasWanted: boolean;
}

/** Maximum number of paths. The contents of further paths stay unknown. */
const PATHS_LIMIT = 16_384;

export class SeenContents<User> {
  private readonly paths = new Map<string, SeenContent<User>>();

  /** The file at `path` of the host, added if it is new; undefined if there is no room for it. */
  of(path: string): SeenContent<User> | undefined {
    const existing = this.paths.get(path);
    if (existing !== undefined || this.paths.size >= PATHS_LIMIT) return existing;
    const created = { contents: "unknown" as const, users: [], wasWanted: false };
    this.paths.set(path, created);
    return created;
  }

  /** What is known of the file at `path`; undefined if no tree runs it. */
  contentsOf(path: string): Contents | undefined {
    return this.paths.get(path)?.contents;
  }

  /** Whether to read the file at `path`: at each exec of a learning run, otherwise once. */
  wants(path: string, isLearning: boolean): boolean {
    const seen = this.paths.get(path);
    if (seen === undefined || isLearning) return seen !== undefined;
    if (seen.wasWanted) return false;
    seen.wasWanted = true;
    return seen.contents === "unknown";
  }

  /**
   * Adds what was found at a path, and returns the path's users if that is new. In a learning run the third content
   * marks the path as one that varies; afterwards nothing is added to what the run has found.
   */
  found(path: string, { digest, packaged }: FoundContent, isLearning: boolean): readonly User[] {
    const seen = this.paths.get(path);
    if (seen === undefined) return [];
    const { contents } = seen;
    if (!isLearning && contents !== "unknown") return [];
    let joined = contents;
    if (packaged) joined = joinContents(contents, "packaged");
    else if (digest !== undefined && !contents.includes(digest)) {
      const isFull = typeof contents !== "string" && contents.length >= CONTENTS_OF_A_RUN;
      joined = isFull ? "varies" : joinContents(contents, [digest]);
    }
    if (joined === contents) return [];
    seen.contents = joined;
    return seen.users;
  }
}
