// Whether a known program's file holds what it was learned with (`process.runnable.changed`), and which new contents
// were reported already.
import type { Knowledge } from "../baseline/baseline.ts";
import { comparedPath } from "../baseline/compared-path.ts";
import { type Contents, contentPath } from "../baseline/contents.ts";
import { isOnHost } from "../baseline/learning.ts";
import type { FoundContent } from "../baseline/seen-contents.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import type { Lineage } from "../forest/lineage.ts";
import { unambiguous } from "../linux/text.ts";
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
  /** What was accepted for a path, given as it is compared. */
  readonly accepted: (path: string) => Contents;
  /** Further contents that are never changed: the policy's `digests`. */
  readonly permitted: () => ReadonlySet<string>;
  /** Whether a learning run, or a tree to be proposed, wants the content at a path. */
  readonly isWanted: (path: string) => boolean;
  /** The content at a path is known. */
  readonly onContent: (path: string, content: FoundContent) => void;
  /** A known program ran with a new content, for the first time. */
  readonly onChanged: (program: RanProgram, digest: string) => void;
}

/** Maximum number of contents that count as reported; the oldest is forgotten, and then reported once more. */
const MAX_REPORTED = 4096;

/** Absent: it cannot be told, or not yet. */
export type Changed = boolean | undefined;

/** A path whose contents are compared: as it is, and as the baseline compares it. */
interface ComparedPath {
  readonly path: string;
  readonly inBaseline: string;
}

export class ChangedRunnables {
  private readonly inputs: ChangedRunnablesInputs;
  /** null: not compared. Invalidated by: nothing, it depends on the runnable alone. */
  private readonly paths = new WeakMap<Runnable, ComparedPath | null>();
  /** Contents that were proposed. */
  private readonly proposed = new Set<string>();
  /** Contents of which a verdict was reported. */
  private readonly reported = new Set<string>();

  constructor(inputs: ChangedRunnablesInputs) {
    this.inputs = inputs;
  }

  /**
   * Looks at the file of a known program if its content decides anything. undefined: it does not, or cannot be looked at
   * now.
   */
  look(program: RanProgram, { known }: Knowledge): SeenState | undefined {
    const { lineage, facts } = program;
    if (known !== true || !isOnHost(lineage, facts)) return undefined;
    const compared = this.pathOf(lineage.program);
    if (compared === null || typeof this.inputs.accepted(compared.inBaseline) === "string") return undefined;
    return this.see(compared.path, program, lineage.program);
  }

  /** The value of `process.runnable.changed`. `seen`: what `look` has returned. */
  isChanged(program: RanProgram, { known }: Knowledge, seen: SeenState | undefined): Changed {
    if (known === undefined) return undefined;
    if (known !== true) return false;
    const { lineage, facts } = program;
    const compared = this.pathOf(lineage.program);
    if (compared === null) return false;
    if (!isOnHost(lineage, facts)) return undefined;
    const { path, inBaseline } = compared;
    const accepted = this.inputs.accepted(inBaseline);
    if (typeof accepted === "string") return accepted === "packaged" ? false : undefined;
    const content = seen?.content;
    if (content === undefined) return undefined;
    const changed = isNew(content, accepted, this.inputs.permitted());
    const { digest } = content;
    if (changed === true && digest !== undefined && add(this.proposed, keyOf(path, content)))
      this.inputs.onChanged(program, digest);
    return changed;
  }

  /** Looks at the file for the learning, if that wants its content. undefined: it does not. */
  learn(program: RanProgram): SeenState | undefined {
    const { lineage, facts } = program;
    if (!isOnHost(lineage, facts)) return undefined;
    const path = this.pathOf(lineage.program)?.path;
    if (path === undefined || !this.inputs.isWanted(path)) return undefined;
    const seen = this.see(path, program, lineage.program);
    if (seen?.content !== undefined) this.inputs.onContent(path, seen.content);
    return seen;
  }

  /** Takes an answer that was outstanding. */
  onAnswer({ path, content }: SeenState): void {
    if (content !== undefined && this.inputs.isWanted(path)) this.inputs.onContent(path, content);
  }

  /** Whether a verdict on this content was reported before. */
  isReported({ path, content }: SeenState): boolean {
    return content !== undefined && this.reported.has(keyOf(path, content));
  }

  /** A verdict on this content is reported: the next ones are about another. */
  setReported({ path, content }: SeenState): void {
    if (content !== undefined) add(this.reported, keyOf(path, content));
  }

  private see(path: string, program: RanProgram, runnable: Runnable): SeenState | undefined {
    const { process, facts, wallTime } = program;
    return this.inputs.contents.of(path, { pid: process.pid, facts, wallTime, runnable });
  }

  private pathOf(runnable: Runnable): ComparedPath | null {
    const known = this.paths.get(runnable);
    if (known !== undefined) return known;
    const path = contentPath(runnable);
    const compared = path === undefined ? null : { path, inBaseline: comparedPath(unambiguous(path)) };
    this.paths.set(runnable, compared);
    return compared;
  }
}

/** Whether the content is neither accepted nor permitted; undefined if that cannot be told. */
function isNew(
  content: RunnableContent,
  accepted: readonly string[],
  permitted: ReadonlySet<string>,
): Changed {
  if (content.packaged) return false;
  // What ran was written over before anybody could read it. Nothing learned, accepted or shipped does that.
  if (content.overwritten) return true;
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
