// Whether a process descends from a program that root runs. Change windows apply below such programs only.
import type { Lineage } from "../forest/lineage.ts";
import type { Runnable } from "../forest/runnable.ts";

/** Compiles a glob over paths. Throws an Error that describes what is invalid. */
export type CompilePathGlob = (pattern: string) => (path: string) => boolean;

const ROOT = 0;
/** Labels that programs of many names share. */
const sharedLabels: readonly string[] = ["base", "random", "overflow", "container", "..."];

/** What is wrong with a name or path glob; undefined if a change window can be opened for it. */
export function programProblem(program: string): string | undefined {
  if (sharedLabels.includes(program)) return `programs of many names have the label "${program}"`;
  if (program.startsWith("/")) {
    const namesPath = /[^*/]/.test(program);
    return namesPath ? undefined : "it matches every program: name at least a part of its path";
  }
  if (program.includes("/")) return "a path must begin with a slash";
  return undefined;
}

/**
 * Tests lineages: whether a proper ancestor is a program that `runs` accepts, and runs it as root, or as `user` if that
 * is given, on the host. What an ancestor ran before its last exec does not count, and neither do elided ancestors: it
 * is not known who ran those. Nor does pid 1, which is everyone's ancestor.
 */
export class BelowProgram {
  private readonly runs: (runnable: Runnable) => boolean;
  private readonly user: number | undefined;
  /** For each node: it, or an ancestor of it, runs the program. Invalidated by: nothing, nodes never change. */
  private readonly nodes = new WeakMap<Lineage, boolean>();

  constructor(runs: (runnable: Runnable) => boolean, user: number | undefined) {
    this.runs = runs;
    this.user = user;
  }

  includes(lineage: Lineage): boolean {
    return lineage.parent !== null && this.isFrom(lineage.parent);
  }

  private isFrom(node: Lineage): boolean {
    const known = this.nodes.get(node);
    if (known !== undefined) return known;
    // The forest's limit on a lineage's depth bounds the recursion.
    const isFrom = this.isProgram(node) || this.includes(node);
    this.nodes.set(node, isFrom);
    return isFrom;
  }

  private isProgram({ init, container, uid, program }: Lineage): boolean {
    if (init || container !== null) return false;
    return (uid === ROOT || (uid !== undefined && uid === this.user)) && this.runs(program);
  }
}

/** `program`: a name, or a glob over the path if it begins with a slash. Throws what `compile` throws. */
export function belowProgram(
  program: string,
  user: number | undefined,
  compile: CompilePathGlob,
): BelowProgram {
  if (!program.startsWith("/")) return new BelowProgram((runnable) => hasName(runnable, program), user);
  const matches = compile(program);
  return new BelowProgram(({ path }) => path !== undefined && matches(path), user);
}

/** Compares as the operator `under` of policies does. */
function hasName({ label, name, executableName, script }: Runnable, program: string): boolean {
  return (
    label === program ||
    name === program ||
    executableName === program ||
    (script !== undefined && script.slice(script.lastIndexOf("/") + 1) === program)
  );
}
