// From what is known of a process to its runnable: what is really run, under which name.
import { type BaseSystem, embeddedBase, isBase } from "./base.ts";
import { BoundedCache } from "./cache.ts";
import { readCommandLine } from "./commandline.ts";
import { metricEntropy } from "./entropy.ts";
import { label, labelOf } from "./label.ts";
import { nameOf, resolvePath } from "./path.ts";
import { RANDOM_FROM, scoreName } from "./randomness.ts";
import type { Runnable, RunnableFacts } from "./runnable.ts";

/** Every kernel thread has this image, so that all of them collapse into one label. */
export const kernelThread: Runnable = {
  key: "\u0000kthreadd",
  executable: undefined,
  executableName: undefined,
  script: undefined,
  inline: false,
  path: undefined,
  name: label.kernel,
  label: label.kernel,
  random: false,
  randomness: 0,
  entropy: undefined,
};

export type Identify = (facts: RunnableFacts) => Runnable;

export interface IdentifierOptions {
  readonly base?: BaseSystem;
}

/** Runnables kept: two generations of so many, and of so many characters of keys (1 MiB is room for 256 longest paths). */
const RUNNABLES = 4096;
const KEY_CHARACTERS = 1 << 20;

/** Makes the function that identifies runnables. While one is cached, equal facts give the same object. */
export function createIdentifier(options: IdentifierOptions = {}): Identify {
  const base = options.base ?? embeddedBase;
  const known = new BoundedCache<Runnable>(RUNNABLES, KEY_CHARACTERS);
  return (facts) => {
    const executable = facts.executable;
    const executableName = executable === undefined ? undefined : nameOf(executable);
    const reading = executableName === undefined ? undefined : readCommandLine(executableName, facts.args);
    const given = facts.script ?? reading?.script;
    const inline = facts.script === undefined && (reading?.inline ?? false);
    const key = `${executable ?? ""}\u0000${given ?? ""}\u0000${inline ? 1 : 0}${given?.startsWith("/") ? "" : facts.cwd}`;
    let runnable = known.get(key);
    if (runnable === undefined) {
      const script = given === undefined ? undefined : resolvePath(given, facts.cwd);
      runnable = make(key, executable, executableName, script, given, inline, base);
      known.set(key, runnable);
    }
    return runnable;
  };
}

function make(
  key: string,
  executable: string | undefined,
  executableName: string | undefined,
  script: string | undefined,
  given: string | undefined,
  inline: boolean,
  base: BaseSystem,
): Runnable {
  const path = given === undefined ? executable : script;
  const named = path ?? given;
  let randomness = 0;
  let last = 0;
  let entropy: number | undefined;
  for (const element of (named ?? "").split("/")) {
    last = element === "" ? 0 : scoreName(element);
    randomness = Math.max(randomness, last);
    entropy = least(entropy, metricEntropy(element));
  }
  const name =
    named === undefined ? label.unknown : last >= RANDOM_FROM ? label.random : labelOf(nameOf(named));
  return {
    key,
    executable,
    executableName,
    script,
    inline,
    path,
    name,
    label: path !== undefined && isBase(path, base) ? label.base : name,
    random: randomness >= RANDOM_FROM,
    randomness,
    entropy,
  };
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}

/** Identifies runnables with the embedded base list. */
export const identify: Identify = createIdentifier();
