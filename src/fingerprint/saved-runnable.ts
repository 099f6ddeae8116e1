// Runnables as they are kept between two runs of the same boot.
import type { Runnable } from "./runnable.ts";

export function encodeRunnable(runnable: Runnable): Runnable {
  return runnable;
}

/** A runnable out of what JSON.parse gave; throws an Error that names the field if it is none. */
export function decodeRunnable(saved: unknown): Runnable {
  if (typeof saved !== "object" || saved === null) throw new Error("not a runnable");
  const field = (name: string): unknown => Reflect.get(saved, name);
  const text = (name: string): string => {
    const value = field(name);
    if (typeof value !== "string") throw new Error(`a runnable without ${name}`);
    return value;
  };
  const perhaps = (name: string): string | undefined => (field(name) === undefined ? undefined : text(name));
  const entropy = field("entropy");
  const randomness = field("randomness");
  return {
    key: text("key"),
    executable: perhaps("executable"),
    executableName: perhaps("executableName"),
    script: perhaps("script"),
    inline: field("inline") === true,
    path: perhaps("path"),
    folded: perhaps("folded"),
    name: text("name"),
    label: text("label"),
    random: field("random") === true,
    randomness: typeof randomness === "number" ? randomness : 0,
    entropy: typeof entropy === "number" ? entropy : undefined,
  };
}
