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
