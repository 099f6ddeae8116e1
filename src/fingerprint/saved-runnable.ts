// Encodes runnables in the state that treewarden keeps between two runs within one boot.
import * as v from "valibot";
import type { Runnable } from "./runnable.ts";

const savedRunnable = v.object({
  key: v.string(),
  executable: v.optional(v.string()),
  executableName: v.optional(v.string()),
  script: v.optional(v.string()),
  inline: v.boolean(),
  // Absent in files of earlier versions.
  shellCommand: v.optional(v.boolean(), false),
  path: v.optional(v.string()),
  folded: v.optional(v.string()),
  // Likewise.
  foldedExecutable: v.optional(v.string()),
  name: v.string(),
  label: v.string(),
  random: v.boolean(),
  randomness: v.number(),
  // Likewise.
  unscored: v.optional(v.boolean(), false),
  entropy: v.optional(v.number()),
});

/** A runnable as it is saved: its properties are JSON values already. */
export function encodeRunnable(runnable: Runnable): Runnable {
  return runnable;
}

/** Decodes a runnable from a value that JSON.parse returned. Throws an Error that names the invalid field. */
export function decodeRunnable(saved: unknown): Runnable {
  const result = v.safeParse(savedRunnable, saved);
  if (!result.success) {
    const [issue] = result.issues;
    throw new Error(`${v.getDotPath(issue) ?? "it"} of a saved runnable: ${issue.message}`);
  }
  const { output } = result;
  // Properties in the order in which `identify` creates them, so that all runnables share one object shape.
  return {
    key: output.key,
    executable: output.executable,
    executableName: output.executableName,
    script: output.script,
    inline: output.inline,
    shellCommand: output.shellCommand,
    path: output.path,
    folded: output.folded,
    foldedExecutable: output.foldedExecutable,
    name: output.name,
    label: output.label,
    random: output.random,
    randomness: output.randomness,
    unscored: output.unscored,
    entropy: output.entropy,
  };
}
