// What a command line makes its executable run: a script, a module, code of its own, or another program.

/** What was read from a command line. All text is as the process gave it. */
export interface Reading {
  /** The script, as given. */
  readonly script: string | undefined;
  /** A module or class instead of a file: `python -m`, `java CLASS`. */
  readonly module: string | undefined;
  /** Code as an argument, or from standard input or another descriptor. */
  readonly inline: boolean;
}

const nothing: Reading = { script: undefined, module: undefined, inline: false };
const interpreters = /^(?:(?:ba|da|z|k|a)?sh|python[0-9.]*)$/;

/** Reads `args` (with argv[0]) of an executable named `name`; undefined if it is no interpreter. */
export function readCommandLine(name: string, args: readonly string[] | undefined): Reading | undefined {
  if (!interpreters.test(name)) return undefined;
  if (args === undefined) return nothing;
  for (const argument of args.slice(1)) {
    if (argument === "-") break;
    if (!argument.startsWith("-")) return { ...nothing, script: argument };
    if (!argument.startsWith("--") && argument.includes("c")) break;
  }
  return { ...nothing, inline: true };
}
