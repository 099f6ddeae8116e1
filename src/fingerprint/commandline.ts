// Reads from a command line what the executable runs: a script, a module, code in an argument, or another program. The
// caller controls the arguments, but not how the program interprets them. argv[0] is ignored, except for multi-call
// binaries, which choose their program by it.
import type { Grammar } from "./grammar.ts";
import { grammars } from "./interpreters.ts";
import { directoryOf, nameOf } from "./path.ts";
import { multiCall, type Wrapper, wrappers } from "./wrappers.ts";

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
}

/** Receives a line on each argument that was recognised or skipped, for `explain`. */
export type Note = (text: string) => void;

const nothing: Reading = {
  kind: undefined,
  script: undefined,
  program: undefined,
  module: undefined,
  applet: undefined,
  inline: false,
};

const grammarOf = new Map(
  grammars.flatMap((grammar) => grammar.names.map((name) => [name, grammar] as const)),
);
const wrapperOf = new Map(
  wrappers.flatMap((wrapper) => wrapper.names.map((name) => [name, wrapper] as const)),
);

/** Directories where any user may create files: a file named like an interpreter need not be one. */
const worldWritable = /^(?:\/(?:tmp|var\/tmp|dev|proc|run\/user|run\/lock|run\/shm)(?:\/|$)|memfd:)/;
/** Directories where the name of a wrapper is trusted. */
const systemDirectory =
  /^\/(?:(?:usr\/)?(?:bin|sbin|lib(?:32|64|x32|exec)?)|usr\/local\/bin|nix\/store|gnu\/store|opt\/[^/]+\/(?:bin|lib))(?:\/|$)/;
const loader = /^ld(?:-linux|-musl|64|-[0-9.]+)?[\w.-]*\.so(?:\.[0-9]+)?$/;
const versioned = /^([A-Za-z][A-Za-z_-]*?[A-Za-z])[-_]?[0-9][0-9.]*[a-z]?(?:-dbg)?$/;

/** The name of an interpreter without its version: `python3.11` is `python`, `php8.2` `php`, `ksh93` `ksh`. */
function stemOf(name: string): string {
  return versioned.exec(name)?.[1] ?? name;
}

function grammarFor(name: string): Grammar | undefined {
  return grammarOf.get(name) ?? grammarOf.get(stemOf(name));
}

function wrapperFor(name: string): Wrapper | undefined {
  return wrapperOf.get(loader.test(name) ? "ld.so" : name);
}

/** Whether the command line decides what `executable` runs. Cheap, because for most programs it does not. */
export function readsCommandLine(executable: string): boolean {
  const name = nameOf(executable);
  if (multiCall.has(name)) return systemDirectory.test(executable) || !worldWritable.test(executable);
  if (grammarFor(name) !== undefined) return !worldWritable.test(executable);
  return wrapperFor(name) !== undefined && systemDirectory.test(executable);
}

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
  if (multiCall.has(name)) return readMultiCall(name, filename, args, note);
  return readProgram(name, args, 0, note);
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
  const isPlain = (text: string | undefined): boolean =>
    text === undefined || text === name || text === "exe";
  let applet = isPlain(given) ? called : given;
  let rest = args;
  if (isPlain(applet)) {
    const first = args?.[1];
    const chosen = first?.startsWith("--coreutils-prog") ? first.split("=")[1] : first;
    if (chosen === undefined || chosen.startsWith("-")) return nothing;
    applet = calledName(chosen);
    rest = args?.slice(1);
  } else if (
    given !== undefined &&
    called !== undefined &&
    !isPlain(given) &&
    !isPlain(called) &&
    given !== called
  ) {
    note?.(`${name}: called as ${called} through a path that ends in ${given}: neither is believed`);
    return nothing;
  }
  if (applet === undefined) return nothing;
  note?.(`${name}: many programs in one, this is ${applet}`);
  return { ...readProgram(applet, rest, 0, note), applet };
}

/** The name a program was called by: the last element, without the leading `-` of a login shell. */
function calledName(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const name = nameOf(text.startsWith("-") ? text.slice(1) : text);
  return name === "" ? undefined : name;
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
  note?.(`${script}: its script`);
  return { ...nothing, kind, script };
}

function readInterpreter(grammar: Grammar, args: readonly string[], note?: Note): Reading {
  const kind = grammar.kind;
  const code: Reading = { ...nothing, kind, inline: true };
  let codeOperand = false;
  let stdin = false;
  let idle = false;
  let search = false;
  let commanded = false;
  let at = 1;
  for (; at < args.length; at++) {
    const argument = args[at] ?? "";
    if (argument === "--") {
      at += 1;
      break;
    }
    if (argument === "-") {
      if (grammar.dashEnds === true) {
        at += 1;
        break;
      }
      note?.("-: code from standard input");
      return code;
    }
    if (!argument.startsWith("-") && !(grammar.plus === true && argument.startsWith("+"))) {
      const command = commanded ? undefined : grammar.commands?.[argument];
      if (command === undefined) break;
      note?.(`${argument}: a command of ${kind}`);
      if (command === "other") return { ...nothing, kind };
      if (command === "code") return code;
      commanded = true;
      continue;
    }
    if (argument.startsWith("--") || grammar.singleDash === true) {
      const equals = argument.indexOf("=");
      const option = equals === -1 ? argument : argument.slice(0, equals);
      const value = equals === -1 ? args[at + 1] : argument.slice(equals + 1);
      if (grammar.longCode?.includes(option)) {
        note?.(`${option}: code as an argument`);
        return code;
      }
      if (grammar.longFile?.includes(option)) return scripted(kind, value, note);
      if (grammar.longModule?.includes(option)) return { ...nothing, kind, module: value };
      if (grammar.longIdle?.includes(option)) idle = true;
      const takes = equals === -1 && grammar.longValue?.includes(option) === true;
      note?.(takes ? `${option} ${value ?? ""}: skipped` : `${argument}: skipped`);
      if (takes) at += 1;
      continue;
    }
    const next = args[at + 1];
    let consumed = false;
    for (let letterAt = 1; letterAt < argument.length; letterAt++) {
      const letter = argument.charAt(letterAt);
      const rest = argument.slice(letterAt + 1);
      if (grammar.code?.includes(letter)) {
        note?.(`-${letter}: code as an argument`);
        return code;
      }
      if (grammar.file?.includes(letter)) return scripted(kind, rest === "" ? next : rest, note);
      if (grammar.module?.includes(letter)) {
        const module = rest === "" ? next : rest;
        note?.(`-${letter} ${module ?? ""}: a module`);
        return { ...nothing, kind, module };
      }
      if (grammar.codeOperand?.includes(letter)) codeOperand = true;
      if (grammar.stdin?.includes(letter)) stdin = true;
      if (grammar.search?.includes(letter)) search = true;
      if (grammar.idle?.includes(letter)) idle = true;
      if (grammar.attached?.includes(letter)) break;
      if (grammar.digits?.includes(letter)) letterAt += /^[0-9]*/.exec(rest)?.[0].length ?? 0;
      if (grammar.value?.includes(letter)) {
        consumed = rest === "";
        break;
      }
    }
    note?.(consumed ? `${argument} ${next ?? ""}: skipped` : `${argument}: skipped`);
    if (consumed) at += 1;
  }
  if (codeOperand || stdin) {
    note?.(codeOperand ? "-c: code as an argument" : "-s: code from standard input");
    return code;
  }
  return readOperand(grammar, args[at], idle, search, note);
}

/** Reads the first operand of an interpreter, after its options. */
function readOperand(
  grammar: Grammar,
  operand: string | undefined,
  idle: boolean,
  search: boolean,
  note?: Note,
): Reading {
  const kind = grammar.kind;
  const code: Reading = { ...nothing, kind, inline: true };
  if (operand === undefined) {
    if (idle || !grammar.reads) return { ...nothing, kind };
    note?.("no script: code from standard input");
    return code;
  }
  if (grammar.operand === "code") {
    note?.("code as an argument");
    return code;
  }
  if (grammar.operand === "class") {
    if (operand.startsWith("@")) return { ...nothing, kind };
    if (operand.endsWith(".java")) return scripted(kind, operand, note);
    note?.(`${operand}: its main class`);
    return { ...nothing, kind, module: operand };
  }
  if (grammar.scripts?.test(operand) === false) {
    note?.(`${operand}: no file`);
    return { ...nothing, kind };
  }
  if (/^[a-z]+:\/\//.test(operand)) return { ...nothing, kind, module: nameOf(operand) };
  if (search && !operand.includes("/")) return { ...nothing, kind, module: operand };
  return scripted(kind, operand, note);
}

const assignment = /^[A-Za-z_]\w*=/;

function readWrapper(wrapper: Wrapper, args: readonly string[], depth: number, note?: Note): Reading {
  let words = args;
  let operands = wrapper.operands;
  let hasSplit = false;
  let at = 1;
  for (; at < words.length; at++) {
    const argument = words[at] ?? "";
    if (argument === "--") continue;
    if (argument.startsWith("--")) {
      const equals = argument.indexOf("=");
      const option = equals === -1 ? argument : argument.slice(0, equals);
      if (wrapper.longCode?.includes(option)) return { ...nothing, inline: true };
      if (option === wrapper.longSplit && !hasSplit) {
        hasSplit = true;
        const text = equals === -1 ? (words[at + 1] ?? "") : argument.slice(equals + 1);
        words = ["", ...text.trim().split(/\s+/), ...words.slice(equals === -1 ? at + 2 : at + 1)];
        at = 0;
        continue;
      }
      if (equals === -1 && wrapper.longValue?.includes(option)) at += 1;
      note?.(`${argument}: skipped`);
      continue;
    }
    if (argument.startsWith("-") && argument.length > 1 && wrapper.loader !== true) {
      const letters = argument.slice(1);
      const taking = [...letters].findIndex(
        (letter) =>
          wrapper.value?.includes(letter) || wrapper.code?.includes(letter) || letter === wrapper.split,
      );
      const letter = letters.charAt(taking);
      const rest = letters.slice(taking + 1);
      if (taking !== -1 && wrapper.code?.includes(letter)) return { ...nothing, inline: true };
      if (taking !== -1 && letter === wrapper.split && !hasSplit) {
        hasSplit = true;
        const text = rest === "" ? (words[at + 1] ?? "") : rest;
        words = ["", ...text.trim().split(/\s+/), ...words.slice(rest === "" ? at + 2 : at + 1)];
        at = 0;
        continue;
      }
      note?.(`${argument}: skipped`);
      if (taking !== -1 && rest === "") at += 1;
      continue;
    }
    if (argument === "-" || (wrapper.assignments === true && assignment.test(argument))) {
      note?.(`${argument}: skipped`);
      continue;
    }
    if (operands === 0) break;
    operands -= 1;
    note?.(`${argument}: skipped`);
  }
  return readWrapped(wrapper, words.slice(at), depth, note);
}

/** Reads the program that a wrapper runs, and its arguments: `words` begins with the program. */
function readWrapped(wrapper: Wrapper, words: readonly string[], depth: number, note?: Note): Reading {
  const [program] = words;
  if (program === undefined) return nothing;
  const name = nameOf(program);
  const believable = directoryOf(program) === "" || !worldWritable.test(program);
  if (believable && (grammarFor(name) !== undefined || wrapperFor(name) !== undefined)) {
    const inner = readProgram(name, words, depth + 1, note);
    if (
      inner.script !== undefined ||
      inner.program !== undefined ||
      inner.module !== undefined ||
      inner.inline
    )
      return inner;
  }
  if (wrapper.loader === true || program.includes("/")) {
    note?.(`${program}: the program it runs`);
    return { ...nothing, program };
  }
  note?.(`${program}: looked for in PATH, so nothing is known of its file`);
  return nothing;
}

/** Whether `word` looks like argv[0] of `executable` rather than its first argument. */
export function looksLikeName(executable: string, word: string): boolean {
  const name = nameOf(executable);
  const called = calledName(word) ?? "";
  if (name === called || stemOf(name) === stemOf(called)) return true;
  const grammar = grammarFor(name);
  return grammar !== undefined && grammar === grammarFor(called);
}
