// A checked condition as a typed tree, which the compiler turns into a function.

import type { VariableType } from "../vocabulary/variable-row.ts";
import { isOfEnvironment, isSharedByLineage, repeats } from "../vocabulary/variables.ts";

/** The types of value that an expression may yield, as a set of bits. */
export const valueKinds = {
  string: 1,
  number: 2,
  bool: 4,
  null: 8,
  strings: 16,
  numbers: 32,
  array: 64,
} as const;
export const ARRAYS = valueKinds.strings | valueKinds.numbers | valueKinds.array;

const kindOfType: Readonly<Record<VariableType, number>> = {
  string: valueKinds.string,
  "string[]": valueKinds.strings,
  int: valueKinds.number,
  "int[]": valueKinds.numbers,
  number: valueKinds.number,
  bool: valueKinds.bool,
};

export function kindOf(type: VariableType): number {
  return kindOfType[type];
}

/** A set of kinds in words, for error messages. */
export function kindText(kind: number): string {
  const names: string[] = [];
  if (kind & valueKinds.string) names.push("text");
  if (kind & valueKinds.number) names.push("a number");
  if (kind & valueKinds.bool) names.push("true or false");
  if (kind & valueKinds.strings) names.push("an array of texts");
  if (kind & valueKinds.numbers) names.push("an array of numbers");
  if (kind & valueKinds.array) names.push("an array");
  if (kind & valueKinds.null) names.push("null");
  return names.join(" or ");
}

export type Scalar = string | number | boolean | null;
export type Literal = Scalar | readonly Literal[];

interface Typed {
  /** Bits of `valueKinds`. */
  readonly kind: number;
  /** Whether the expression depends on a variable, the lineage or an array element. Otherwise it is a constant. */
  readonly varies: boolean;
}

export interface LiteralExpression extends Typed {
  readonly is: "literal";
  readonly value: Literal;
}

export interface VariableExpression extends Typed {
  readonly is: "variable";
  readonly name: string;
  /** Stands in for null. */
  readonly fallback: Scalar | undefined;
}

/** The current element within filter, map, all, none, some; `current` and `accumulator` within reduce. */
export interface ElementExpression extends Typed {
  readonly is: "element";
  readonly part: "" | "current" | "accumulator";
}

export interface ArrayExpression extends Typed {
  readonly is: "array";
  readonly items: readonly Expression[];
}

export interface CallExpression extends Typed {
  readonly is: "call";
  readonly operator: string;
  readonly parts: readonly Expression[];
}

export type Iterator = "filter" | "map" | "all" | "none" | "some" | "reduce";

export interface EachExpression extends Typed {
  readonly is: "each";
  readonly operator: Iterator;
  readonly array: Expression;
  readonly body: Expression;
  readonly initial: Expression | undefined;
}

/** An operator on text that treewarden adds: true if any text of `left` matches. */
export interface TextExpression extends Typed {
  readonly is: "text";
  readonly operator: string;
  readonly left: Expression;
  readonly texts: readonly string[];
  readonly test: (text: string) => boolean;
}

export interface UnderExpression extends Typed {
  readonly is: "under";
  readonly entries: readonly string[];
}

export interface TreeExpression extends Typed {
  readonly is: "tree";
  readonly patterns: readonly string[];
  readonly tests: readonly ((labels: readonly string[]) => boolean)[];
}

/** JSONLogic's `missing` and `missing_some`, which test whether variables are known. */
export interface MissingExpression extends Typed {
  readonly is: "missing";
  /** The number of variables that must be known; null for `missing`, which needs all of them. */
  readonly need: number | null;
  readonly names: readonly string[];
}

/** True if any of the variables is absent. Only `possible` creates it. */
export interface AbsentExpression extends Typed {
  readonly is: "absent";
  readonly names: readonly string[];
}

export type Expression =
  | LiteralExpression
  | VariableExpression
  | ElementExpression
  | ArrayExpression
  | CallExpression
  | EachExpression
  | TextExpression
  | UnderExpression
  | TreeExpression
  | MissingExpression
  | AbsentExpression;

export function literal(value: Literal): LiteralExpression {
  return { is: "literal", value, kind: kindOfLiteral(value), varies: false };
}

export function callExpression(
  operator: string,
  parts: readonly Expression[],
  kind: number = valueKinds.bool,
): CallExpression {
  return { is: "call", operator, parts, kind, varies: parts.some((part) => part.varies) };
}

function kindOfLiteral(value: Literal): number {
  if (value === null) return valueKinds.null;
  if (typeof value === "string") return valueKinds.string;
  if (typeof value === "number") return valueKinds.number;
  if (typeof value === "boolean") return valueKinds.bool;
  if (value.length === 0) return ARRAYS;
  if (value.every((item) => typeof item === "string")) return valueKinds.strings;
  if (value.every((item) => typeof item === "number")) return valueKinds.numbers;
  return valueKinds.array;
}

/** What an expression is made of. */
export function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.is) {
    case "array":
      return expression.items;
    case "call":
      return expression.parts;
    case "each":
      return expression.initial === undefined
        ? [expression.array, expression.body]
        : [expression.array, expression.body, expression.initial];
    case "text":
      return [expression.left];
    default:
      return [];
  }
}

/** The variables that the expression names. If one is absent the expression has no value; `missing` does not count. */
export function namesIn(expression: Expression, names: Set<string> = new Set()): Set<string> {
  if (expression.is === "variable") names.add(expression.name);
  for (const part of partsOf(expression)) namesIn(part, names);
  return names;
}

/** The variables that the expression only tests with `missing`. */
export function namesTestedByMissing(expression: Expression, names: Set<string> = new Set()): Set<string> {
  if (expression.is === "missing") for (const name of expression.names) names.add(name);
  for (const part of partsOf(expression)) namesTestedByMissing(part, names);
  return names;
}

/**
 * The expression for a rule with `"unknown": "match"`: true unless the known variables make it false. Each smallest
 * part that names an absent variable counts as true, or as false below a negation.
 */
export function possible(expression: Expression, positive = true): Expression {
  if (expression.is === "call") {
    const { operator, parts } = expression;
    if (operator === "and" || operator === "or")
      return callExpression(
        operator,
        parts.map((part) => possible(part, positive)),
        expression.kind | valueKinds.bool,
      );
    if (operator === "!")
      return callExpression(
        "!",
        parts.map((part) => possible(part, !positive)),
      );
  }
  const names = [...namesIn(expression)];
  if (names.length === 0) return expression;
  const absent: AbsentExpression = { is: "absent", names, kind: valueKinds.bool, varies: true };
  return positive
    ? callExpression("or", [absent, expression], expression.kind | valueKinds.bool)
    : callExpression("and", [callExpression("!", [absent]), expression], expression.kind | valueKinds.bool);
}

/** Whether an expression has the same value for all events that are alike in one respect. */
type Test = (expression: Expression) => boolean;

/**
 * The part of a condition that depends on the lineage alone. If it is false (below a negation: true), no exec of that
 * lineage can fulfil the condition. undefined if no part depends on the lineage alone. The result holds only while the
 * same variables are absent.
 */
export function decidedByLineage(expression: Expression): Expression | undefined {
  return decidedBy(ofLineage, expression, true);
}

/** The same for the part that depends on the lineage and on variables that mostly repeat within it. */
export function decidedByRepeated(expression: Expression): Expression | undefined {
  return decidedBy(ofRepeated, expression, true);
}

/** The same for the part that depends on the environment alone. */
export function decidedByEnvironment(expression: Expression): Expression | undefined {
  return decidedBy(ofEnvironment, expression, true);
}

function decidedBy(isDecided: Test, expression: Expression, positive: boolean): Expression | undefined {
  if (expression.is === "call") {
    const { operator, parts } = expression;
    if (operator === "and" || operator === "or") {
      const decided = parts.flatMap((part) => decidedBy(isDecided, part, positive) ?? []);
      const oneDecides = (operator === "and") === positive;
      if (decided.length === 0 || (!oneDecides && decided.length < parts.length)) return undefined;
      return callExpression(operator, decided, expression.kind | valueKinds.bool);
    }
    if (operator === "!") {
      const decided = parts.flatMap((part) => decidedBy(isDecided, part, !positive) ?? []);
      return decided.length === 0 ? undefined : callExpression("!", decided);
    }
  }
  return isDecided(expression) ? expression : undefined;
}

function ofLineage(expression: Expression): boolean {
  return ofVariables(isSharedByLineage, expression);
}

function ofRepeated(expression: Expression): boolean {
  return ofVariables((name) => isSharedByLineage(name) || repeats(name), expression);
}

/** Whether the expression depends on nothing but the tree, on which variables are absent, and on those that pass. */
function ofVariables(test: (name: string) => boolean, expression: Expression): boolean {
  switch (expression.is) {
    case "variable":
      return test(expression.name);
    case "missing":
      return expression.names.every(test);
    // A child that runs the same program as its parent shares its node, but has one more ancestor.
    case "under":
      return false;
    default:
      return partsOf(expression).every((part) => ofVariables(test, part));
  }
}

/** A cheap test of one variable's text: unless it holds, the condition does not. */
export interface TextGate {
  readonly name: string;
  readonly test: (text: string) => boolean;
}

/** Operators that take some 20 ns, where an expression of RE2 takes 500. */
const cheapOperators: ReadonlySet<string> = new Set(["contains", "starts_with", "ends_with"]);

/** The first cheap test of a text that must hold for the condition to hold; undefined if there is none. */
export function textGate(condition: Expression): TextGate | undefined {
  if (condition.is === "text") {
    const { left, operator, test } = condition;
    // null stands for no text, for which a fallback might.
    if (left.is !== "variable" || left.fallback !== undefined || !cheapOperators.has(operator))
      return undefined;
    return { name: left.name, test };
  }
  if (condition.is !== "call" || condition.operator !== "and") return undefined;
  for (const part of condition.parts) {
    const gate = textGate(part);
    if (gate !== undefined) return gate;
  }
  return undefined;
}

function ofEnvironment(expression: Expression): boolean {
  switch (expression.is) {
    case "variable":
      return isOfEnvironment(expression.name);
    case "missing":
    case "absent":
      return expression.names.every(isOfEnvironment);
    case "under":
    case "tree":
      return false;
    default:
      return partsOf(expression).every(ofEnvironment);
  }
}
