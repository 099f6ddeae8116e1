// Reads from a command line what the executable runs: a script, a module, code in an argument, or another program. The
// caller controls the arguments, but not how the program interprets them. argv[0] is ignored, except for multi-call
// binaries, which choose their program by it.
import type { Grammar } from "./grammar.ts";
import { directoryOf, nameOf } from "./path.ts";
import {
  calledName,
  grammarFor,
  isAnybodysPlace,
  isMultiCall,
  isSystemPlace,
  readsCommandLine,
  wrapperFor,
} from "./program-kinds.ts";
import type { Wrapper } from "./wrappers.ts";

/** What a command line runs. All text is unchanged from the arguments. */
export interface Reading {
  /** Kind of interpreter; undefined if the executable is not an interpreter. */
  readonly kind: string | undefined;
  /** Path of the script, as given. */
  readonly script: string | undefined;
  /** Path of the program that the loader or a wrapper runs, as given. */
  readonly program: string | undefined;
  /** A module or class instead of a file: `python -m`, `java CLASS`. */
  readonly module: string | undefined;
  /** Which of its programs a multi-call binary runs. */
  readonly applet: string | undefined;
  /** The code comes from an argument, from standard input or from another descriptor. */
  readonly inline: boolean;
  /** A shell, not interactive, that was given its code by `-c`. */
  readonly shellCommand: boolean;
}

/** Receives a line on each argument that was recognised or skipped, for `explain`. */
export type Note = (text: string) => void;

/** The command line does not change what runs, or what it runs is not known. */
const nothing: Reading = {
  kind: undefined,
  script: undefined,
  program: undefined,
  module: undefined,
  applet: undefined,
  inline: false,
  shellCommand: false,
};

/** Maximum nesting of wrappers that is followed. */
const MAX_WRAPPER_DEPTH = 6;

/**
 * Reads the command line of `executable`. `filename` is the path that was passed to exec, if known. Returns undefined
 * if the executable is no interpreter, wrapper or multi-call binary, or if any user could have created it.
 */
export function readCommandLine(
  executable: string,
  filename: string | undefined,
  args: readonly string[] | undefined,
  note?: Note,
): Reading | undefined {
  if (!readsCommandLine(executable)) return undefined;
  const name = nameOf(executable);
  const reading = isMultiCall(name)
    ? readMultiCall(name, filename, args, note)
    : readProgram(name, args, 0, note);
  // Elsewhere a file of a shell's name need not be a shell.
  return reading.shellCommand && !isSystemPlace(executable) ? { ...reading, shellCommand: false } : reading;
}

function readProgram(name: string, args: readonly string[] | undefined, depth: number, note?: Note): Reading {
  const grammar = grammarFor(name);
  if (grammar !== undefined) {
    note?.(`${name}: an interpreter (${grammar.kind})`);
    return args === undefined ? { ...nothing, kind: grammar.kind } : readInterpreter(grammar, args, note);
  }
  const wrapper = wrapperFor(name);
  if (wrapper === undefined || args === undefined || depth >= MAX_WRAPPER_DEPTH) return nothing;
  note?.(`${name}: runs the program in its arguments`);
  return readWrapper(wrapper, args, depth, note);
}

function readMultiCall(
  name: string,
  filename: string | undefined,
  args: readonly string[] | undefined,
  note?: Note,
): Reading {
  const called = calledName(args?.[0]);
  const given = calledName(filename);
  // `exe` is the last element of /proc/self/exe, by which busybox runs itself again.
  const namesNoApplet = (text: string | undefined): boolean =>
    text === undefined || text === name || text === "exe";
  let applet = namesNoApplet(given) ? called : given;
  let rest = args;
  if (namesNoApplet(applet)) {
    const first = args?.[1];
    const chosen = first?.startsWith("--coreutils-prog") ? first.split("=")[1] : first;
    if (chosen === undefined || chosen.startsWith("-")) return nothing;
    applet = calledName(chosen);
    rest = args?.slice(1);
  } else if (
    given !== undefined &&
    called !== undefined &&
    !namesNoApplet(given) &&
    !namesNoApplet(called) &&
    given !== called
  ) {
    note?.(
      `${name}: called as ${called} through a path that ends in ${given}: they contradict each other, so neither is used`,
    );
    return nothing;
  }
  if (applet === undefined) return nothing;
  note?.(`${name}: a multi-call binary, run as ${applet}`);
  return { ...readProgram(applet, rest, 0, note), applet };
}

const descriptor = /^\/(?:dev\/(?:fd\/[0-9]+|stdin)|proc\/(?:self|[0-9]+)\/fd\/[0-9]+)$/;

/** Whether `path` denotes an open file descriptor, so that its text does not identify the file. */
export function isDescriptor(path: string): boolean {
  return descriptor.test(path);
}

function scripted(kind: string, script: string | undefined, note?: Note): Reading {
  // A process that overwrites its arguments with a title, as npm does, leaves an empty operand.
  if (script === undefined || script === "") return { ...nothing, kind };
  if (script === "-" || isDescriptor(script)) {
    note?.(`${script}: code from a descriptor`);
    return { ...nothing, kind, inline: true };
  }
  note?.(`${script}: the script`);
  return { ...nothing, kind, script };
}

/** What the options of an interpreter imply for the rest of its command line. */
interface OptionEffects {
  /** The first operand is code. */
  codeOperand: boolean;
  /** The code comes from standard input. */
  stdin: boolean;
  /** Without an operand no code is read. */
  idle: boolean;
  /** The script is searched in PATH. */
  search: boolean;
  /** The shell is interactive. */
  interactive: boolean;
}

/** What an option led to: how many arguments it took, or what the interpreter runs if the option decides that. */
type OptionResult = 1 | 2 | Reading;

function readInterpreter(grammar: Grammar, args: readonly string[], note?: Note): Reading {
  const { kind } = grammar;
  const effects: OptionEffects = {
    codeOperand: false,
    stdin: false,
    idle: false,
    search: false,
    interactive: false,
  };
  let hasCommand = false;
  let index = 1;
  while (index < args.length) {
    const argument = args[index] ?? "";
    if (argument === "--" || (argument === "-" && grammar.dashEnds === true)) {
      index += 1;
      break;
    }
    if (argument === "-") {
      note?.("-: code from standard input");
      return inlineCode(kind);
    }
    if (isOption(grammar, argument)) {
      const isLong = argument.startsWith("--") || grammar.singleDash === true;
      const result = isLong
        ? readLongOption(grammar, argument, args[index + 1], effects, note)
        : readShortOptions(grammar, argument, args[index + 1], effects, note);
      if (typeof result !== "number") return result;
      index += result;
      continue;
    }
    const command = hasCommand ? undefined : grammar.commands?.[argument];
    if (command === undefined) break;
    note?.(`${argument}: a command of ${kind}`);
    if (command === "other") return { ...nothing, kind };
    if (command === "code") return inlineCode(kind);
    hasCommand = true;
    index += 1;
  }
  if (effects.codeOperand || effects.stdin) {
    note?.(effects.codeOperand ? "-c: code as an argument" : "-s: code from standard input");
    return effects.codeOperand ? codeArgument(grammar, effects) : inlineCode(kind);
  }
  return readOperand(grammar, args[index], effects, note);
}

function inlineCode(kind: string): Reading {
  return { ...nothing, kind, inline: true };
}

/** The code is an argument of an option. */
function codeArgument(grammar: Grammar, { interactive }: OptionEffects): Reading {
  return { ...inlineCode(grammar.kind), shellCommand: grammar.shell === true && !interactive };
}

function isOption(grammar: Grammar, argument: string): boolean {
  return argument.startsWith("-") || (grammar.plus === true && argument.startsWith("+"));
}

/** Reads `--name`, `--name=value` or `--name value`. */
function readLongOption(
  grammar: Grammar,
  argument: string,
  next: string | undefined,
  effects: OptionEffects,
  note?: Note,
): OptionResult {
  const { kind } = grammar;
  const { name, value: attached } = splitLongOption(argument);
  const value = attached ?? next;
  if (grammar.longCode?.includes(name)) {
    note?.(`${name}: code as an argument`);
    return codeArgument(grammar, effects);
  }
  if (grammar.longFile?.includes(name)) return scripted(kind, value, note);
  if (grammar.longModule?.includes(name)) return { ...nothing, kind, module: value };
  if (grammar.longIdle?.includes(name)) effects.idle = true;
  if (attached === undefined && grammar.longValue?.includes(name)) {
    note?.(`${name} ${next ?? ""}: skipped`);
    return 2;
  }
  note?.(`${argument}: skipped`);
  return 1;
}

/** The parts of `--name=value`; `value` is undefined without `=`. */
function splitLongOption(argument: string): { readonly name: string; readonly value: string | undefined } {
  const equals = argument.indexOf("=");
  return equals === -1
    ? { name: argument, value: undefined }
    : { name: argument.slice(0, equals), value: argument.slice(equals + 1) };
}

/** Reads a cluster of one-letter options such as `-xec`. */
function readShortOptions(
  grammar: Grammar,
  cluster: string,
  next: string | undefined,
  effects: OptionEffects,
  note?: Note,
): OptionResult {
  for (let i = 1; i < cluster.length; i++) {
    const letter = cluster.charAt(i);
    const rest = cluster.slice(i + 1);
    const decided = readDecidingLetter(grammar, letter, rest === "" ? next : rest, effects, note);
    if (decided !== undefined) return decided;
    if (grammar.interactive?.includes(letter)) effects.interactive = cluster.startsWith("-");
    if (grammar.codeOperand?.includes(letter)) effects.codeOperand = true;
    if (grammar.stdin?.includes(letter)) effects.stdin = true;
    if (grammar.search?.includes(letter)) effects.search = true;
    if (grammar.idle?.includes(letter)) effects.idle = true;
    if (grammar.attached?.includes(letter)) break;
    if (grammar.digits?.includes(letter)) i += /^[0-9]*/.exec(rest)?.[0].length ?? 0;
    if (grammar.value?.includes(letter)) {
      if (rest !== "") break;
      note?.(`${cluster} ${next ?? ""}: skipped`);
      return 2;
    }
  }
  note?.(`${cluster}: skipped`);
  return 1;
}

/** What the interpreter runs, if the option `letter` alone decides it; `value` is the option's. */
function readDecidingLetter(
  grammar: Grammar,
  letter: string,
  value: string | undefined,
  effects: OptionEffects,
  note?: Note,
): Reading | undefined {
  const { kind } = grammar;
  if (grammar.code?.includes(letter)) {
    note?.(`-${letter}: code as an argument`);
    return codeArgument(grammar, effects);
  }
  if (grammar.file?.includes(letter)) return scripted(kind, value, note);
  if (!grammar.module?.includes(letter)) return undefined;
  note?.(`-${letter} ${value ?? ""}: a module`);
  return { ...nothing, kind, module: value };
}

/** Reads the first operand of an interpreter, after its options. */
function readOperand(
  grammar: Grammar,
  operand: string | undefined,
  { idle, search }: OptionEffects,
  note?: Note,
): Reading {
  const { kind } = grammar;
  if (operand === undefined) {
    if (idle || !grammar.reads) return { ...nothing, kind };
    note?.("no script: code from standard input");
    return inlineCode(kind);
  }
  if (grammar.operand === "code") {
    note?.("code as an argument");
    return inlineCode(kind);
  }
  if (grammar.operand === "class") {
    if (operand.startsWith("@")) return { ...nothing, kind };
    if (operand.endsWith(".java")) return scripted(kind, operand, note);
    note?.(`${operand}: the main class`);
    return { ...nothing, kind, module: operand };
  }
  if (grammar.scripts?.test(operand) === false) {
    note?.(`${operand}: not a script`);
    return { ...nothing, kind };
  }
  if (/^[a-z]+:\/\//.test(operand)) return { ...nothing, kind, module: nameOf(operand) };
  if (search && !operand.includes("/")) return { ...nothing, kind, module: operand };
  return scripted(kind, operand, note);
}

const assignment = /^[A-Za-z_]\w*=/;

/** What an option of a wrapper means. `taken`: the number of arguments that it took, including itself. */
type WrapperOption =
  | { readonly effect: "skip"; readonly taken: 1 | 2 }
  | { readonly effect: "code" }
  /** `text` has to be split into words, which take the place of the option. */
  | { readonly effect: "split"; readonly text: string; readonly taken: 1 | 2 };

function readWrapper(wrapper: Wrapper, args: readonly string[], depth: number, note?: Note): Reading {
  let words = args;
  let operandsLeft = wrapper.operands;
  // Only the first text is split, which bounds the work for a hostile command line.
  let maySplit = true;
  let index = 1;
  while (index < words.length) {
    const word = words[index] ?? "";
    if (word === "--") {
      index += 1;
      continue;
    }
    const option = wrapperOption(wrapper, word, words[index + 1], maySplit);
    if (option !== undefined && wrapper.loader === true) {
      note?.(`${word}: the loader can put other code before the program's, so it is the program itself`);
      return nothing;
    }
    if (option?.effect === "code") return { ...nothing, inline: true };
    if (option?.effect === "split") {
      maySplit = false;
      words = ["", ...option.text.trim().split(/\s+/), ...words.slice(index + option.taken)];
      index = 1;
      continue;
    }
    if (option === undefined && !isIgnoredWord(wrapper, word)) {
      if (operandsLeft === 0) break;
      operandsLeft -= 1;
    }
    note?.(`${word}: skipped`);
    index += option?.taken ?? 1;
  }
  return readWrapped(wrapper, words.slice(index), depth, note);
}

/** A lone `-`, or an assignment before the program. */
function isIgnoredWord(wrapper: Wrapper, word: string): boolean {
  return word === "-" || (wrapper.assignments === true && assignment.test(word));
}

/** What `word` means as an option; undefined if it is not one. `next` is the word behind it. */
function wrapperOption(
  wrapper: Wrapper,
  word: string,
  next: string | undefined,
  maySplit: boolean,
): WrapperOption | undefined {
  if (word.startsWith("--")) return longWrapperOption(wrapper, word, next, maySplit);
  const isCluster = word.startsWith("-") && word.length > 1 && wrapper.loader !== true;
  return isCluster ? shortWrapperOptions(wrapper, word.slice(1), next, maySplit) : undefined;
}

function longWrapperOption(
  wrapper: Wrapper,
  word: string,
  next: string | undefined,
  maySplit: boolean,
): WrapperOption {
  const { name, value } = splitLongOption(word);
  if (wrapper.longCode?.includes(name)) return { effect: "code" };
  if (name === wrapper.longSplit && maySplit)
    return { effect: "split", text: value ?? next ?? "", taken: value === undefined ? 2 : 1 };
  const takesNext = value === undefined && wrapper.longValue?.includes(name) === true;
  return { effect: "skip", taken: takesNext ? 2 : 1 };
}

/** In a cluster, the first letter that takes a value ends the cluster: the rest is its value, or else the next word. */
function shortWrapperOptions(
  wrapper: Wrapper,
  letters: string,
  next: string | undefined,
  maySplit: boolean,
): WrapperOption {
  const position = [...letters].findIndex(
    (letter) => wrapper.value?.includes(letter) || wrapper.code?.includes(letter) || letter === wrapper.split,
  );
  if (position === -1) return { effect: "skip", taken: 1 };
  const letter = letters.charAt(position);
  const rest = letters.slice(position + 1);
  const taken = rest === "" ? 2 : 1;
  if (wrapper.code?.includes(letter)) return { effect: "code" };
  if (letter === wrapper.split && maySplit)
    return { effect: "split", text: rest === "" ? (next ?? "") : rest, taken };
  return { effect: "skip", taken };
}

/** Reads the program that a wrapper runs, and its arguments: `words` begins with the program. */
function readWrapped(wrapper: Wrapper, words: readonly string[], depth: number, note?: Note): Reading {
  const [program] = words;
  if (program === undefined) return nothing;
  const name = nameOf(program);
  const isTrusted = directoryOf(program) === "" || !isAnybodysPlace(program);
  if (isTrusted && (grammarFor(name) !== undefined || wrapperFor(name) !== undefined)) {
    const inner = readProgram(name, words, depth + 1, note);
    if (
      inner.script !== undefined ||
      inner.program !== undefined ||
      inner.module !== undefined ||
      inner.inline
    )
      // The process is the wrapper, which is no shell.
      return { ...inner, shellCommand: false };
  }
  if (wrapper.loader === true || program.includes("/")) {
    note?.(`${program}: the program that it runs`);
    return { ...nothing, program };
  }
  note?.(`${program}: searched in PATH, so its file is not known`);
  return nothing;
}
