// What a running interpreter runs that has written a title over its command line, as npm, puma and gunicorn do: the
// arguments are gone then, and /proc shows one text in their place.
//
// A title is not weaker than the arguments that a scan of /proc reads: the process could have written those as well. So it
// may name no more than they could: whatever it makes of a process, `node\0/path/of/the/script` makes of it, too.

import { hasUserMounts, isForeignFile, kernelThread } from "./identify.ts";
import { directoryOf, USER_MOUNTS } from "./path.ts";
import { looksLikeName, runsScripts } from "./program-kinds.ts";
import type { Runnable, RunnableFacts } from "./runnable.ts";

/** What a forest needs to name programs; `identify` names those of execs. */
export function programNames<Facts extends RunnableFacts>(identify: (facts: Facts) => Runnable) {
  return {
    identify,
    identifyRunning: (facts: Facts, known: Runnable | undefined): Runnable =>
      identifyRunning(identify, facts, known),
    kernelProgram: kernelThread,
  };
}

/** A program's name in a directory of programs; not `gunicorn:` or `[celeryd]`. */
const programName = /^[A-Za-z0-9_][\w.+@-]*$/;

/**
 * Identifies what a running process runs, from facts that a scan found and no event reported. `known`: what it ran as far
 * as events have reported. A title does not contradict that while the executable is the same.
 */
export function identifyRunning<Facts extends RunnableFacts>(
  identify: (facts: Facts) => Runnable,
  facts: Facts,
  known: Runnable | undefined,
): Runnable {
  const { executable } = facts;
  const title = titleOf(facts);
  if (title === undefined || executable === undefined || isForeignFile(facts)) return identify(facts);
  const isSame =
    known?.executable === executable && known.key.startsWith(USER_MOUNTS) === hasUserMounts(facts);
  if (isSame) return known;
  const args = argumentsOf(executable, title);
  return identify(args === undefined ? facts : { ...facts, args, argsTruncated: false });
}

/** The title that an interpreter has written: what it left of its arguments is NUL bytes, or the title needed all of them. */
function titleOf({ executable, args = [] }: RunnableFacts): string | undefined {
  const [title = "", ...rest] = args;
  if (executable === undefined || !runsScripts(executable) || rest.some((word) => word !== ""))
    return undefined;
  return (rest.length > 0 && title !== "") || title.includes(" ") ? title : undefined;
}

/** `node server.js` stands for itself; `npm run job` for a script that lies beside its interpreter, `/usr/bin/npm`. */
function argumentsOf(executable: string, title: string): readonly string[] | undefined {
  const words = title.split(" ");
  const [first = ""] = words;
  if (looksLikeName(executable, first)) return words;
  return programName.test(first) ? [executable, `${directoryOf(executable)}/${first}`] : undefined;
}
