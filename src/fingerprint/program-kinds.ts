// What kind of program a name or a path stands for: an interpreter, a program that runs another one, many in one, or
// none of these.
import type { Grammar } from "./grammar.ts";
import { grammars } from "./interpreters.ts";
import { nameOf } from "./path.ts";
import { multiCall, type Wrapper, wrappers } from "./wrappers.ts";

const grammarOf = new Map(
  grammars.flatMap((grammar) => grammar.names.map((name) => [name, grammar] as const)),
);
const wrapperOf = new Map(
  wrappers.flatMap((wrapper) => wrapper.names.map((name) => [name, wrapper] as const)),
);

const worldWritable = /^(?:\/(?:tmp|var\/tmp|dev|proc|run\/user|run\/lock|run\/shm)(?:\/|$)|memfd:)/;
const systemDirectory =
  /^\/(?:(?:usr\/)?(?:bin|sbin|lib(?:32|64|x32|exec)?)|usr\/local\/bin|nix\/store|gnu\/store|opt\/[^/]+\/(?:bin|lib))(?:\/|$)/;
const loader = /^ld(?:-linux|-musl|64|-[0-9.]+)?[\w.-]*\.so(?:\.[0-9]+)?$/;
const versioned = /^([A-Za-z][A-Za-z_-]*?[A-Za-z])[-_]?[0-9][0-9.]*[a-z]?(?:-dbg)?$/;

/** Whether any user may create files there: one that is named like an interpreter need not be one. */
export function isAnybodysPlace(path: string): boolean {
  return worldWritable.test(path);
}

/** Whether `path` lies in a directory of the system's programs, where the name of a wrapper or a shell is trusted. */
export function isSystemPlace(path: string): boolean {
  return systemDirectory.test(path);
}

/** Whether a program of this name is many programs in one, such as busybox. */
export function isMultiCall(name: string): boolean {
  return multiCall.has(name);
}

/** The name of an interpreter without its version: `python3.11` is `python`, `php8.2` `php`, `ksh93` `ksh`. */
function stemOf(name: string): string {
  return versioned.exec(name)?.[1] ?? name;
}

/** How the command line of a program of this name is parsed, if it is an interpreter. */
export function grammarFor(name: string): Grammar | undefined {
  return grammarOf.get(name) ?? grammarOf.get(stemOf(name));
}

/** The same, if it runs the program in its arguments, as env and nice do. */
export function wrapperFor(name: string): Wrapper | undefined {
  return wrapperOf.get(loader.test(name) ? "ld.so" : name);
}

/** Whether the command line decides what `executable` runs. Called for every exec, so it must be cheap. */
export function readsCommandLine(executable: string): boolean {
  const name = nameOf(executable);
  if (isMultiCall(name)) return isSystemPlace(executable) || !isAnybodysPlace(executable);
  if (grammarFor(name) !== undefined) return !isAnybodysPlace(executable);
  return wrapperFor(name) !== undefined && isSystemPlace(executable);
}

/** Whether `executable` is an interpreter, not a shell, whose first operand is a script. */
export function runsScripts(executable: string): boolean {
  const grammar = grammarFor(nameOf(executable));
  return grammar?.operand === "script" && grammar.shell !== true && readsCommandLine(executable);
}

/** Whether `executable` is a command shell, and no multi-call binary. */
export function isShell(executable: string | undefined): boolean {
  return (
    executable !== undefined && grammarFor(nameOf(executable))?.shell === true && readsCommandLine(executable)
  );
}

/** The family of env, nice and the like. */
const WRAPPER = "wrapper";
/** What a multi-call binary may be when it runs a script or another program. */
const multiCallFamilies: readonly string[] = ["shell", "awk", WRAPPER];

/**
 * The kinds of interpreter that a program of this name may be: `shell` for bash, dash and busybox, `python` for
 * python3.11. Empty for what runs neither scripts nor other programs, and for the dynamic loader, which runs any program.
 */
export function interpreterFamilies(name: string): readonly string[] {
  if (isMultiCall(name)) return multiCallFamilies;
  const grammar = grammarFor(name);
  if (grammar !== undefined) return [grammar.kind];
  return wrapperOf.has(name) && !loader.test(name) ? [WRAPPER] : [];
}

/** The name a program was called by: the last element, without the leading `-` of a login shell. */
export function calledName(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const name = nameOf(text.startsWith("-") ? text.slice(1) : text);
  return name === "" ? undefined : name;
}

/** Whether `word` looks like argv[0] of `executable` rather than its first argument. */
export function looksLikeName(executable: string, word: string): boolean {
  const name = nameOf(executable);
  const called = calledName(word) ?? "";
  if (name === called || stemOf(name) === stemOf(called)) return true;
  const grammar = grammarFor(name);
  return grammar !== undefined && grammar === grammarFor(called);
}
