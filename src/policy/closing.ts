// Finds out which processes may execute nothing but certain files, whatever the arguments are. The kernel can end everything
// else that they execute without asking user space.
//
// The policy is evaluated for the next exec of a process while its program is unknown, in three-valued logic. Where an armed rule
// kills for certain all the same, every program dies that no condition names. The programs that conditions do name, and those
// that the baseline knows below the process, are judged one by one: each that does not die for certain is an exception. A rule
// that depends on more than the lineage, the user, the unit, whether the tree is known, and the program's path closes nothing.
import { comparedPath } from "../baseline/compared-path.ts";
import { comparedExecutable } from "../baseline/executable-classes.ts";
import { baselinePath } from "../baseline/key.ts";
import { type ProgramsBelow, treeAbove } from "../baseline/programs-below.ts";
import { readsCommandLine } from "../fingerprint/program-kinds.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import type { ExecPlace } from "../forest/exec-lineage.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { Tree } from "../forest/tree.ts";
import { type Expression, partsOf, possible } from "./expression.ts";
import {
  type Asked,
  type ClosableProcess,
  HypotheticalExec,
  type HypotheticalInputs,
  isBelowAnyShell,
  pathNames,
} from "./hypothetical-exec.ts";
import type { Policy, RuleCondition } from "./policy.ts";
import { type RuleStates, ruleKey } from "./rule-state.ts";
import { DEFAULT_RULE } from "./schema.ts";
import { type Certainty, CertaintyEvaluator, comparedTexts, type PartlyKnown } from "./three-valued.ts";

export interface ClosingInputs extends HypotheticalInputs {
  /** What the baseline knows below a tree; undefined: no tree is unknown for certain. */
  readonly programs: ProgramsBelow | undefined;
  /** The scope that a lineage belongs to; undefined: it is not known. */
  readonly scopeOf: (lineage: Lineage, process: ClosableProcess) => string | undefined;
  /** The files of this host that a compared path of a baseline stands for; undefined: they are not known yet. */
  readonly filesOf: (pattern: string) => MatchingFiles | undefined;
}

/** The files that a path of a baseline stands for. */
export interface MatchingFiles {
  /** undefined: they cannot be listed. */
  readonly paths: readonly string[] | undefined;
  /** When they were asked for: a file that was created later is not among them. Nanoseconds since 1970-01-01T00:00:00Z. */
  readonly since: bigint;
}

/** A program that is not killed for certain. */
export interface ClosingException {
  readonly path: string;
  /** The process after it has executed the program; undefined if that depends on its arguments. */
  readonly after: ClosableProcess | undefined;
}

/** Every program is killed but the exceptions. */
export interface Closed {
  readonly closed: true;
  /** ROLE/RULE that kills. */
  readonly rule: string;
  /** Only programs that run as this effective user are judged; undefined: all. */
  readonly uid: number | undefined;
  /** It kills carriers too (shells, interpreters and the like, see `ClosedSet.carriersDie`), whatever they are given to run. */
  readonly carriersDie: boolean;
  readonly exceptions: readonly ClosingException[];
  /**
   * When the files that the baseline stands for were listed, nanoseconds since 1970-01-01T00:00:00Z: user space judges newer
   * files. undefined: no files were listed.
   */
  readonly listedSince: bigint | undefined;
}

export interface NotClosed {
  readonly closed: false;
  /** For a person, see `explain PID`. */
  readonly why: string;
}

export type Closing = Closed | NotClosed;

/** What may be asked besides the lineage. The first row that closes the process is taken: what depends on less closes more. */
const askedInOrder: readonly Asked[] = [
  { user: false, baseline: false },
  { user: true, baseline: false },
  { user: false, baseline: true },
  { user: true, baseline: true },
];
/** The most programs that are judged for one process, at some 20 us each. A service that does one thing starts fewer. */
const PROGRAMS = 128;

/** The beginning of the path of a file that exists in memory alone. */
const MEMFD = "memfd:";

/** A rule with its condition as it is evaluated while variables may be absent. */
interface PreparedRule extends RuleCondition {
  /** ROLE/RULE */
  readonly key: string;
  /** Its action is `kill`, and it is armed everywhere. */
  readonly isArmedKill: boolean;
}

/** The question what a process may execute, and the rules that may decide it. */
interface Question {
  readonly process: ClosableProcess;
  readonly place: ExecPlace;
  readonly asked: Asked;
  readonly rules: readonly PreparedRule[];
}

/** What the baseline knows below a process. */
interface KnownBelow {
  /** Compared paths of a baseline, see `comparedPath`. */
  readonly patterns: ReadonlySet<string>;
  /** An interpreter may run something that is known. */
  readonly mayBeInterpreted: boolean;
}

const nothingKnown: KnownBelow = { patterns: new Set(), mayBeInterpreted: false };

/** The rule that kills for certain, or why that is not certain. */
type Verdict = { readonly rule: string } | { readonly why: string };

export class ClosingCompiler {
  private readonly rules: readonly PreparedRule[];
  private readonly evaluator: CertaintyEvaluator;
  /** ROLE/RULE of the default action if it kills and may act. */
  private readonly byDefault: string | undefined;
  private readonly inputs: ClosingInputs;

  /** `states`: which rules may act. A rule that may act only somewhere closes nothing. */
  constructor(policy: Policy, states: RuleStates, inputs: ClosingInputs) {
    const isArmed = (key: string): boolean => states.get(key)?.armed === true;
    const rules = policy.execRules.map(({ rule, condition }) => {
      const key = ruleKey(rule);
      const isArmedKill = rule.action === "kill" && isArmed(key);
      return { rule, condition: rule.unknownMatches ? possible(condition) : condition, key, isArmedKill };
    });
    const ruleset = policy.resolved.default_ruleset ?? policy.role;
    const byDefault = ruleKey({ ruleset, id: DEFAULT_RULE });
    this.byDefault = policy.defaults.exec === "kill" && isArmed(byDefault) ? byDefault : undefined;
    const canKill = this.byDefault !== undefined || rules.some(({ isArmedKill }) => isArmedKill);
    this.rules = canKill ? rules : [];
    this.evaluator = new CertaintyEvaluator(this.rules.map(({ condition }) => condition));
    this.inputs = inputs;
  }

  /** Whether no rule can close anything. */
  get isEmpty(): boolean {
    return this.rules.length === 0 && this.byDefault === undefined;
  }

  /** What a process may execute in its own place, or a child that it forks. */
  closingOf(process: ClosableProcess, place: ExecPlace): Closing {
    const { inputs } = this;
    let why = "its lineage is too deep";
    for (const asked of askedInOrder) {
      const another = HypotheticalExec.open(process, place, "another", asked, inputs);
      const any = HypotheticalExec.open(process, place, "any", asked, inputs);
      if (another === undefined || any === undefined) break;
      // A rule that holds for no program need not be asked about each file.
      const rules = this.rules.filter((rule) => this.holds(rule, any) !== false);
      const verdict = this.verdictOf(another, rules);
      if ("why" in verdict) {
        why = verdict.why;
        continue;
      }
      const uid = asked.user ? process.subject.facts.uid : undefined;
      const ofAny = this.verdictOf(any, rules);
      if ("rule" in ofAny) {
        const everything = { carriersDie: true, exceptions: [], listedSince: undefined };
        return { closed: true, rule: ofAny.rule, uid, ...everything };
      }
      // Where no baseline was accepted, nothing is known and nothing unknown.
      const asksBaseline = asked.baseline && another.subject.knowledge.known !== null;
      const below = asksBaseline ? this.knownBelow(process, place, another) : nothingKnown;
      if (typeof below === "string") return { closed: false, why: below };
      const what = this.exceptionsOf({ process, place, asked, rules }, below);
      if (typeof what === "string") return { closed: false, why: what };
      return { closed: true, rule: verdict.rule, uid, ...what };
    }
    return { closed: false, why };
  }

  /**
   * What the baseline knows below the process, in its scope; a text says why that is not known. What a shell will run is not
   * known until its arguments are judged: for its children, everything counts that the baseline knows below any script in its
   * place, and below none.
   */
  private knownBelow(
    process: ClosableProcess,
    place: ExecPlace,
    { subject: { tree: ofChild, lineage } }: HypotheticalExec,
  ): KnownBelow | string {
    const { programs } = this.inputs;
    if (programs === undefined) return "exclusions may hide what it executes";
    const scope = this.inputs.scopeOf(lineage, process);
    if (scope === undefined) return "the scope that it belongs to is not known";
    const isBelowShell = isBelowAnyShell(process, place);
    const tree = isBelowShell ? this.treeInPlaceOf(process) : ofChild;
    if (tree === undefined) return "its lineage is too deep";
    const known = isBelowShell ? programs.belowAnything(scope, tree) : programs.below(scope, tree);
    const [unlistable] = known.unlistable;
    if (unlistable !== undefined)
      return `the baseline knows ${unlistable} below it, whose files cannot be listed`;
    const patterns = new Set(known.patterns);
    // A program that runs itself again adds nothing to its tree, nor to its habit across shells given their code by `-c`.
    const above = { habit: treeAbove(tree.habit), exact: treeAbove(tree.exact), complete: tree.complete };
    const again = programs.below(scope, above).patterns;
    for (let node = lineage.parent; node !== null; node = node.parent) {
      for (const pattern of patternsOf(node.program)) if (again.has(pattern)) patterns.add(pattern);
      if (!node.program.shellCommand) break;
    }
    const mayBeInterpreted = known.mayBeInterpreted || mayInterpret(lineage.parent?.program);
    return { patterns, mayBeInterpreted };
  }

  /** The tree of another program in place of what the process runs. */
  private treeInPlaceOf(process: ClosableProcess): Tree | undefined {
    const asked: Asked = { user: false, baseline: false };
    return HypotheticalExec.open(process, "own", "another", asked, this.inputs)?.subject.tree;
  }

  /** The programs that are not killed for certain; a text says why they cannot be listed, so that the process stays open. */
  private exceptionsOf(
    question: Question,
    below: KnownBelow,
  ): Pick<Closed, "carriersDie" | "exceptions" | "listedSince"> | string {
    const { process, place, asked, rules } = question;
    const { patterns } = below;
    const paths = new Set<string>();
    for (const { condition } of rules) addPaths(condition, paths);
    const tooMany = `more than ${PROGRAMS} programs would have to be judged`;
    if (paths.size + patterns.size > PROGRAMS) return tooMany;
    let listedSince: bigint | undefined;
    let isListed = true;
    for (const pattern of patterns) {
      // This does not end at the first one that is missing, so that all of them are asked for in the same turn.
      const files = this.inputs.filesOf(pattern);
      if (files === undefined) isListed = false;
      else if (files.paths === undefined)
        return `the baseline knows ${pattern} below it, whose files cannot be listed`;
      else {
        for (const path of files.paths) paths.add(path);
        if (listedSince === undefined || files.since < listedSince) listedSince = files.since;
      }
    }
    if (!isListed) return "the files that the baseline knows below it are being listed";
    if (paths.size > PROGRAMS) return tooMany;
    const exceptions: ClosingException[] = [];
    let carriersDie = this.killsInterpreters(question, below);
    for (const path of paths) {
      const exec = HypotheticalExec.of(path, process, place, asked, this.inputs);
      const isKilled = exec === undefined || "rule" in this.verdictOf(exec, rules);
      if (isKilled) carriersDie &&= this.killsAsInterpreter(path, question);
      else if (!path.startsWith("/"))
        return `${path} may run, which is no file that the kernel could recognise`;
      else exceptions.push({ path, after: exec.after(process, place) });
    }
    // The host's files at these paths are others.
    if (exceptions.length > 0 && process.executor.lineage.container !== null)
      return "it is in a container, whose image has its own files at the paths of what may run";
    return { carriersDie, exceptions, listedSince };
  }

  /** Whether the rules kill every interpreter whose path no condition names, whatever it is given to run. */
  private killsInterpreters(
    { process, place, asked, rules }: Question,
    { mayBeInterpreted }: KnownBelow,
  ): boolean {
    const known = { ...asked, baseline: asked.baseline && !mayBeInterpreted };
    const interpreter = HypotheticalExec.open(process, place, "interpreter", known, this.inputs);
    return interpreter !== undefined && "rule" in this.verdictOf(interpreter, rules);
  }

  /** Whether the rules kill the program also where it is the interpreter of a script. */
  private killsAsInterpreter(path: string, { process, place, asked, rules }: Question): boolean {
    const exec = HypotheticalExec.of(path, process, place, asked, this.inputs, "arguments");
    return exec !== undefined && "rule" in this.verdictOf(exec, rules);
  }

  /** The rule that kills for certain. Rules are asked in order: after an `allow` that may match, nothing is certain. */
  private verdictOf(subject: PartlyKnown, rules: readonly PreparedRule[]): Verdict {
    let matching: string | undefined;
    for (const rule of rules) {
      const value = this.holds(rule, subject);
      if (value === false) continue;
      if (rule.rule.action === "allow") return { why: `${rule.key} allows some of what it may execute` };
      if (rule.isArmedKill && value === true) return { rule: rule.key };
      if (!rule.isArmedKill) matching ??= rule.key;
    }
    if (this.byDefault === undefined) return { why: "no armed rule kills whatever it executes" };
    return matching === undefined ? { rule: this.byDefault } : { why: `${matching} may match instead` };
  }

  /**
   * Whether the rule matches: true, false, or undefined if that is not certain. Without `"unknown": "match"` it is not certain
   * while a variable that the rule names is absent.
   */
  private holds({ rule, condition }: PreparedRule, subject: PartlyKnown): Certainty {
    const value = this.evaluator.evaluate(condition, subject);
    if (value === false || rule.unknownMatches) return value;
    for (const name of rule.variables) if (!subject.isPresent(name)) return undefined;
    return value;
  }
}

/** The paths by which a baseline may know the program. */
function* patternsOf(program: Runnable): Generator<string> {
  const path = baselinePath(program);
  if (path !== undefined) yield comparedPath(path);
  const executable = comparedExecutable(program);
  if (executable !== undefined) yield executable;
}

/** Whether the program may be an interpreter, which can run itself again with what it runs. */
function mayInterpret(program: Runnable | undefined): boolean {
  if (program === undefined) return false;
  const { executable, script } = program;
  return executable === undefined || script !== undefined || readsCommandLine(executable);
}

/** Adds the paths that the expression compares the program's path with. */
function addPaths(expression: Expression, paths: Set<string>): void {
  const compared = expression.is === "call" ? comparedTexts(expression) : undefined;
  if (compared !== undefined && pathNames.has(compared.name))
    for (const text of compared.texts) if (text.startsWith("/") || text.startsWith(MEMFD)) paths.add(text);
  for (const part of partsOf(expression)) addPaths(part, paths);
}
