// What armed rules deny a process on the network, as tables that the kernel can decide by: which ports of which networks, to
// which users.
//
// Nothing is derived from the conditions but where their value can change (denial-edges.ts). Between these edges a
// condition is constant, so the policy itself is asked once for each such area, with an address, a port and a user that lie
// in it. A table therefore cannot decide otherwise than the policy.
//
// A rule that depends on more than the process, its ancestors, and address, port, transport and user is not compiled.
// Neither is a rule behind an `allow` that does: the kernel could not know that it is allowed.

import type { NetworkEvent } from "../sensor/event.ts";
import type { DeniedNetwork } from "../sensor/network/denial.ts";
import { type NetworkKind, networkKinds } from "../vocabulary/event-kinds.ts";
import { allSteps } from "../vocabulary/steps.ts";
import { isSharedByLineage, type JudgedVariable } from "../vocabulary/variables.ts";
import {
  asksNothingOfProcess,
  type Edges,
  edgesOf,
  edgesOfUsers,
  isLastingVariable,
  joinedEdges,
} from "./denial-edges.ts";
import { AREAS, areaCount, deniedNetworks, type KindTables, startsOf } from "./denial-tables.ts";
import type { Expression } from "./expression.ts";
import { type CompiledRule, defaultRulesetOf, type Policy, type RuleCondition } from "./policy.ts";
import { ProcessQuestions } from "./process-questions.ts";
import { compilingEvaluator } from "./rule-evaluator.ts";
import { type Holds, type RuleStates, ruleKey } from "./rule-state.ts";
import { DEFAULT_RULE, needsArming } from "./schema.ts";
import { type ExecSubject, subjectOfNetwork } from "./subject.ts";

/** What the kernel is to deny a process. */
export interface Denials {
  /** While it runs what it runs now. */
  readonly program: readonly DeniedNetwork[];
  /** Whatever it, or a process below it, executes later. */
  readonly afterExec: readonly DeniedNetwork[];
}

/** What is known of a process at its exec, and holds for what it does afterwards. */
export type DeniableProcess = Omit<ExecSubject, "kind">;

/** What a rule is armed by: also the default action is one. */
type ArmableRule = Pick<CompiledRule, "ruleset" | "id" | "action">;

/** A rule that the kernel could decide, or why it cannot. */
interface CompilableRule extends RuleCondition {
  readonly edges: Edges | string;
  readonly armed: Holds;
}

/** A rule and what the kernel needs to decide it. */
interface DecidableRule extends CompilableRule {
  readonly edges: Edges;
}

/** For how long tables hold: while a process runs its program, or whatever it and its children execute later. */
type Scope = "program" | "descendants";

const UNIT = "process.unit";

export class DenialCompiler {
  private readonly ofProgram: readonly KindTables[];
  private readonly ofDescendants: readonly KindTables[];
  /** What of a process decides which networks it is denied. */
  readonly asked: ReadonlySet<JudgedVariable>;
  /** Whether all processes of one lineage are denied the same. */
  readonly isOfLineage: boolean;
  private readonly questions: ProcessQuestions;
  /** The rules that are armed for some units or users only. */
  private readonly partlyArmed: readonly ((process: DeniableProcess) => string)[];

  /** `states`: which rules may act; by default all of them. */
  constructor(policy: Policy, states?: RuleStates) {
    const tablesFor = (scope: Scope) =>
      networkKinds.flatMap((kind) => tablesOf(policy, kind, states, scope) ?? []);
    this.ofProgram = tablesFor("program");
    this.ofDescendants = tablesFor("descendants");
    const rules = [...new Set(this.ofProgram.flatMap((tables) => tables.rules))];
    const partly = this.isEmpty
      ? []
      : partlyArmed([...rules.map(({ rule }) => rule), defaultOf(policy)], states);
    this.asked = new Set([
      ...rules.flatMap(({ rule }) => [...rule.read].filter(isLastingVariable)),
      ...(partly.length > 0 ? ([UNIT] as const) : []),
    ]);
    this.isOfLineage = [...this.asked].every(isSharedByLineage);
    this.questions = new ProcessQuestions(rules.map(({ condition }) => condition));
    const users = [...new Set(this.ofProgram.flatMap((tables) => tables.users))];
    this.partlyArmed = partly.map(
      (armed) => (process) => users.map((uid) => (armed(execAs(process, uid)) ? 1 : 0)).join(""),
    );
  }

  /** No rule denies anything. */
  get isEmpty(): boolean {
    return this.ofProgram.length === 0;
  }

  /** Equal for processes that are denied the same, whatever their lineages are. */
  keyOf(process: DeniableProcess): string {
    const answers = this.questions.answersOf(subjectOfNetwork(process, anyEvent));
    if (this.partlyArmed.length === 0) return answers;
    return `${answers} ${this.partlyArmed.map((holds) => holds(process)).join(" ")}`;
  }

  denialsOf(process: DeniableProcess): Denials {
    return {
      program: this.ofProgram.flatMap((tables) => deniedNetworks(tables, process)),
      afterExec: this.ofDescendants.flatMap((tables) => deniedNetworks(tables, process)),
    };
  }
}

/** For questions that are about the process alone. */
const anyEvent: NetworkEvent = {
  kind: "connect",
  source: "ebpf",
  time: 0,
  pid: 0,
  startTicks: 0,
  uid: 0,
  transport: "tcp",
  family: "ipv4",
  socket: undefined,
  denied: false,
  peerAddress: "0.0.0.0",
  peerPort: 0,
  localAddress: undefined,
  localPort: undefined,
};

/**
 * Why the kernel cannot decide the rule of this name about `kind`, so that what it denies is judged after the fact;
 * undefined if it can. `id` may be `default`.
 */
export function whyNotCompiled(policy: Policy, kind: NetworkKind, id: string): string | undefined {
  for (const { rule, edges } of rulesOf(policy, kind, undefined)) {
    if (typeof edges === "string") {
      if (rule.id === id) return edges;
      if (id === DEFAULT_RULE) return `the default is behind the rule ${rule.id}: ${edges}`;
      if (rule.action === "allow") return `it is behind the rule ${rule.id}, which may allow: ${edges}`;
    }
    if (rule.id === id) break;
  }
  if (tablesOf(policy, kind, undefined, "program") !== undefined) return undefined;
  return `networks, ports and users of the rules make more than ${AREAS} areas`;
}

function tablesOf(
  policy: Policy,
  kind: NetworkKind,
  states: RuleStates | undefined,
  scope: Scope,
): KindTables | undefined {
  const rules = rulesOf(policy, kind, states);
  const byDefault = deniesByDefault(policy, kind, states, scope)
    ? decidableRules(rules, (each) => holdsFor[scope](each, true))
    : undefined;
  const kept = byDefault ?? denyingRules(rules, scope);
  if (byDefault === undefined && !kept.some(({ rule }) => rule.action === "deny")) return undefined;
  const ofDefault = byDefault === undefined ? [] : usersOf(defaultOf(policy), states);
  const edges = joinedEdges([...kept.map((each) => each.edges), edgesOfUsers(ofDefault)]);
  if (areaCount(edges) > AREAS) return undefined;
  const action = byDefault === undefined ? "allow" : "deny";
  const evaluator = allSteps(compilingEvaluator(kept, action, defaultOf(policy).ruleset));
  return { kind, rules: kept, evaluator, states, ...startsOf(edges) };
}

/** All of the rules, if the kernel can decide each of them and it is usable. */
function decidableRules(
  rules: readonly CompilableRule[],
  isUsable: (rule: CompilableRule) => boolean,
): readonly DecidableRule[] | undefined {
  const decidable = rules.filter(isDecidable).filter(isUsable);
  return decidable.length === rules.length ? decidable : undefined;
}

/** The armed rules that deny, and those that allow what they would. */
function denyingRules(rules: readonly CompilableRule[], scope: Scope): readonly DecidableRule[] {
  const kept: DecidableRule[] = [];
  for (const each of rules) {
    const { action } = each.rule;
    if (action !== "allow" && (action !== "deny" || each.armed === false)) continue;
    if (isDecidable(each) && holdsFor[scope](each, false)) kept.push(each);
    else if (action === "allow") break;
  }
  return kept;
}

/** Whether the default action denies what no rule matches, for as long as `scope` says. */
function deniesByDefault(policy: Policy, kind: NetworkKind, states: RuleStates | undefined, scope: Scope) {
  if (policy.defaults[kind] !== "deny") return false;
  const armed = armedState(defaultOf(policy), states);
  return scope === "program" ? armed !== false : armed === true;
}

function rulesOf(
  policy: Policy,
  kind: NetworkKind,
  states: RuleStates | undefined,
): readonly CompilableRule[] {
  return policy.networkRules
    .filter(({ rule }) => rule.on.includes(kind))
    .map((each) => ({
      ...each,
      armed: armedState(each.rule, states),
      edges: edgesOfRule(each, kind, states),
    }));
}

function edgesOfRule(
  { rule, condition }: RuleCondition,
  kind: NetworkKind,
  states: RuleStates | undefined,
): Edges | string {
  if (rule.unknownMatches) return 'it has "unknown": "match", which the kernel cannot follow';
  const edges = edgesOf(condition, kind);
  return typeof edges === "string" ? edges : joinedEdges([edges, edgesOfUsers(usersOf(rule, states))]);
}

function defaultOf(policy: Policy): ArmableRule {
  return { ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE, action: "deny" };
}

function armedState(rule: ArmableRule, states: RuleStates | undefined): Holds {
  if (states === undefined) return needsArming[rule.action];
  return states.get(ruleKey(rule))?.armed ?? false;
}

/** The users for whom alone the rule is armed. */
function usersOf(rule: ArmableRule, states: RuleStates | undefined): readonly number[] {
  return states?.get(ruleKey(rule))?.users ?? [];
}

/** Tests whether each of these rules is armed that are so for some units or users only. */
function partlyArmed(rules: readonly ArmableRule[], states: RuleStates | undefined) {
  return rules.map((rule) => armedState(rule, states)).filter((armed) => typeof armed === "function");
}

function execAs(process: DeniableProcess, uid: number): ExecSubject {
  return { ...process, kind: "exec", facts: { ...process.facts, uid } };
}

function isDecidable(rule: CompilableRule): rule is DecidableRule {
  return typeof rule.edges !== "string";
}

/**
 * Whether what the rule decides holds for as long as `scope` says. What a process is under it stays under, so that a rule
 * that denies below something goes on doing so. What else matches may come to do so only later, unless it asks nothing of
 * the process. Another unit than the one for which a rule is armed may run the next program.
 */
const holdsFor: Readonly<Record<Scope, (rule: CompilableRule, isDefault: boolean) => boolean>> = {
  program: () => true,
  descendants: ({ rule: { action }, condition, armed }, isDefault) => {
    const denies = action === "deny" && armed === true;
    if (denies) return onlyUnder(condition, true);
    return (action === "allow" || isDefault) && asksNothingOfProcess(condition);
  },
};

/** Whether all that the expression asks of the process is `under`, and being under something cannot make it false. */
function onlyUnder(expression: Expression, positive: boolean): boolean {
  if (expression.is === "under") return positive;
  if (expression.is === "call") {
    const { operator, parts } = expression;
    if (operator === "and" || operator === "or") return parts.every((part) => onlyUnder(part, positive));
    if (operator === "!") return parts.every((part) => onlyUnder(part, !positive));
  }
  return asksNothingOfProcess(expression);
}
