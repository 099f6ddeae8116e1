// From what is known of a process to its runnable: what is really run, under which name.

import { containerOf } from "../linux/cgroup-names.ts";
import { type BaseSystem, type BaseVerdict, embeddedBase, judgeBase } from "./base.ts";
import { BoundedCache } from "./cache.ts";
import { isDescriptor, type Note, type Reading, readCommandLine, readsCommandLine } from "./commandline.ts";
import { metricEntropy } from "./entropy.ts";
import { type FoldedElement, foldElement, foldPath } from "./fold.ts";
import { labelNames, labelOf } from "./label.ts";
import { nameOf, resolvePath } from "./path.ts";
import { type ElementScore, RANDOM_FROM, scorePath } from "./randomness.ts";
import type { Runnable, RunnableFacts } from "./runnable.ts";

/** Every kernel thread has this image, so that all of them collapse into one label. */
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

export type Identify = (facts: RunnableFacts) => Runnable;

export interface IdentifierOptions {
  /** Default: the embedded list. */
  readonly base?: BaseSystem;
}

/** Runnables kept: two generations of so many, and of so many characters of keys (room for 256 longest paths). */
const RUNNABLES = 4096;
const KEY_CHARACTERS = 1 << 20;

/** Makes the function that identifies runnables. While one is cached, equal facts give the same object. */
export function createIdentifier(options: IdentifierOptions = {}): Identify {
  const base = options.base ?? embeddedBase;
  // Invalidated by: nothing, a runnable follows from its key alone; with another base list there is another identifier.
  /** By executable; null where it depends on the command line. */
  const plain = new BoundedCache<Runnable | null>(RUNNABLES, KEY_CHARACTERS);
  const read = new BoundedCache<Runnable>(RUNNABLES, KEY_CHARACTERS);
  return (facts) => {
    const { executable } = facts;
    if (executable !== undefined && facts.script === undefined && !hasUserMounts(facts)) {
      const found = plain.get(executable) ?? undefined;
      if (found !== undefined) return found;
      if (plain.get(executable) === undefined) {
        if (!readsCommandLine(executable)) {
          const made = identifyAs(subjectOf(facts), base).runnable;
          plain.set(executable, made);
          return made;
        }
        plain.set(executable, null);
      }
    }
    const subject = subjectOf(facts);
    let runnable = read.get(subject.key);
    if (runnable === undefined) {
      runnable = identifyAs(subject, base).runnable;
      read.set(subject.key, runnable);
    }
    return runnable;
  };
}

/** What a process runs, before it has a name. */
interface Subject {
  readonly key: string;
  readonly executable: string | undefined;
  readonly script: string | undefined;
  readonly inline: boolean;
  readonly path: string | undefined;
  /** Its name if the path does not say: of a module, of an applet, or of a path whose directory is not known. */
  readonly name: string | undefined;
  readonly applet: string | undefined;
  /** What lies at its path was a user's to choose. */
  readonly userMounts?: boolean;
}

/** linux/limits.h: the kernel opens no longer path, so that nothing longer is a script. */
const PATH_MAX = 4096;
/** What is no path is cut here: a class or a module. */
const MODULE_LENGTH = 255;

/**
 * Anybody may make a user namespace, mount there what he likes over /usr/bin/ls, and run it. In a container paths are
 * the image's anyway, and its scope says so.
 */
function hasUserMounts({ userMounts, cgroup }: RunnableFacts): boolean {
  return userMounts === true && (cgroup === undefined || containerOf(cgroup) === null);
}

function subjectOf(facts: RunnableFacts, note?: Note): Subject {
  const subject = namedOf(facts, note);
  if (!hasUserMounts(facts)) return subject;
  note?.("its mounts are a user's: no path there says which file it is");
  return { ...subject, key: `${USER_MOUNTS}${subject.key}`, userMounts: true };
}

/** Before the key and the folded path of what runs among a user's mounts; no absolute path begins like it. */
const USER_MOUNTS = "userns:";

function namedOf(facts: RunnableFacts, note?: Note): Subject {
  const { executable, cwd } = facts;
  const reading =
    executable === undefined ? undefined : readCommandLine(executable, facts.filename, wordsOf(facts), note);
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
  if (file !== undefined && file.length < PATH_MAX) {
    return fromFile(executable, file, cwd, reading.script !== undefined);
  }
  return fromReading(executable, reading);
}

/** Stands for a word that was cut off; no process can give one like it. */
const CUT = "\u0000";

/**
 * The arguments, as far as they are whole. Of the last one before the cut nobody knows how it goes on: a path that is
 * cut in the right place would be another script's. Two words stand for the rest, as an option may take the first.
 */
function wordsOf({ args, argsTruncated }: RunnableFacts): readonly string[] | undefined {
  return args !== undefined && argsTruncated === true ? [...args.slice(0, -1), CUT, CUT] : args;
}

function subject(
  executable: string | undefined,
  what: string,
  script: string | undefined,
  inline: boolean,
  path: string | undefined,
  name: string | undefined,
  applet: string | undefined,
): Subject {
  const key = `${executable ?? ""}\u0000${inline ? "i" : ""}${what}`;
  return { key, executable, script, inline, path, name, applet };
}

function fromFile(
  executable: string | undefined,
  given: string,
  cwd: string | undefined,
  isScript: boolean,
): Subject {
  const path = resolvePath(given, cwd);
  const what = `${isScript ? "s" : "p"}${path ?? given}`;
  const name = path === undefined ? nameOf(given) : undefined;
  return subject(executable, what, isScript ? path : undefined, false, path, name, undefined);
}

function fromReading(executable: string | undefined, reading: Reading): Subject {
  const { inline } = reading;
  const module = reading.module?.slice(0, MODULE_LENGTH);
  const applet = reading.applet?.slice(0, MODULE_LENGTH);
  const what = module !== undefined ? `m${module}` : applet !== undefined ? `a${applet}` : "";
  return subject(
    executable,
    what,
    undefined,
    inline,
    executable,
    module ?? applet,
    module === undefined ? applet : undefined,
  );
}

/** How a runnable came by its name, for `explain`. */
export interface Identification {
  readonly runnable: Runnable;
  /** Of its path (or name, if the path is not known): folded, and scored. */
  readonly elements: readonly FoldedElement[];
  readonly scores: readonly ElementScore[];
  readonly base: BaseVerdict;
}

function identifyAs(subject: Subject, base: BaseSystem): Identification {
  const { key, executable, script, inline, path } = subject;
  const elements = elementsOf(path ?? subject.name);
  const scores = scorePath(elements);
  let randomness = worst(scores);
  if (executable !== undefined && executable !== path)
    randomness = Math.max(randomness, worst(scorePath(elementsOf(executable))));
  let entropy: number | undefined;
  for (const { element } of elements) {
    const own = metricEntropy(element);
    if (own !== undefined && (entropy === undefined || own < entropy)) entropy = own;
  }

  const last = elements.at(-1);
  let name: string = labelNames.unknown;
  let file = "";
  if (subject.name !== undefined) {
    const own = foldElement(subject.name, "/");
    file = own.text;
    const [score] = scorePath([own]);
    name = (score?.score ?? 0) >= RANDOM_FROM ? labelNames.random : labelOf(file);
  } else if (last !== undefined) {
    file = last.text;
    name =
      (scores.at(-1)?.score ?? 0) >= RANDOM_FROM
        ? labelNames.random
        : labelOf((memory(path) ? "memfd:" : "") + file);
  }

  const verdict = judge(subject, file, base);
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

function judge({ path, name, applet, userMounts }: Subject, file: string, base: BaseSystem): BaseVerdict {
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

function memory(path: string | undefined): boolean {
  return path?.startsWith("memfd:") === true;
}

function elementsOf(path: string | undefined): FoldedElement[] {
  if (path === undefined) return [];
  return memory(path) ? [foldElement(path.slice("memfd:".length), "")] : foldPath(path);
}

function worst(scores: readonly ElementScore[]): number {
  let score = 0;
  for (const own of scores) score = Math.max(score, own.score);
  return score;
}

function foldedPath(
  path: string,
  elements: readonly FoldedElement[],
  scores: readonly ElementScore[],
): string {
  const texts = elements.map(({ text }, at) =>
    (scores[at]?.score ?? 0) >= RANDOM_FROM ? labelNames.random : text,
  );
  return memory(path) ? `memfd:${texts.join("/")}` : `/${texts.join("/")}`;
}

/** As `identify`, uncached, with every step told to `note`. */
export function identification(
  facts: RunnableFacts,
  note: Note,
  base: BaseSystem = embeddedBase,
): Identification {
  return identifyAs(subjectOf(facts, note), base);
}

/** Identifies runnables with the embedded base list. */
export const identify: Identify = createIdentifier();
