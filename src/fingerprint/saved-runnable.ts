// Runnables as they are kept between two runs of the same boot.
import * as v from "valibot";
import type { Runnable } from "./runnable.ts";

const savedRunnable = v.object({
  key: v.string(),
  executable: v.optional(v.string()),
  executableName: v.optional(v.string()),
  script: v.optional(v.string()),
  inline: v.boolean(),
  path: v.optional(v.string()),
  folded: v.optional(v.string()),
  name: v.string(),
  label: v.string(),
  random: v.boolean(),
  randomness: v.number(),
  entropy: v.optional(v.number()),
});

export function encodeRunnable(runnable: Runnable): Runnable {
  return runnable;
}

/** A runnable out of what JSON.parse gave. Throws an Error that names the field that is wrong. */
export function decodeRunnable(saved: unknown): Runnable {
  const result = v.safeParse(savedRunnable, saved);
  if (!result.success) {
    const [issue] = result.issues;
    throw new Error(`${v.getDotPath(issue) ?? "it"} of a saved runnable: ${issue.message}`);
  }
  const { output } = result;
  // Every property in the order in which `identify` makes them: the hot path has one kind of runnable.
  return {
    key: output.key,
    executable: output.executable,
    executableName: output.executableName,
    script: output.script,
    inline: output.inline,
    path: output.path,
    folded: output.folded,
    name: output.name,
    label: output.label,
    random: output.random,
    randomness: output.randomness,
    entropy: output.entropy,
  };
}
