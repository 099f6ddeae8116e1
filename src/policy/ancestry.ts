// The operator `under`: whether a proper ancestor has one of the given names; for events of the network, whether the
// process or an ancestor has. Evaluated once per node of a lineage.
// Lineages cross the border of a container, so `under` also finds its runtime and shim, which its tree leaves out.
import type { Runnable } from "../fingerprint/runnable.ts";
import type { Lineage } from "../forest/lineage.ts";
import { compileGlob, type TextTest } from "./glob.ts";
import type { Subject } from "./subject.ts";

/** The names and path globs of one use of `under`. */
interface UnderNames {
  readonly names: ReadonlySet<string>;
  readonly paths: readonly TextTest[];
}

/** For each use of `under` in a policy, in order: 1 if it is true. Shared between nodes and never modified. */
export type UnderAnswers = Uint8Array;

/** Evaluates every `under` of one policy. Cached answers are freed with their node or runnable. */
export class Ancestry {
  private readonly uses: UnderNames[] = [];
  private readonly indices = new Map<string, number>();
  // Invalidated by: nothing. Runnables and nodes never change, and each policy has its own Ancestry.
  private readonly ofRunnables = new WeakMap<Runnable, UnderAnswers>();
  private readonly withNodes = new WeakMap<Lineage, UnderAnswers>();
  private noAnswers: UnderAnswers = new Uint8Array(0);

  /** Returns the index of these entries in the answers. To be called only before the first subject. */
  add(entries: readonly string[]): number {
    const key = JSON.stringify([...entries].sort());
    const known = this.indices.get(key);
    if (known !== undefined) return known;
    const index = this.uses.length;
    this.uses.push({
      names: new Set(entries.filter((entry) => !entry.includes("/"))),
      paths: entries.filter((entry) => entry.includes("/")).map(compileGlob),
    });
    this.indices.set(key, index);
    this.noAnswers = new Uint8Array(index + 1);
    return index;
  }

  /** The answers for the process, from its ancestors and from the programs that it ran before. */
  of(subject: Pick<Subject, "kind" | "lineage" | "parent">): UnderAnswers {
    // What uses the network is not new below its ancestors, as a program is that has just begun: it counts itself.
    if (subject.kind !== "exec") return this.including(subject.lineage);
    const above = this.above(subject.lineage);
    // A child that runs the same program as its parent shares its node, so the parent is not an ancestor of the node.
    const shared = subject.parent?.program.key === subject.lineage.program.key && !subject.lineage.init;
    return shared ? join(above, this.ofRunnable(subject.lineage.program)) : above;
  }

  private above(node: Lineage): UnderAnswers {
    let answers = node.parent === null ? this.noAnswers : this.including(node.parent);
    for (const program of node.earlier) answers = join(answers, this.ofRunnable(program));
    for (const program of node.elided ?? []) answers = join(answers, this.ofRunnable(program));
    return answers;
  }

  /** The answers for the node's children. The forest's limit on a lineage's depth bounds the recursion. */
  private including(node: Lineage): UnderAnswers {
    const known = this.withNodes.get(node);
    if (known !== undefined) return known;
    const nodeAnswers = node.init ? this.ofInit(node.program) : this.ofRunnable(node.program);
    const answers = join(this.above(node), nodeAnswers);
    this.withNodes.set(node, answers);
    return answers;
  }

  private ofRunnable(runnable: Runnable): UnderAnswers {
    const known = this.ofRunnables.get(runnable);
    if (known !== undefined) return known;
    const answers = new Uint8Array(this.uses.length);
    const script = runnable.script?.slice(runnable.script.lastIndexOf("/") + 1);
    this.uses.forEach(({ names, paths }, i) => {
      const named =
        names.has(runnable.label) ||
        names.has(runnable.name) ||
        (runnable.executableName !== undefined && names.has(runnable.executableName)) ||
        (script !== undefined && names.has(script));
      const { path } = runnable;
      if (named || (path !== undefined && paths.some((test) => test(path)))) answers[i] = 1;
    });
    this.ofRunnables.set(runnable, answers);
    return answers;
  }

  /** Pid 1 of the host counts by its executable's name only: it is the ancestor of everything. */
  private ofInit(runnable: Runnable): UnderAnswers {
    const answers = new Uint8Array(this.uses.length);
    this.uses.forEach(({ names }, i) => {
      if (runnable.executableName !== undefined && names.has(runnable.executableName)) answers[i] = 1;
    });
    return answers;
  }
}

/** The union of both; returns `a` itself if `b` adds nothing. */
function join(a: UnderAnswers, b: UnderAnswers): UnderAnswers {
  let adds = false;
  for (let i = 0; i < b.length; i++) if (b[i] === 1 && a[i] !== 1) adds = true;
  if (!adds) return a;
  const both = new Uint8Array(a);
  for (let i = 0; i < b.length; i++) if (b[i] === 1) both[i] = 1;
  return both;
}
