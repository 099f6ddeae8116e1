// Derives a process's runnable from its facts: which script or program it really runs, and under which name.

import { containerOf } from "../linux/cgroup-names.ts";
import { PATH_MAX } from "../linux/kernel-constants.ts";
import { type BaseSystem, type BaseVerdict, embeddedBase, judgeBase } from "./base.ts";
import { BoundedCache } from "./cache.ts";
import { isDescriptor, type Note, type Reading, readCommandLine, readsCommandLine } from "./commandline.ts";
import { metricEntropy } from "./entropy.ts";
import { type FoldedElement, foldElement, foldPath } from "./fold.ts";
import { labelNames, labelOf } from "./label.ts";
import { nameOf, resolvePath } from "./path.ts";
import { type ElementScore, RANDOM_FROM, scorePath } from "./randomness.ts";
import type { Runnable, RunnableFacts } from "./runnable.ts";

/** The program of every kernel thread, so that all of them collapse into one label. */
export const kernelThread: Runnable = {
  key: "\u0000kthreadd",
  executable: undefined,
  executableName: undefined,
  script: undefined,
  inline: false,
  path: undefined,
  folded: undefined,
  name: labelNames.kernel,
  label: labelNames.kernel,
  random: false,
  randomness: 0,
  entropy: undefined,
};

/** Identifies what a process runs. */
export type Identify = (facts: RunnableFacts) => Runnable;

export interface IdentifierOptions {
  /** Default: the embedded list. */
  readonly base?: BaseSystem;
}

/** Bounds of each cache generation: its entries, and its total key length (room for 256 paths of PATH_MAX). */
const RUNNABLES = 4096;
const KEY_CHARACTERS = 1 << 20;

/** Makes the function that identifies runnables. Equal facts give the same object while it is cached. */
export function createIdentifier(options: IdentifierOptions = {}): Identify {
  const base = options.base ?? embeddedBase;
  // Invalidated by: nothing. A runnable depends on its key and the base list, and each base list has an identifier.
  /** Keyed by executable; null if the runnable depends on the command line. */
  const byExecutable = new BoundedCache<Runnable | null>(RUNNABLES, KEY_CHARACTERS);
  /** Keyed by subject, for runnables that depend on the command line. */
  const bySubject = new BoundedCache<Runnable>(RUNNABLES, KEY_CHARACTERS);
  return (facts) => {
    const { executable } = facts;
    if (executable !== undefined && facts.script === undefined && !hasUserMounts(facts)) {
      const cached = byExecutable.get(executable) ?? undefined;
      if (cached !== undefined) return cached;
      if (byExecutable.get(executable) === undefined) {
        if (!readsCommandLine(executable)) {
          const runnable = identifyAs(subjectOf(facts), base).runnable;
          byExecutable.set(executable, runnable);
          return runnable;
        }
        byExecutable.set(executable, null);
      }
    }
    const subject = subjectOf(facts);
    let runnable = bySubject.get(subject.key);
    if (runnable === undefined) {
      runnable = identifyAs(subject, base).runnable;
      bySubject.set(subject.key, runnable);
    }
    return runnable;
  };
}

/** What a process runs, before it is folded, scored and named. */
interface Subject {
  readonly key: string;
  readonly executable: string | undefined;
  readonly script: string | undefined;
  readonly inline: boolean;
  readonly path: string | undefined;
  /** The name if it does not come from `path`: of a module, of an applet, or of a path whose directory is unknown. */
  readonly name: string | undefined;
  readonly applet: string | undefined;
  /** A user chose what is mounted at its path. */
  readonly userMounts?: boolean;
}

/** Names of classes, modules and applets are cut to this length, in characters. */
const MODULE_LENGTH = 255;

/**
 * Any user can create a user namespace, mount a file over /usr/bin/ls there, and run it. Containers are excepted: their
 * paths are the image's anyway, and the tree starts at the container.
 */
function hasUserMounts({ userMounts, cgroup }: RunnableFacts): boolean {
  return userMounts === true && (cgroup === undefined || containerOf(cgroup) === null);
}

function subjectOf(facts: RunnableFacts, note?: Note): Subject {
  const subject = subjectIgnoringMounts(facts, note);
  if (!hasUserMounts(facts)) return subject;
  note?.("its mounts are a user's: no path there says which file it is");
  return { ...subject, key: `${USER_MOUNTS}${subject.key}`, userMounts: true };
}

/** Prefix of the key and the folded path of runnables below a user's mounts. No absolute path begins with it. */
const USER_MOUNTS = "userns:";

function subjectIgnoringMounts(facts: RunnableFacts, note?: Note): Subject {
  const { executable, cwd } = facts;
  const reading =
    executable === undefined
      ? undefined
      : readCommandLine(executable, facts.filename, completeArgs(facts), note);
  if (facts.script !== undefined) {
    note?.(`${facts.script}: the kernel says that this script is run`);
    return isDescriptor(facts.script)
      ? subject(executable, "", undefined, true, executable, undefined, undefined)
      : fromFile(executable, facts.script, cwd, true);
  }
  if (reading === undefined)
    return subject(executable, "", undefined, false, executable, undefined, undefined);
  const file = reading.script ?? reading.program;
  if (file === CUT || reading.module === CUT || reading.applet === CUT)
    return subject(executable, "", undefined, false, executable, undefined, undefined);
  // The kernel opens no path of PATH_MAX or more characters, so a longer word is no script.
  if (file !== undefined && file.length < PATH_MAX) {
    return fromFile(executable, file, cwd, reading.script !== undefined);
  }
  return fromReading(executable, reading);
}

/** Stands for an argument that was cut off. No process can pass it, because arguments end at a NUL. */
const CUT = "\u0000";

/**
 * The arguments that are complete. The last one before the cut is dropped, because a truncated path could be the path
 * of another script. Two CUTs stand for the rest, as an option may take the first of them as its value.
 */
function completeArgs({ args, argsTruncated }: RunnableFacts): readonly string[] | undefined {
  return args !== undefined && argsTruncated === true ? [...args.slice(0, -1), CUT, CUT] : args;
}

function subject(
  executable: string | undefined,
  identity: string,
  script: string | undefined,
  inline: boolean,
  path: string | undefined,
  name: string | undefined,
  applet: string | undefined,
): Subject {
  const key = `${executable ?? ""}\u0000${inline ? "i" : ""}${identity}`;
  return { key, executable, script, inline, path, name, applet };
}

function fromFile(
  executable: string | undefined,
  given: string,
  cwd: string | undefined,
  isScript: boolean,
): Subject {
  const path = resolvePath(given, cwd);
  const identity = `${isScript ? "s" : "p"}${path ?? given}`;
  const name = path === undefined ? nameOf(given) : undefined;
  return subject(executable, identity, isScript ? path : undefined, false, path, name, undefined);
}

function fromReading(executable: string | undefined, reading: Reading): Subject {
  const { inline } = reading;
  const module = reading.module?.slice(0, MODULE_LENGTH);
  const applet = reading.applet?.slice(0, MODULE_LENGTH);
  const identity = module !== undefined ? `m${module}` : applet !== undefined ? `a${applet}` : "";
  return subject(
    executable,
    identity,
    undefined,
    inline,
    executable,
    module ?? applet,
    module === undefined ? applet : undefined,
  );
}

/** A runnable and how it got its name, for `explain`. */
export interface Identification {
  readonly runnable: Runnable;
  /** The folded elements of its path, or of its name if the path is unknown; `scores` has the same order. */
  readonly elements: readonly FoldedElement[];
  readonly scores: readonly ElementScore[];
  readonly base: BaseVerdict;
}

function identifyAs(subject: Subject, base: BaseSystem): Identification {
  const { key, executable, script, inline, path } = subject;
  const elements = elementsOf(path ?? subject.name);
  const scores = scorePath(elements);
  let randomness = highestScore(scores);
  if (executable !== undefined && executable !== path)
    randomness = Math.max(randomness, highestScore(scorePath(elementsOf(executable))));
  let entropy: number | undefined;
  for (const { element } of elements) {
    const elementEntropy = metricEntropy(element);
    if (elementEntropy !== undefined && (entropy === undefined || elementEntropy < entropy))
      entropy = elementEntropy;
  }

  const last = elements.at(-1);
  let name: string = labelNames.unknown;
  let file = "";
  if (subject.name !== undefined) {
    const element = foldElement(subject.name, "/");
    file = element.text;
    const [score] = scorePath([element]);
    name = (score?.score ?? 0) >= RANDOM_FROM ? labelNames.random : labelOf(file);
  } else if (last !== undefined) {
    file = last.text;
    name =
      (scores.at(-1)?.score ?? 0) >= RANDOM_FROM
        ? labelNames.random
        : labelOf((isMemfd(path) ? "memfd:" : "") + file);
  }

  const verdict = judgeSubject(subject, file, base);
  const runnable: Runnable = {
    key,
    executable,
    executableName: executable === undefined ? undefined : nameOf(executable),
    script,
    inline,
    path,
    folded:
      path === undefined
        ? undefined
        : (subject.userMounts === true ? USER_MOUNTS : "") + foldedPath(path, elements, scores),
    name,
    label: verdict.base ? labelNames.base : name,
    random: randomness >= RANDOM_FROM,
    randomness,
    entropy,
  };
  return { runnable, elements, scores, base: verdict };
}

function judgeSubject(
  { path, name, applet, userMounts }: Subject,
  file: string,
  base: BaseSystem,
): BaseVerdict {
  if (userMounts === true) return { base: false, why: "keeps its name: its mounts are a user's" };
  if (applet !== undefined) {
    const asService = judgeBase(`/usr/sbin/${applet}`, applet, base);
    const asTool = judgeBase(`/usr/bin/${applet}`, applet, base);
    return asTool.base ? asTool : asService;
  }
  if (name !== undefined)
    return { base: false, why: "keeps its name: a module, or a file that could not be placed" };
  if (path === undefined) return { base: false, why: "its file is not known" };
  return judgeBase(path, file, base);
}

function isMemfd(path: string | undefined): boolean {
  return path?.startsWith("memfd:") === true;
}

function elementsOf(path: string | undefined): FoldedElement[] {
  if (path === undefined) return [];
  return isMemfd(path) ? [foldElement(path.slice("memfd:".length), "")] : foldPath(path);
}

function highestScore(scores: readonly ElementScore[]): number {
  let highest = 0;
  for (const { score } of scores) highest = Math.max(highest, score);
  return highest;
}

function foldedPath(
  path: string,
  elements: readonly FoldedElement[],
  scores: readonly ElementScore[],
): string {
  const texts = elements.map(({ text }, index) =>
    (scores[index]?.score ?? 0) >= RANDOM_FROM ? labelNames.random : text,
  );
  return isMemfd(path) ? `memfd:${texts.join("/")}` : `/${texts.join("/")}`;
}

/** Like `identify`, but uncached; passes a line on every step to `note`. */
export function identification(
  facts: RunnableFacts,
  note: Note,
  base: BaseSystem = embeddedBase,
): Identification {
  return identifyAs(subjectOf(facts, note), base);
}

/** Identifies runnables with the embedded base list. */
export const identify: Identify = createIdentifier();
