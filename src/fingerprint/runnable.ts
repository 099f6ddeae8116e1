// What a process really runs, and the facts that identify it.
import type { Runnable } from "../forest/runnable.ts";
import type { ProcessFacts } from "../sensor/event.ts";

export type { Runnable };

/** The facts of a process that identify its runnable. */
export type RunnableFacts = Pick<
  ProcessFacts,
  "executable" | "executableMemfd" | "filename" | "script" | "args" | "cwd"
> &
  Partial<Pick<ProcessFacts, "argsTruncated" | "userMounts" | "cgroup" | "uid" | "executableTrusted">>;

/** A program of which no path is known, but only its label, which is the same in the tree and in the exact tree. */
export function runnableOfName(name: string, key: string, executableName: string | undefined): Runnable {
  return {
    key,
    executable: undefined,
    executableName,
    script: undefined,
    inline: false,
    shellCommand: false,
    path: undefined,
    folded: undefined,
    foldedExecutable: undefined,
    name,
    label: name,
    random: false,
    randomness: 0,
    unscored: false,
    entropy: undefined,
  };
}
