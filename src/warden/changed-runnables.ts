// Whether a known program's file holds what it was learned with (`process.runnable.changed`), and which new contents
// were reported already.
import type { Knowledge } from "../baseline/baseline.ts";
import { isOnHost } from "../baseline/learning.ts";
import type { FoundContent } from "../baseline/seen-contents.ts";
import { treeId } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { Runnable } from "../forest/runnable.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { ProcessKey } from "../vocabulary/process-key.ts";
import type { RunnableContent, RunnableContents, SeenState } from "./runnable-contents.ts";

/** A program that runs, of which the baseline knows something. */
export interface RanProgram {
  readonly process: Pick<ProcessKey, "pid">;
  readonly lineage: Lineage;
  readonly facts: ProcessFacts;
  /** Milliseconds since the epoch. */
  readonly wallTime: number;
}

export interface ChangedRunnablesInputs {
  readonly contents: RunnableContents;
  /** Further contents that are never changed: the policy's `digests`. */
  readonly permitted: () => ReadonlySet<string>;
  /** Whether a learning run, or a tree to be proposed, is to look at the content at a path now. */
  readonly isWanted: (path: string) => boolean;
  /** The content at a path is known. */
  readonly onContent: (path: string, content: FoundContent) => void;
  /** A known program ran with a new content, for the first time. */
  readonly onChanged: (program: RanProgram, digest: string) => void;
}

/** Maximum number of contents that count as reported; the oldest is forgotten, and then reported once more. */
const MAX_REPORTED = 4096;

/** Absent: it is not known, or not yet. */
export type Changed = boolean | undefined;

export class ChangedRunnables {
  private readonly inputs: ChangedRunnablesInputs;
  /** Contents that were proposed. */
  private readonly proposed = new Set<string>();
  /** Contents of which a verdict was reported, by the hash of their key. */
  private readonly reported: Set<string>;

  /** `reported`: the result of `listReported` in the last run. */
  constructor(inputs: ChangedRunnablesInputs, reported: Iterable<string> = []) {
    this.inputs = inputs;
    this.reported = new Set(reported);
  }

  /**
   * Looks at the file of a known program if its content decides anything. undefined: it does not, or cannot be looked at
   * now.
   */
  look(program: RanProgram, knowledge: Knowledge): SeenState | undefined {
    const { lineage, facts } = program;
    const { known, contents } = knowledge;
    if (known !== true || contents === undefined || contents === "varies") return undefined;
    if (changedByBaseline(lineage.program, knowledge) === false) return undefined;
    const { path } = lineage.program;
    return path !== undefined && isOnHost(lineage, facts) ? this.see(path, program) : undefined;
  }

  /** The value of `process.runnable.changed`. `seen`: what `look` has returned. */
  isChanged(program: RanProgram, knowledge: Knowledge, seen: SeenState | undefined): Changed {
    if (changedByBaseline(program.lineage.program, knowledge) === false) return false;
    const { known, contents } = knowledge;
    const content = seen?.content;
    if (seen === undefined || content === undefined) return undefined;
    if (known === undefined || contents === undefined || contents === "varies") return undefined;
    const accepted = typeof contents === "string" ? [] : contents;
    const changed = isNew(content, accepted, this.inputs.permitted());
    const { digest } = content;
    if (changed === true && digest !== undefined && add(this.proposed, keyOf(seen.path, content)))
      this.inputs.onChanged(program, digest);
    return changed;
  }

  /**
   * Looks at the file for a learning run, if that wants its content. undefined: it does not, or it is enough to ask what
   * is at the path, as for an unknown tree that is proposed.
   */
  learn(program: RanProgram, isLearning: boolean): SeenState | undefined {
    const { lineage, facts } = program;
    if (!isOnHost(lineage, facts)) return undefined;
    const { path } = lineage.program;
    if (path === undefined || !this.inputs.isWanted(path)) return undefined;
    if (!isLearning) {
      this.inputs.contents.askAt(path, program);
      return undefined;
    }
    const seen = this.see(path, program);
    if (seen?.content !== undefined) this.inputs.onContent(path, seen.content);
    return seen;
  }

  /** Takes an answer that was outstanding. */
  onAnswer({ path, content }: SeenState): void {
    if (content !== undefined) this.inputs.onContent(path, content);
  }

  /** Whether a verdict on this content was reported before. */
  isReported({ path, content }: SeenState): boolean {
    return content !== undefined && this.reported.has(treeId(keyOf(path, content)));
  }

  /** A verdict on this content is reported: the next ones are about another. */
  setReported({ path, content }: SeenState): void {
    if (content !== undefined) add(this.reported, treeId(keyOf(path, content)));
  }

  /** What to save for the next run, so that it reports none of them again. */
  listReported(): readonly string[] {
    return [...this.reported];
  }

  private see(path: string, { process, lineage, facts, wallTime }: RanProgram): SeenState | undefined {
    return this.inputs.contents.of(path, { pid: process.pid, facts, wallTime, lineage });
  }
}

/**
 * The value of `process.runnable.changed` if the baseline alone decides it: what is not known, or is not compared, is not
 * changed. undefined: the content decides, or it is not known.
 */
export function changedByBaseline(
  { path, executable }: Runnable,
  { known, contents }: Pick<Knowledge, "known" | "contents">,
): Changed {
  if (known === undefined) return undefined;
  if (known !== true || contents === "exempt") return false;
  // Of a packaged executable, `process.executable.modified` says whether it is as its package has it.
  return contents === "packaged" && path === executable ? false : undefined;
}

/** Whether the content is neither accepted nor permitted; undefined if that is not known. */
function isNew(
  content: RunnableContent,
  accepted: readonly string[],
  permitted: ReadonlySet<string>,
): Changed {
  // What ran was written over before anybody could read it. Nothing learned, accepted or shipped does that.
  if (content.overwritten) return true;
  if (content.packaged) return false;
  if (content.digest === undefined) return undefined;
  return !accepted.includes(content.digest) && !permitted.has(content.digest);
}

/** The same content that was written once more is another event: it was restored in between, or written twice. */
function keyOf(path: string, { digest, modified }: RunnableContent): string {
  return `${path}\0${digest ?? ""}\0${modified ?? ""}`;
}

/** Adds a key and forgets the oldest beyond the limit; false if it was there. */
function add(keys: Set<string>, key: string): boolean {
  if (keys.has(key)) return false;
  keys.add(key);
  if (keys.size > MAX_REPORTED) {
    const [oldest] = keys;
    if (oldest !== undefined) keys.delete(oldest);
  }
  return true;
}
