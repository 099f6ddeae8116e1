// What the files of runnables hold, as far as it is known: asks the examiner whenever a file is seen in another state
// than before, with a descriptor of the very file that the process runs, and never waits for the answer.
import { payersOf } from "../enforcement/offender.ts";
import type { ExaminedContent, ExaminerClient } from "../examiner/client.ts";
import type { Lineage } from "../forest/lineage.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import {
  type FileState,
  isSameFileState,
  type OpenedFile,
  openExecutable,
  openInRootOf,
  sameContent,
} from "../linux/proc/process-file.ts";
import { cString } from "../linux/text.ts";
import type { ProcessFacts } from "../sensor/event.ts";

/** The content of a file in one state. */
export interface RunnableContent {
  /** `sha256:` and 64 hexadecimal digits; undefined if it is not known. */
  readonly digest: string | undefined;
  readonly packaged: boolean;
  /** Somebody wrote to the file, or replaced it, after the process began to run it and before it could be read. */
  readonly overwritten: boolean;
  /**
   * Time of the last write before the process ran it, or of the change that came before it could be read: ns since 1970;
   * undefined if that is not known.
   */
  readonly modified: number | undefined;
}

/** What is known, or was asked, about the file at a path in one state. */
export interface SeenState {
  readonly path: string;
  /** undefined if the file could not be opened, and until the examiner has answered. */
  state: FileState | undefined;
  /** The process had ended, and this is not the file that it ran, or not as it was. */
  readonly isAnother: boolean;
  /** undefined while the answer is outstanding. */
  content: RunnableContent | undefined;
  /** The question's id. */
  readonly question: number;
  /** ns, CLOCK_MONOTONIC */
  readonly askedAt: number;
}

export interface RunnableContentsInputs {
  readonly questions: Pick<ExaminerClient["contents"], "ask">;
  /** As `FactsReader` has it. Absent: always. */
  readonly mayFollowLinks?: (pid: number) => boolean;
  readonly openExecutable?: (pid: number) => OpenedFile | undefined;
  readonly openInRootOf?: (pid: number, path: Uint8Array) => OpenedFile | undefined;
  /** A process that sees the host's files and does not end: by default this one. */
  readonly ownPid?: number;
  /** ns, CLOCK_MONOTONIC */
  readonly now: () => number;
}

/** A process that runs the file as `lineage.program`. */
export interface RunningFile {
  readonly pid: number;
  readonly lineage: Lineage;
  readonly facts: Pick<ProcessFacts, "inode" | "executableAge" | "realUid">;
  /** Milliseconds since the epoch, the time of `facts`. */
  readonly wallTime: number;
}

interface PathRecord {
  readonly name: Uint8Array;
  latest: SeenState | undefined;
}

/** Number of paths remembered; the oldest is evicted. */
const MAX_PATHS = 4096;
/** A path that cannot be opened here is asked for at most once in 5 s (in ns). */
const RETRY_NS = 5e9;
/** The ctime computed from the time of an event may differ from the file's own by 2 ms (in ns). */
const TOLERANCE_NS = 2e6;

export class RunnableContents {
  private readonly inputs: RunnableContentsInputs;
  /** Invalidated by: another state of the file, and another state of the package database (`forgetAll`). */
  private readonly paths = new Map<string, PathRecord>();
  private readonly asked = new Map<number, SeenState>();

  constructor(inputs: RunnableContentsInputs) {
    this.inputs = inputs;
  }

  /**
   * What the file at `path` holds, which a process on the host has just begun to run. Undefined if it
   * cannot be asked for now; without `content` while the answer is outstanding.
   */
  of(path: string, running: RunningFile): SeenState | undefined {
    const record = this.paths.get(path) ?? this.remember(path);
    const { latest } = record;
    const isExecutable = running.lineage.program.executable === path;
    // Whether that is as its package has it, `process.executable.modified` says.
    if (isExecutable && latest?.content?.packaged === true) return latest;
    if (isExecutable && latest?.state !== undefined && isUnchanged(latest.state, running)) return latest;
    const own = this.open(record, running, isExecutable);
    const file = own ?? this.openInRootOf(this.inputs.ownPid ?? process.pid, record.name);
    // What runs as an executable cannot be written to. A script can, as soon as its interpreter has opened it.
    const isAnother =
      !(own !== undefined && isExecutable) &&
      file !== undefined &&
      isChangedSince(file.state, running, isExecutable);
    const now = this.inputs.now();
    if (file === undefined) {
      if (latest !== undefined && now - latest.askedAt < RETRY_NS) return latest;
    } else if (!isAnother && latest?.state !== undefined && isSameFileState(latest.state, file.state)) {
      closeDescriptor(file.fd);
      return latest;
    }
    const payers = payersOf(running.lineage, running.facts.realUid);
    const question = this.inputs.questions.ask(path, file?.fd, payers);
    if (question === undefined) return undefined;
    const seen = { path, state: file?.state, isAnother, content: undefined, question, askedAt: now };
    this.asked.set(question, seen);
    if (!isAnother) record.latest = seen;
    return seen;
  }

  /** Asks for what is at a path, whatever the process runs: cheaper, and enough for a proposal. */
  askAt(path: string, { lineage, facts }: Pick<RunningFile, "lineage" | "facts">): void {
    const question = this.inputs.questions.ask(path, undefined, payersOf(lineage, facts.realUid));
    if (question === undefined) return;
    const askedAt = this.inputs.now();
    this.asked.set(question, {
      path,
      state: undefined,
      isAnother: false,
      content: undefined,
      question,
      askedAt,
    });
  }

  /** Takes the answer to a question; undefined if it was given up. Returns what was asked about, if anything. */
  take(question: number, answer: ExaminedContent | undefined): SeenState | undefined {
    const seen = this.asked.get(question);
    if (seen === undefined) return undefined;
    this.asked.delete(question);
    seen.content = contentOf(seen, answer);
    seen.state ??= answer?.state;
    const record = this.paths.get(seen.path);
    if (answer === undefined && record?.latest === seen) record.latest = undefined;
    return seen;
  }

  /** Packages have changed: every file is asked for again when it runs next. */
  forgetAll(): void {
    for (const record of this.paths.values()) record.latest = undefined;
  }

  private open(record: PathRecord, running: RunningFile, isExecutable: boolean): OpenedFile | undefined {
    const { pid, facts } = running;
    if (this.inputs.mayFollowLinks?.(pid) === false) return undefined;
    if (!isExecutable) return this.openInRootOf(pid, record.name);
    const file = (this.inputs.openExecutable ?? openExecutable)(pid);
    if (file === undefined || file.state.inode === facts.inode) return file;
    // The process has ended or runs something else by now.
    closeDescriptor(file.fd);
    return undefined;
  }

  private openInRootOf(pid: number, name: Uint8Array): OpenedFile | undefined {
    return (this.inputs.openInRootOf ?? openInRootOf)(pid, name);
  }

  private remember(path: string): PathRecord {
    const record: PathRecord = { name: cString(path), latest: undefined };
    this.paths.set(path, record);
    if (this.paths.size > MAX_PATHS) {
      const [oldest] = this.paths.keys();
      if (oldest !== undefined) this.paths.delete(oldest);
    }
    return record;
  }
}

/** Whether the executable is in the state that is known, by what the kernel has reported of it. */
function isUnchanged({ inode, changed }: FileState, { facts, wallTime }: RunningFile): boolean {
  if (facts.inode !== inode || facts.executableAge === undefined) return false;
  return Math.abs(wallTime * 1e6 - facts.executableAge * 1e9 - changed) <= TOLERANCE_NS;
}

/**
 * Whether what is at the path now is not what the process has begun to run: another file than the executable, or one that
 * was written or moved there since.
 */
function isChangedSince(
  { inode, changed }: FileState,
  { facts, wallTime }: RunningFile,
  isExecutable: boolean,
): boolean {
  return changed > wallTime * 1e6 || (isExecutable && facts.inode !== undefined && facts.inode !== inode);
}

function contentOf({ state, isAnother }: SeenState, answer: ExaminedContent | undefined): RunnableContent {
  const read = answer?.state;
  const modified = isAnother ? state?.changed : (state?.modified ?? read?.modified);
  const isBeingInstalled = answer?.packaged === true && read === undefined;
  const isWritten = state !== undefined && read !== undefined && !sameContent(state, read);
  const overwritten = !isBeingInstalled && (isAnother || isWritten);
  return {
    digest: overwritten ? undefined : answer?.digest,
    packaged: answer?.packaged ?? false,
    overwritten,
    modified,
  };
}
