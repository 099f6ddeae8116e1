// `under`: whether a proper ancestor is one of the names given, answered once per node of a lineage.
import type { Runnable } from "../fingerprint/runnable.ts";
import type { Lineage } from "../forest/lineage.ts";
import { compileGlob, type TextTest } from "./glob.ts";
import type { Subject } from "./subject.ts";

/** One use of `under`: its names and its globs over paths. */
interface UnderNames {
  readonly names: ReadonlySet<string>;
  readonly paths: readonly TextTest[];
}

/** For each use of `under` in a policy, in order: 1 if it holds. Shared between nodes, never changed. */
export type UnderAnswers = Uint8Array;

/** Answers every `under` of one policy. What it derived from a node or runnable goes when that goes. */
export class Ancestry {
  private readonly uses: UnderNames[] = [];
  private readonly indices = new Map<string, number>();
  // Invalidated by: nothing, runnables and nodes never change, and another policy has another Ancestry.
  private readonly ofRunnables = new WeakMap<Runnable, UnderAnswers>();
  private readonly ofNodes = new WeakMap<Lineage, UnderAnswers>();
  private readonly withNodes = new WeakMap<Lineage, UnderAnswers>();
  private nothing: UnderAnswers = new Uint8Array(0);

  /** The index of these entries in the answers. Only before the first subject. */
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
    this.nothing = new Uint8Array(index + 1);
    return index;
  }

  /** The answers for the process itself: from its ancestors and from what it was before. */
  of(subject: Subject): UnderAnswers {
    const above = this.above(subject.lineage);
    // A child that runs what its parent runs shares its node, so the parent is not among the node's ancestors.
    const shared = subject.parent?.runnable.key === subject.lineage.program.key && !subject.lineage.init;
    return shared ? join(above, this.ofRunnable(subject.lineage.program)) : above;
  }

  private above(node: Lineage): UnderAnswers {
    const known = this.ofNodes.get(node);
    if (known !== undefined) return known;
    let answers = node.parent === null ? this.nothing : this.including(node.parent);
    for (const image of node.earlier) answers = join(answers, this.ofRunnable(image));
    for (const image of node.elided ?? []) answers = join(answers, this.ofRunnable(image));
    this.ofNodes.set(node, answers);
    return answers;
  }

  /** Recursion is bounded by the forest's bound on a lineage's depth. */
  private including(node: Lineage): UnderAnswers {
    const known = this.withNodes.get(node);
    if (known !== undefined) return known;
    const own = node.init ? this.ofInit(node.program) : this.ofRunnable(node.program);
    const answers = join(this.above(node), own);
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

/** Either; one of the two themselves if that is already it. */
function join(a: UnderAnswers, b: UnderAnswers): UnderAnswers {
  let adds = false;
  for (let i = 0; i < b.length; i++) if (b[i] === 1 && a[i] !== 1) adds = true;
  if (!adds) return a;
  const both = new Uint8Array(a);
  for (let i = 0; i < b.length; i++) if (b[i] === 1) both[i] = 1;
  return both;
}
