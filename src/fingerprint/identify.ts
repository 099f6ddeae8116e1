// Derives a process's runnable from its facts: which script or program it really runs, and under which name.

import { containerOf } from "../linux/cgroup-names.ts";
import { PATH_MAX } from "../linux/kernel-constants.ts";
import { type BaseSystem, type BaseVerdict, embeddedBase, judgeBase } from "./base.ts";
import { BoundedCache } from "./cache.ts";
import { isDescriptor, type Note, type Reading, readCommandLine } from "./commandline.ts";
import { lowerEntropy } from "./entropy.ts";
import { labelNames, labelOf } from "./label.ts";
import { nameOf, resolvePath, USER_MOUNTS } from "./path.ts";
import { type MayScore, type PathElement, PathReader, type ReadPath } from "./path-elements.ts";
import { readsCommandLine } from "./program-kinds.ts";
import {
  type ElementScore,
  looksRandom,
  RANDOM_FROM,
  raises,
  scoreBeside,
  scoreOf,
  scoresOf,
  unscored,
} from "./randomness.ts";
import { type Runnable, type RunnableFacts, runnableOfName } from "./runnable.ts";

/** The program of every kernel thread, so that all of them collapse into one label. */
export const kernelThread: Runnable = runnableOfName(labelNames.kernel, "\u0000kthreadd", undefined);

/** Identifies what a process runs. */
export type Identify = (facts: RunnableFacts) => Runnable;

export interface IdentifierOptions {
  /** Default: the embedded list. */
  readonly base?: BaseSystem;
  /**
   * Asked before a name is scored that is not remembered, with the effective user of the process. After false, the name
   * is folded and not scored: it keeps its label, so that no rule on names can be escaped, and counts as random. By
   * default every name is scored.
   */
  readonly mayScore?: (uid: number | undefined) => boolean;
}

/** Bounds of each cache generation: its entries, and its total key length (room for 256 paths of PATH_MAX). */
const RUNNABLES = 1024;
const KEY_CHARACTERS = 1 << 20;

/** Makes the function that identifies runnables. Equal facts give the same object while it is cached. */
export function createIdentifier(options: IdentifierOptions = {}): Identify {
  const { base = embeddedBase, mayScore = always } = options;
  const reader = new PathReader();
  // Invalidated by: nothing. A runnable depends on its key and the base list, and each base list has an identifier.
  /** Keyed by executable; null if the runnable depends on the command line. */
  const byExecutable = new BoundedCache<Runnable | null>(RUNNABLES, KEY_CHARACTERS);
  /** Keyed by subject, for runnables that depend on the command line. */
  const bySubject = new BoundedCache<Runnable>(RUNNABLES, KEY_CHARACTERS);

  function make(subject: Subject, uid: number | undefined): Runnable {
    return identifyAs(subject, base, reader, () => mayScore(uid)).runnable;
  }

  // What the caches have is returned from here without a closure: one that captures anything costs an object at each call.
  return (facts) => {
    const { executable } = facts;
    if (executable !== undefined && facts.script === undefined && !hasUserMounts(facts)) {
      const cached = byExecutable.get(executable);
      if (cached !== undefined && cached !== null) return cached;
      if (cached === undefined) {
        if (!readsCommandLine(executable))
          return remember(byExecutable, executable, make(ordinary(executable), facts.uid));
        byExecutable.set(executable, null);
      }
    }
    const subject = subjectOf(facts);
    return bySubject.get(subject.key) ?? remember(bySubject, subject.key, make(subject, facts.uid));
  };
}

/** A name that is not scored now may be later. */
function remember(cache: Pick<BoundedCache<Runnable>, "set">, key: string, runnable: Runnable): Runnable {
  if (!runnable.unscored) cache.set(key, runnable);
  return runnable;
}

function always(): boolean {
  return true;
}

/** What a process runs, before it is folded, scored and named. */
interface Subject {
  readonly key: string;
  readonly executable: string | undefined;
  readonly script: string | undefined;
  readonly inline: boolean;
  readonly shellCommand: boolean;
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
export function hasUserMounts(facts: RunnableFacts): boolean {
  return facts.userMounts === true && !inContainer(facts);
}

/** Whoever can write an interpreter decides what it makes of its arguments. In a container, that is up to its image. */
export function isForeignFile(facts: RunnableFacts): boolean {
  return facts.executableTrusted === false && !inContainer(facts);
}

function inContainer({ cgroup }: RunnableFacts): boolean {
  return cgroup !== undefined && containerOf(cgroup) !== null;
}

function subjectOf(facts: RunnableFacts, note?: Note): Subject {
  const subject = subjectIgnoringMounts(facts, note);
  if (!hasUserMounts(facts)) return subject;
  note?.("its mounts are a user's: no path there says which file it is");
  // A user may have mounted anything over the shell.
  return { ...subject, key: `${USER_MOUNTS}${subject.key}`, userMounts: true, shellCommand: false };
}

function subjectIgnoringMounts(facts: RunnableFacts, note?: Note): Subject {
  const { executable, cwd } = facts;
  if (executable !== undefined && isForeignFile(facts)) {
    if (readsCommandLine(executable))
      note?.("its file is not root's alone: whatever its arguments are, it is the program");
    return ordinary(executable);
  }
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
  if (reading === undefined) return ordinary(executable);
  const file = reading.script ?? reading.program;
  if (file === CUT || reading.module === CUT || reading.applet === CUT) return ordinary(executable);
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
  shellCommand = false,
): Subject {
  const key = `${executable ?? ""}\u0000${shellCommand ? "c" : inline ? "i" : ""}${identity}`;
  return { key, executable, script, inline, shellCommand, path, name, applet };
}

/** The executable is what is run, whatever its arguments are. */
function ordinary(executable: string | undefined): Subject {
  return subject(executable, "", undefined, false, executable, undefined, undefined);
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
    reading.shellCommand,
  );
}

/** A runnable and how it got its name, for `explain`. */
export interface Identification {
  readonly runnable: Runnable;
  /** The folded elements of its path, or of its name if the path is unknown; `scores` has the same order. */
  readonly elements: readonly PathElement[];
  readonly scores: readonly ElementScore[];
  readonly base: BaseVerdict;
}

interface Named {
  readonly runnable: Runnable;
  /** Undefined if there is neither a path nor a name. */
  readonly read: ReadPath | undefined;
  readonly base: BaseVerdict;
}

function identifyAs(subject: Subject, base: BaseSystem, reader: PathReader, mayScore: MayScore): Named {
  const { key, executable, script, inline, shellCommand, path } = subject;
  const read = readPath(path ?? subject.name, reader, mayScore);
  const worst = read === undefined ? Number.NEGATIVE_INFINITY : worstOdds(read);
  let randomness = read === undefined ? 0 : highestScore(read, worst);
  let isUnscored = read !== undefined && hasUnscored(read);
  const foldedOwn = path === undefined || read === undefined ? undefined : foldedPath(path, read, worst);
  let foldedExecutable = foldedOwn;
  if (executable !== path) {
    foldedExecutable = undefined;
    const ofExecutable = readPath(executable, reader, mayScore);
    if (executable !== undefined && ofExecutable !== undefined) {
      const worstOfExecutable = worstOdds(ofExecutable);
      randomness = Math.max(randomness, highestScore(ofExecutable, worstOfExecutable));
      isUnscored ||= hasUnscored(ofExecutable);
      foldedExecutable = foldedPath(executable, ofExecutable, worstOfExecutable);
    }
  }

  let name: string = labelNames.unknown;
  let file = "";
  if (subject.name !== undefined) {
    const element = reader.readElement(subject.name, "/", mayScore);
    file = element.text;
    name = looksRandom(element.suspicion, element.suspicion.odds) ? labelNames.random : labelOf(file);
  } else if (read?.last !== undefined) {
    file = read.last.text;
    name = looksRandom(read.last.suspicion, worst)
      ? labelNames.random
      : labelOf((isMemfd(path) ? MEMFD : "") + file);
  }

  const verdict = judgeSubject(subject, file, base);
  const runnable: Runnable = {
    key,
    executable,
    executableName: executable === undefined ? undefined : nameOf(executable),
    script,
    inline,
    shellCommand,
    path,
    folded: foldedOwn === undefined || subject.userMounts !== true ? foldedOwn : USER_MOUNTS + foldedOwn,
    foldedExecutable,
    name,
    label: verdict.base ? labelNames.base : name,
    random: randomness >= RANDOM_FROM,
    randomness,
    unscored: isUnscored,
    entropy: read === undefined ? undefined : lowerEntropy(read.directory.entropy, read.last?.entropy),
  };
  return { runnable, read, base: verdict };
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

const MEMFD = "memfd:";

function isMemfd(path: string | undefined): boolean {
  return path?.startsWith(MEMFD) === true;
}

function readPath(path: string | undefined, reader: PathReader, mayScore: MayScore): ReadPath | undefined {
  if (path === undefined) return undefined;
  return isMemfd(path)
    ? reader.readName(path.slice(MEMFD.length), mayScore)
    : reader.readPath(path, mayScore);
}

function elementsOf({ directory, last }: ReadPath): readonly PathElement[] {
  return last === undefined ? directory.elements : [...directory.elements, last];
}

function hasUnscored({ directory, last }: ReadPath): boolean {
  return directory.unscored || last?.suspicion === unscored;
}

/** The highest log odds of an element that was scored. */
function worstOdds({ directory, last }: ReadPath): number {
  return last === undefined || last.suspicion === unscored
    ? directory.worst
    : Math.max(directory.worst, last.suspicion.odds);
}

/** False if it is certain without a look at each element that none is random or unscored. */
function mayHaveRandomNames(read: ReadPath, worst: number): boolean {
  return raises(worst) || hasUnscored(read);
}

function highestScore(read: ReadPath, worst: number): number {
  if (!mayHaveRandomNames(read, worst)) return worst === Number.NEGATIVE_INFINITY ? 0 : scoreOf(worst);
  let highest = 0;
  for (const { suspicion } of elementsOf(read)) highest = Math.max(highest, scoreBeside(suspicion, worst));
  return highest;
}

function foldedPath(path: string, read: ReadPath, worst: number): string {
  if (isMemfd(path)) return MEMFD + foldedName(read.last, worst);
  if (!mayHaveRandomNames(read, worst))
    return read.last === undefined && read.directory.folded !== ""
      ? read.directory.folded
      : `${read.directory.folded}/${read.last?.text ?? ""}`;
  return `/${elementsOf(read)
    .map((element) => foldedName(element, worst))
    .join("/")}`;
}

function foldedName(element: PathElement | undefined, worst: number): string {
  if (element === undefined) return "";
  return looksRandom(element.suspicion, worst) ? labelNames.random : element.text;
}

/** Like `identify`, but uncached; passes a line on every step to `note`. */
export function identification(
  facts: RunnableFacts,
  note: Note,
  base: BaseSystem = embeddedBase,
): Identification {
  const {
    runnable,
    read,
    base: verdict,
  } = identifyAs(subjectOf(facts, note), base, new PathReader(), always);
  const elements = read === undefined ? [] : elementsOf(read);
  return { runnable, elements, scores: scoresOf(elements.map(({ suspicion }) => suspicion)), base: verdict };
}

/** Identifies runnables with the embedded base list. */
export const identify: Identify = createIdentifier();
