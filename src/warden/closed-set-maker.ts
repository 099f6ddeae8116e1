// Makes sets of files, which the kernel knows by number, of what a process may execute.
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

/** The most different sets at a time. */
export const MOST_SETS = 4_096;
/**
 * The most programs that are judged in advance for one set, at some 30 us each. An exception names the sets that the process has
 * after it, for which the programs that it may execute then have to be judged. After exceptions beyond this number a process is
 * open until the warden has judged it.
 */
const JUDGED_AHEAD = 512;
/** 2100-01-01: no file is newer. */
const NEVER = 4_102_444_800_000_000_000n;

/** The sets that a process is closed by. */
export interface JudgedSets extends ClosedSets {
  /** ROLE/RULE that kills. If different rules kill what it and what its children execute, that of the children. */
  readonly rule: string;
}

/** The sets of an open process: none. */
export const openSets: JudgedSets = { own: 0, child: 0, rule: "" };

/** What is judged in advance for one set. */
interface Ahead {
  readonly compiler: ClosingCompiler;
  readonly kernel: Prevention;
  /** Programs that may still be judged. */
  left: number;
}

/** The exceptions whose files exist, with what the kernel recognises them by. */
interface ExceptedFiles {
  /** When the first of them was asked for; see `ClosedSet`, also for the unit. */
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

  /** The sets that the process is closed by, and with them those that follow its exceptions; one exception at a step. */
  *setsOf(process: ClosableProcess, compiler: ClosingCompiler, kernel: Prevention): Steps<JudgedSets> {
    const closings = closingsOf(process, compiler);
    const child = yield* this.setWithNext(closings.child, { compiler, kernel, left: JUDGED_AHEAD });
    const own = yield* this.setWithNext(closings.own, { compiler, kernel, left: JUDGED_AHEAD });
    if (own === 0 && child === 0) return openSets;
    const { [child === 0 ? "own" : "child"]: closing } = closings;
    return { own, child, rule: closing.closed ? closing.rule : "" };
  }

  /** The number of the set, whose exceptions name what follows; 0 if the process stays open. */
  private *setWithNext(closing: Closing, ahead: Ahead): Steps<number> {
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

  /** The sets of a process after an exception. After their own exceptions it is open until the warden has judged it. */
  private setsAfter(process: ClosableProcess, ahead: Ahead): ClosedSets {
    const { child, own } = closingsOf(process, ahead.compiler);
    return { child: this.setAfter(child, ahead), own: this.setAfter(own, ahead) };
  }

  /** The number of a set whose exceptions are followed by nothing; 0: the process stays open. */
  private setAfter(closing: Closing, ahead: Ahead): number {
    ahead.left -= 1 + (closing.closed ? closing.exceptions.length : 0);
    const files = this.filesOf(closing);
    if (!closing.closed || files === undefined) return 0;
    return this.numberOf(closing, files, new Map(), ahead.kernel);
  }

  /** The files of the exceptions; undefined: they are not known yet or not safe, and the process stays open. */
  private filesOf(closing: Closing): ExceptedFiles | undefined {
    if (!closing.closed) return undefined;
    let identifiedAt = closing.listedSince ?? NEVER;
    let isKnown = true;
    const identities = new Map<ClosingException, FileIdentity>();
    for (const exception of closing.exceptions) {
      const file = this.files.get(exception.path);
      // This does not end at the first one that is missing, so that all of them are asked for in the same turn.
      if (file === undefined) isKnown = false;
      // A file that others can replace must not be an exception, and must not die either.
      else if (file.is === "unsafe") return undefined;
      else {
        if (file.since < identifiedAt) identifiedAt = file.since;
        // User space judges a recent file, which is identified again.
        if (file.is !== "none" && file.is !== "recent") identities.set(exception, file.is);
      }
    }
    return isKnown ? { identifiedAt, identities } : undefined;
  }

  /** The number of the set in the kernel, which is defined there if it is new; 0: there is no room. */
  private numberOf(
    closing: Closed,
    { identifiedAt, identities }: ExceptedFiles,
    next: ReadonlyMap<ClosingException, ClosedSets>,
    kernel: Prevention,
  ): number {
    const { carriersDie } = closing;
    // The set does not name the user: with a range of subordinate ids a user could fill the kernel with sets.
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

/** Shells first: without sets that follow, they could start anything until the warden has judged their arguments. */
function inOrderOfUse(exceptions: readonly ClosingException[]): readonly ClosingException[] {
  const isShell = ({ after }: ClosingException): boolean => after?.isAnyShell === true;
  return [...exceptions.filter(isShell), ...exceptions.filter((each) => !isShell(each))];
}

function contentOf(set: ClosedSet): string {
  return JSON.stringify(set, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

/**
 * `ClosedSet.countedAs`: equal for sets with the same paths, whatever files lie there now. If two numbers collide, a program
 * counts once for both sets.
 */
function numberOfPaths(ofUser: boolean, { carriersDie, exceptions }: Closed): number {
  const paths = exceptions.map(({ path }) => path).sort();
  return Bun.hash.crc32(JSON.stringify([ofUser, carriersDie, paths]));
}
