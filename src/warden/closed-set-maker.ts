// From what a process may execute to sets of files that the kernel knows by number.
import type { ExecPlace } from "../forest/exec-lineage.ts";
import type { Closed, Closing, ClosingCompiler, ClosingException } from "../policy/closing.ts";
import type { ClosableProcess } from "../policy/hypothetical-exec.ts";
import type {
  ClosedSet,
  ClosedSetException,
  ClosedSets,
  FileIdentity,
  Prevention,
} from "../sensor/prevention/closed-set.ts";
import type { Steps } from "../vocabulary/steps.ts";
import type { IdentifiedFiles } from "./identified-files.ts";
import { NumberedSets, type SetProblem } from "./numbered-sets.ts";

/** Different sets at a time. */
export const MOST_SETS = 4_096;
/**
 * An exception names what the process is closed by after it, for which the programs that it may execute then are judged. These
 * are the most that are judged so for one set, at some 30 us each; what follows further exceptions is left to the warden.
 */
const JUDGED_AHEAD = 512;
/** 2100-01-01: no file is newer. */
const NEVER = 4_102_444_800_000_000_000n;

/** What a process is closed by. */
export interface JudgedSets extends ClosedSets {
  /** ROLE/RULE that kills; of its children, where two differ. */
  readonly rule: string;
}

/** A process is open. */
export const openSets: JudgedSets = { own: 0, child: 0, rule: "" };

/** What is judged in advance for one set. */
interface Ahead {
  readonly compiler: ClosingCompiler;
  readonly kernel: Prevention;
  /** Programs that may still be judged. */
  left: number;
}

/** The files of exceptions that the kernel recognises. */
interface ExceptedFiles {
  /** When the first of them was asked for, see `ClosedSet`. */
  readonly identifiedAt: bigint;
  readonly identities: ReadonlyMap<ClosingException, FileIdentity>;
}

export class ClosedSetMaker {
  readonly sets = new NumberedSets(MOST_SETS);
  private readonly files: Pick<IdentifiedFiles, "get">;
  private readonly onProblem: SetProblem;

  /** `onProblem`: the kernel has no room for a set. */
  constructor(files: Pick<IdentifiedFiles, "get">, onProblem: SetProblem) {
    this.files = files;
    this.onProblem = onProblem;
  }

  /** What the process is closed by, and what after each of its exceptions; one exception at a step. */
  *setsOf(process: ClosableProcess, compiler: ClosingCompiler, kernel: Prevention): Steps<JudgedSets> {
    const closings = closingsOf(process, compiler);
    const child = yield* this.followed(closings.child, { compiler, kernel, left: JUDGED_AHEAD });
    const own = yield* this.followed(closings.own, { compiler, kernel, left: JUDGED_AHEAD });
    if (own === 0 && child === 0) return openSets;
    const { [child === 0 ? "own" : "child"]: closing } = closings;
    return { own, child, rule: closing.closed ? closing.rule : "" };
  }

  /** The number of the set, whose exceptions name what follows; 0 if the process stays open. */
  private *followed(closing: Closing, ahead: Ahead): Steps<number> {
    const files = this.filesOf(closing);
    if (!closing.closed || files === undefined) return 0;
    const next = new Map<ClosingException, ClosedSets>();
    for (const exception of inOrderOfUse([...files.identities.keys()])) {
      if (ahead.left <= 0) break;
      if (exception.after === undefined) continue;
      next.set(exception, this.setsAfter(exception.after, ahead));
      yield;
    }
    return this.numberOf(closing, files, next, ahead.kernel);
  }

  /** What the process is closed by; what it may execute leads no further until the warden has judged it. */
  private setsAfter(process: ClosableProcess, ahead: Ahead): ClosedSets {
    const { child, own } = closingsOf(process, ahead.compiler);
    return { child: this.setAfter(child, ahead), own: this.setAfter(own, ahead) };
  }

  private setAfter(closing: Closing, ahead: Ahead): number {
    ahead.left -= 1 + (closing.closed ? closing.exceptions.length : 0);
    const files = this.filesOf(closing);
    if (!closing.closed || files === undefined) return 0;
    return this.numberOf(closing, files, new Map(), ahead.kernel);
  }

  /** undefined: the process stays open. */
  private filesOf(closing: Closing): ExceptedFiles | undefined {
    if (!closing.closed) return undefined;
    let identifiedAt = closing.listedSince ?? NEVER;
    let isKnown = true;
    const identities = new Map<ClosingException, FileIdentity>();
    for (const exception of closing.exceptions) {
      const file = this.files.get(exception.path);
      // Every other file is asked for in the same turn.
      if (file === undefined) isKnown = false;
      // What others can replace is no exception, and must not die either.
      else if (file.is === "unsafe") return undefined;
      else {
        if (file.since < identifiedAt) identifiedAt = file.since;
        // User space judges a recent file, which is identified again.
        if (file.is !== "none" && file.is !== "recent") identities.set(exception, file.is);
      }
    }
    return isKnown ? { identifiedAt, identities } : undefined;
  }

  private numberOf(
    closing: Closed,
    { identifiedAt, identities }: ExceptedFiles,
    next: ReadonlyMap<ClosingException, ClosedSets>,
    kernel: Prevention,
  ): number {
    const { carriersDie } = closing;
    // Not which one: with a range of subordinate ids a user could have the kernel full of sets.
    const ofUser = closing.uid !== undefined;
    const exceptions = [...identities].map(([exception, file]): ClosedSetException => {
      const { own, child } = next.get(exception) ?? openSets;
      return { file, next: { own, child } };
    });
    const countedAs = numberOfPaths(ofUser, closing);
    const set: ClosedSet = { ofUser, carriersDie, identifiedAt, countedAs, exceptions };
    return this.sets.numberOf(contentOf(set), (number) => kernel.define(number, set), this.onProblem);
  }
}

function closingsOf(process: ClosableProcess, compiler: ClosingCompiler): Record<ExecPlace, Closing> {
  return { child: compiler.closingOf(process, "child"), own: compiler.closingOf(process, "own") };
}

/** Shells first: until the warden has judged their arguments, they may start anything. */
function inOrderOfUse(exceptions: readonly ClosingException[]): readonly ClosingException[] {
  const isShell = ({ after }: ClosingException): boolean => after?.isAnyShell === true;
  return [...exceptions.filter(isShell), ...exceptions.filter((each) => !isShell(each))];
}

function contentOf(set: ClosedSet): string {
  return JSON.stringify(set, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

/** Equal for what is closed alike, whatever files the exceptions are now. Sets that collide count a program once together. */
function numberOfPaths(ofUser: boolean, { carriersDie, exceptions }: Closed): number {
  const paths = exceptions.map(({ path }) => path).sort();
  return Bun.hash.crc32(JSON.stringify([ofUser, carriersDie, paths]));
}
