// Lineages for the tests of this room: root first, below pid 1.
import { identify } from "../../src/fingerprint/identify.ts";
import { type Lineage, Lineages } from "../../src/forest/lineage.ts";

export interface Step {
  readonly run: string;
  readonly args?: readonly string[];
  readonly uid?: number;
  readonly complete?: boolean;
  readonly container?: string;
  /** What the process ran before, in place. */
  readonly earlier?: readonly (string | Pick<Step, "run" | "args">)[];
}

export function lineage(...steps: readonly (string | Step)[]): Lineage {
  const lineages = new Lineages();
  let leaf = lineages.intern(null, specOf({ run: "/usr/lib/systemd/systemd" }, true));
  for (const step of steps)
    leaf = lineages.intern(leaf, specOf(typeof step === "string" ? { run: step } : step, false));
  return leaf;
}

/** The same with its links guessed by a scan. */
export function incomplete(...paths: readonly string[]): Lineage {
  return lineage(...paths.map((run) => ({ run, complete: false })));
}

function programOf(run: string, args: readonly string[] | undefined) {
  return identify({
    executable: run,
    executableMemfd: false,
    filename: undefined,
    script: undefined,
    args,
    cwd: "/",
  });
}

function specOf(step: Step, init: boolean) {
  return {
    program: programOf(step.run, step.args),
    earlier: (step.earlier ?? []).map((each) =>
      typeof each === "string" ? programOf(each, undefined) : programOf(each.run, each.args),
    ),
    uid: step.uid ?? 0,
    container: step.container ?? null,
    complete: step.complete ?? true,
    init,
    elided: null,
  };
}
