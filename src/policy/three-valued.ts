// Evaluates a condition while something of the subject is open: the value is then true, false or not certain.
import { Ancestry } from "./ancestry.ts";
import { Compiler, type Program, truthy } from "./compiler.ts";
import {
  type CallExpression,
  type Expression,
  type MissingExpression,
  namesIn,
  partsOf,
  type TreeExpression,
  type UnderExpression,
} from "./expression.ts";
import type { Subject, VariableValue } from "./subject.ts";

/** undefined: it depends on what is open. */
export type Certainty = boolean | undefined;

/** What is certain of the value of a variable; `open`: nothing, it may be absent. */
export type CertainValue = { readonly value: VariableValue } | "open";

/** A subject of which something is open. */
export interface PartlyKnown {
  valueOf(name: string): CertainValue;
  /** It is certain that the variable has a value. */
  isPresent(name: string): boolean;
  /** The variable has a value, and none of the texts that the conditions compare it with. */
  isAnother(name: string): boolean;
  /** The lineages that the subject may have: with the fewest and with the most programs above it. */
  readonly lineages: readonly Pick<Subject, "kind" | "lineage" | "parent">[];
  /** Something is above it that is not in the lineages. */
  readonly mayHaveMoreAbove: boolean;
  /** Whether a tree has labels that pass; undefined if that is open. */
  matchesTree(expression: TreeExpression): Certainty;
}

/** Negations of equality. */
const equalities: Readonly<Record<string, boolean>> = {
  "==": true,
  "===": true,
  "!=": false,
  "!==": false,
  in: true,
};

/** The texts that a variable is compared with by equality; undefined if the expression is no such comparison. */
export function comparedTexts({
  operator,
  parts,
}: CallExpression): { readonly name: string; readonly texts: readonly string[] } | undefined {
  const [left, right] = parts;
  if (equalities[operator] === undefined || left === undefined || right === undefined || parts.length !== 2)
    return undefined;
  const [variable, constant] = left.is === "variable" ? [left, right] : [right, left];
  if (variable.is !== "variable" || constant.is !== "literal") return undefined;
  const { value } = constant;
  if (operator !== "in")
    return typeof value === "string" ? { name: variable.name, texts: [value] } : undefined;
  // Text in text is no comparison of the whole.
  if (variable !== left || !Array.isArray(value)) return undefined;
  return { name: variable.name, texts: value.filter((each) => typeof each === "string") };
}

/** Evaluates the conditions of one policy. */
export class CertaintyEvaluator {
  private readonly slots = new Map<string, number>();
  private readonly compiler: Compiler;
  private readonly ancestry = new Ancestry();
  private readonly underIndices = new Map<UnderExpression, number>();
  /** Invalidated by: nothing, an expression never changes. */
  private readonly programs = new WeakMap<Expression, Program>();

  constructor(conditions: readonly Expression[]) {
    this.compiler = new Compiler({
      slotOf: (name) => {
        const slot = this.slots.get(name) ?? this.slots.size;
        this.slots.set(name, slot);
        return slot;
      },
      isLate: () => false,
    });
    for (const condition of conditions) this.addUnder(condition);
  }

  evaluate(expression: Expression, subject: PartlyKnown): Certainty {
    switch (expression.is) {
      case "literal":
        return truthy(expression.value);
      case "call":
        return this.evaluateCall(expression, subject);
      case "under":
        return this.isUnder(expression, subject);
      case "tree":
        return subject.matchesTree(expression);
      case "missing":
        return isMissing(expression, subject);
      case "absent":
        return expression.names.every((name) => subject.isPresent(name)) ? false : undefined;
      default:
        return this.compute(expression, subject);
    }
  }

  private evaluateCall(expression: CallExpression, subject: PartlyKnown): Certainty {
    const { operator, parts } = expression;
    switch (operator) {
      case "and":
        return joined(parts, false, (part) => this.evaluate(part, subject));
      case "or":
        return joined(parts, true, (part) => this.evaluate(part, subject));
      case "!":
      case "!!": {
        const [part] = parts;
        const value = part === undefined ? undefined : this.evaluate(part, subject);
        return value === undefined ? undefined : value === (operator === "!!");
      }
      case "if":
      case "?:":
        return this.choose(parts, subject);
    }
    const compared = comparedTexts(expression);
    if (compared !== undefined && subject.isAnother(compared.name)) return equalities[operator] === false;
    return this.compute(expression, subject);
  }

  private choose(parts: readonly Expression[], subject: PartlyKnown): Certainty {
    const [condition, yes, ...rest] = parts;
    if (condition === undefined) return false;
    if (yes === undefined) return this.evaluate(condition, subject);
    const holds = this.evaluate(condition, subject);
    if (holds === true) return this.evaluate(yes, subject);
    const no = this.choose(rest, subject);
    return holds === false || this.evaluate(yes, subject) === no ? no : undefined;
  }

  /** The value of an expression whose variables are all known. */
  private compute(expression: Expression, subject: PartlyKnown): Certainty {
    if (asksLineage(expression)) return undefined;
    const values: VariableValue[] = [];
    let program = this.programs.get(expression);
    if (program === undefined) {
      program = this.compiler.compile(expression);
      this.programs.set(expression, program);
    }
    for (const name of namesIn(expression)) {
      const value = subject.valueOf(name);
      if (value === "open") return undefined;
      values[this.slots.get(name) ?? 0] = value.value;
    }
    return program({ values, late: [], subject: undefined, ancestry: undefined });
  }

  private isUnder(expression: UnderExpression, { lineages, mayHaveMoreAbove }: PartlyKnown): Certainty {
    const index = this.underIndices.get(expression);
    if (index === undefined) return undefined;
    const answers = lineages.map((each) => this.ancestry.of(each)[index] === 1);
    if (mayHaveMoreAbove && answers[0] === false) return undefined;
    return answers.every((answer) => answer === answers[0]) ? answers[0] : undefined;
  }

  /** All lists of names must be known before the first is looked for. */
  private addUnder(expression: Expression): void {
    if (expression.is === "under") this.underIndices.set(expression, this.ancestry.add(expression.entries));
    for (const part of partsOf(expression)) this.addUnder(part);
  }
}

/** The value of a chain in which one part of the value `deciding` decides. */
function joined(
  parts: readonly Expression[],
  deciding: boolean,
  evaluate: (part: Expression) => Certainty,
): Certainty {
  let isCertain = true;
  for (const part of parts) {
    const value = evaluate(part);
    if (value === deciding) return deciding;
    if (value === undefined) isCertain = false;
  }
  return isCertain ? !deciding : undefined;
}

function isMissing({ need, names }: MissingExpression, subject: PartlyKnown): Certainty {
  let lacking = 0;
  let open = 0;
  for (const name of names) {
    if (subject.isAnother(name)) continue;
    const value = subject.valueOf(name);
    if (value === "open") open += 1;
    else if (value.value === null || value.value === "") lacking += 1;
  }
  const isNonEmpty = (missing: number): boolean =>
    missing > 0 && !(need !== null && names.length - missing >= need);
  const least = isNonEmpty(lacking);
  return least === isNonEmpty(lacking + open) ? least : undefined;
}

function asksLineage(expression: Expression): boolean {
  if (expression.is === "under" || expression.is === "tree") return true;
  if (expression.is === "missing" || expression.is === "absent") return true;
  return partsOf(expression).some(asksLineage);
}
