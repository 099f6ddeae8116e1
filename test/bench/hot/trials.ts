// The caches and short cuts of the hot path, each with what has to be changed in the source so that it is not there.
// The edits are made while the modules are loaded, in a process of the benchmark only: the product has no switch.
import { join } from "node:path";

/** Text of a source file and what stands in its place without the cache. */
interface Edit {
  readonly from: string;
  readonly to: string;
}

export interface Trial {
  readonly name: string;
  /** Below `src/`. */
  readonly file: string;
  readonly edits: readonly Edit[];
}

export const trials: readonly Trial[] = [
  {
    name: "string cache",
    file: "sensor/string-cache.ts",
    edits: [{ from: "if (length > LONGEST) return", to: "if (length >= 0) return" }],
  },
  {
    name: "string cache: last",
    file: "sensor/string-cache.ts",
    edits: [
      { from: 'if (this.isIn(this.last, bytes, start, end)) return this.texts[this.last] ?? "";', to: "" },
    ],
  },
  {
    name: "tree totals: lastIdle",
    file: "report/tree-totals.ts",
    edits: [{ from: "this.keepLastIdle();\n    this.lastIdle = series;", to: "this.idle.add(series);" }],
  },
  {
    name: "lineages: lastChild",
    file: "forest/lineage.ts",
    edits: [{ from: "if (last !== null && isFor(last, spec)) return last;", to: "" }],
  },
  {
    name: "lineages: idle",
    file: "forest/lineage.ts",
    edits: [{ from: "if (node.key.length > IDLE_KEY_LENGTH) {", to: "if (node.key.length >= 0) {" }],
  },
  {
    name: "forest: noneEarlier",
    file: "forest/forest.ts",
    edits: [
      { from: "withEarlier(previous, program) : noneEarlier", to: "withEarlier(previous, program) : []" },
    ],
  },
  {
    name: "rules: lastUndecided",
    file: "policy/rule-evaluator.ts",
    edits: [
      {
        from: "const last = this.lastUndecided.undecided;",
        to: "if (undecided.length >= 0) return { ...decision, undecided };\n    const last = this.lastUndecided.undecided;",
      },
    ],
  },
  {
    name: "rules: prefilter",
    file: "policy/rule-evaluator.ts",
    edits: [
      {
        from: "const known = this.prefilters.get(tree);",
        to: "if (tree !== undefined) return this.all;\n    const known = this.prefilters.get(tree);",
      },
    ],
  },
  {
    name: "verdicts: counted",
    file: "warden/verdict-totals.ts",
    edits: [{ from: "if (last === undefined || !isSameKind(last, decision, outcome)) {", to: "{" }],
  },
  {
    name: "ancestry: ofRunnables",
    file: "policy/ancestry.ts",
    edits: [{ from: "this.ofRunnables.get(runnable)", to: "undefined" }],
  },
  {
    name: "ancestry: withNodes",
    file: "policy/ancestry.ts",
    edits: [{ from: "this.withNodes.get(node)", to: "undefined" }],
  },
  {
    name: "ancestry: both",
    file: "policy/ancestry.ts",
    edits: [
      { from: "this.ofRunnables.get(runnable)", to: "undefined" },
      { from: "this.withNodes.get(node)", to: "undefined" },
    ],
  },
  {
    name: "identify: by executable",
    file: "fingerprint/identify.ts",
    edits: [
      {
        from: "if (executable !== undefined && facts.script === undefined",
        to: "if (executable === null && facts.script === undefined",
      },
    ],
  },
  {
    name: "identify: by command line",
    file: "fingerprint/identify.ts",
    edits: [{ from: "bySubject.get(subject.key) ??", to: "" }],
  },
  {
    name: "identify: both",
    file: "fingerprint/identify.ts",
    edits: [
      {
        from: "if (executable !== undefined && facts.script === undefined",
        to: "if (executable === null && facts.script === undefined",
      },
      { from: "bySubject.get(subject.key) ??", to: "" },
    ],
  },
  {
    name: "paths: directories",
    file: "fingerprint/path-elements.ts",
    edits: [{ from: "if (known !== undefined) return known;", to: "" }],
  },
  {
    name: "cgroup names",
    file: "linux/cgroup-names.ts",
    edits: [
      {
        from: "const results = new Map<string, string | null>();",
        to: "if (read !== undefined) return read;\n  const results = new Map<string, string | null>();",
      },
    ],
  },
  {
    name: "scopes",
    file: "baseline/key.ts",
    edits: [{ from: "if (cgroup === undefined || container !== null) return scopeOf", to: "return scopeOf" }],
  },
  {
    name: "baseline: by lineage",
    file: "baseline/baseline.ts",
    edits: [
      { from: "const head = this.cache.get(lineage);", to: "const head = undefined;" },
      { from: "this.cache.set(lineage, created);", to: "" },
    ],
  },
  {
    name: "baseline: a second's answer",
    file: "baseline/baseline.ts",
    edits: [
      {
        from: "if (cached.knowledge !== undefined && cached.second === second) return cached.knowledge;",
        to: "",
      },
    ],
  },
  {
    name: "baseline: familiar",
    file: "baseline/baseline.ts",
    edits: [{ from: "if (cached !== undefined) return cached;", to: "" }],
  },
  {
    name: "learning: by lineage",
    file: "baseline/learning.ts",
    edits: [{ from: "this.cached(lineage, scope, change) ?? this.findOrAdd(", to: "this.findOrAdd(" }],
  },
  {
    name: "new trees: asked",
    file: "warden/new-trees.ts",
    edits: [{ from: "if (this.asked.has(tree)) return false;", to: "" }],
  },
  {
    name: "process.creation.time",
    file: "vocabulary/process-key.ts",
    edits: [{ from: "if (ms === lastMs) return lastText;", to: "" }],
  },
];

const source = join(import.meta.dir, "../../../src");

export function pathOf(trial: Trial): string {
  return join(source, trial.file);
}

/** The source without the cache. Throws if the source has changed so that an edit does not fit any more. */
export function without(trial: Trial, text: string): string {
  let changed = text;
  for (const { from, to } of trial.edits) {
    if (changed.split(from).length !== 2)
      throw new Error(`${trial.name}: the text to replace must be in src/${trial.file} once:\n${from}`);
    changed = changed.replace(from, () => to);
  }
  return changed;
}
