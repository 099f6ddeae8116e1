// What is really being run, and what it is identified by.
import type { Runnable } from "../forest/runnable.ts";
import type { ProcessFacts } from "../sensor/event.ts";

export type { Runnable };

/** What a runnable is identified by. */
export type RunnableFacts = Pick<
  ProcessFacts,
  "executable" | "executableMemfd" | "filename" | "script" | "args" | "cwd"
> &
  Partial<Pick<ProcessFacts, "argsTruncated" | "userMounts" | "cgroup">>;
