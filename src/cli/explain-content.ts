// Whether a live process runs a content that was accepted, for `explain`. Uses the warden's own code, but reads the file
// at once instead of asking the examiner.
import type { Knowledge } from "../baseline/baseline.ts";
import type { PackageDatabase } from "../examiner/database.ts";
import { examineContent } from "../examiner/examine.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import type { Policy } from "../policy/policy.ts";
import { type Changed, ChangedRunnables, type RanProgram } from "../warden/changed-runnables.ts";
import { RunnableContents } from "../warden/runnable-contents.ts";

export interface ExplainedContent {
  /** The value of `process.runnable.changed`. */
  readonly changed: Changed;
  /** One sentence. */
  readonly why: string;
}

export interface ContentHost {
  readonly policy: Policy;
  readonly database: PackageDatabase | undefined;
}

export function explainContent(
  program: RanProgram,
  knowledge: Knowledge,
  { policy, database }: ContentHost,
): ExplainedContent {
  let asked: { readonly path: string; readonly fd: number | undefined } | undefined;
  const contents = new RunnableContents({
    questions: {
      ask: (path, fd) => {
        asked = { path, fd };
        return 0;
      },
    },
    now: () => 0,
  });
  const changes = new ChangedRunnables({
    contents,
    permitted: () => policy.digests,
    isWanted: () => false,
    onContent: () => undefined,
    onChanged: () => undefined,
  });
  const seen = changes.look(program, knowledge);
  if (asked !== undefined) {
    const { path, fd } = asked;
    contents.take(0, examineContent(path, fd, database));
    if (fd !== undefined) closeDescriptor(fd);
  }
  const changed = changes.isChanged(program, knowledge, seen);
  if (knowledge.known !== true) return { changed, why: "not compared: the tree is not known" };
  const { contents: learned } = knowledge;
  if (learned === "exempt")
    return { changed, why: "not compared: its path is folded, or below a temporary directory" };
  if (learned === undefined) return { changed, why: "cannot be determined: no content was learned" };
  if (learned === "varies") return { changed, why: "cannot be determined: it varied while learning" };
  if (seen?.content?.packaged === true) return { changed, why: "as its package brought it" };
  if (learned === "packaged" && changed === false)
    return { changed, why: "not compared: a package owns the file" };
  const digest = seen?.content?.digest;
  if (digest === undefined) return { changed, why: "cannot be determined: the file cannot be read" };
  if (changed === true) return { changed, why: `changed: ${digest} was neither learned nor accepted` };
  return { changed, why: `${learned.includes(digest) ? "accepted" : "permitted by the policy"}: ${digest}` };
}
