// The files of this host that paths of the baseline in force stand for: those of any version, as the examiner lists them.
import { mayLeadTo } from "../baseline/path-pattern.ts";
import type { ListedPattern } from "../examiner/client.ts";
import type { MatchingFiles } from "../policy/closing.ts";
import { PathAnswers } from "./path-answers.ts";

/** By compared path. */
export class ListedFiles extends PathAnswers<MatchingFiles> {
  /** The examiner has listed files. True if no other answer that counts is outstanding. */
  onListed(listed: readonly ListedPattern[]): boolean {
    for (const { pattern, paths } of listed) this.accept(pattern, (since) => ({ paths, since }));
    return this.isComplete;
  }

  /** Has those listed again of which a mount at one of `folders` can have changed any; false if there are none. */
  forgetBelow(folders: ReadonlySet<string>): boolean {
    return this.forgetThose((pattern) => [...folders].some((folder) => mayLeadTo(folder, pattern)));
  }
}
