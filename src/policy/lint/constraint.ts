// The constraint that a single test puts on one value: a finite set, a range of numbers, or a test of text.
import { type Expression, type Scalar, valueKinds } from "../expression.ts";

/** The values for which a test is true. */
export type Constraint =
  | { readonly is: "set"; readonly values: readonly Scalar[] }
  | { readonly is: "range"; readonly low: Bound; readonly high: Bound }
  | {
      readonly is: "text";
      readonly operator: string;
      readonly texts: readonly string[];
      readonly test: (text: string) => boolean;
    };

interface Bound {
  readonly value: number;
  /** The bound itself fulfils the test. */
  readonly included: boolean;
}

/** A test that is true exactly if the value of `term` fulfils `constraint`. */
export interface ConstraintOnTerm {
  readonly term: Expression;
  readonly constraint: Constraint;
}

const infinity: Bound = { value: Number.POSITIVE_INFINITY, included: true };
const minusInfinity: Bound = { value: Number.NEGATIVE_INFINITY, included: true };

/** The constraint that the test puts on one value; undefined if it is a test of another kind. */
export function constraintOf(test: Expression): ConstraintOnTerm | undefined {
  if (test.is === "variable" && test.kind === valueKinds.bool)
    return { term: test, constraint: { is: "set", values: [true] } };
  if (test.is === "text") {
    const { left: term, operator, texts } = test;
    return { term, constraint: { is: "text", operator, texts, test: test.test } };
  }
  if (test.is !== "call") return undefined;
  const [left, right, third] = test.parts;
  if (left === undefined || right === undefined || third !== undefined) return undefined;
  if (test.operator === "in") return membership(left, right);
  if (test.operator === "==" || test.operator === "===")
    return equality(left, right) ?? equality(right, left);
  const flipped = mirrored[test.operator];
  if (flipped === undefined) return undefined;
  return comparison(test.operator, left, right) ?? comparison(flipped, right, left);
}

function membership(term: Expression, items: Expression): ConstraintOnTerm | undefined {
  if (!term.varies || items.is !== "literal" || !Array.isArray(items.value)) return undefined;
  const values: Scalar[] = [];
  for (const item of items.value) {
    if (Array.isArray(item)) return undefined;
    if (isScalar(item)) values.push(item);
  }
  return { term, constraint: { is: "set", values } };
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}

/** Only for values of one type: JSONLogic's `==` converts others. */
function equality(term: Expression, constant: Expression): ConstraintOnTerm | undefined {
  if (!term.varies || constant.is !== "literal" || term.kind !== constant.kind) return undefined;
  if (!isScalar(constant.value) || constant.value === null) return undefined;
  return { term, constraint: { is: "set", values: [constant.value] } };
}

const mirrored: Readonly<Record<string, string>> = { "<": ">", ">": "<", "<=": ">=", ">=": "<=" };

function comparison(operator: string, term: Expression, constant: Expression): ConstraintOnTerm | undefined {
  if (!term.varies || term.kind !== valueKinds.number) return undefined;
  if (constant.is !== "literal" || typeof constant.value !== "number") return undefined;
  const bound: Bound = { value: constant.value, included: operator.endsWith("=") };
  const isUpper = operator.startsWith("<");
  return {
    term,
    constraint: { is: "range", low: isUpper ? minusInfinity : bound, high: isUpper ? bound : infinity },
  };
}

function permits(constraint: Constraint, value: Scalar): boolean {
  switch (constraint.is) {
    case "set":
      return constraint.values.includes(value);
    case "range":
      return typeof value === "number" && isAbove(value, constraint.low) && isBelow(value, constraint.high);
    case "text":
      return typeof value === "string" && constraint.test(value);
  }
}

function isAbove(value: number, { value: low, included }: Bound): boolean {
  return value > low || (included && value === low);
}

function isBelow(value: number, { value: high, included }: Bound): boolean {
  return value < high || (included && value === high);
}

/** Every value that fulfils `a` fulfils `b`. False if that cannot be shown. */
export function isWithin(a: Constraint, b: Constraint): boolean {
  if (a.is === "set") return a.values.every((value) => permits(b, value));
  if (a.is === "range" && b.is === "range") return lowIsWithin(a.low, b.low) && highIsWithin(a.high, b.high);
  if (a.is === "text" && b.is === "text")
    return a.texts.every((text) =>
      b.texts.some((wider) => textIsWithin(a.operator, text, b.operator, wider)),
    );
  return false;
}

function lowIsWithin(low: Bound, wider: Bound): boolean {
  return low.value > wider.value || (low.value === wider.value && (wider.included || !low.included));
}

function highIsWithin(high: Bound, wider: Bound): boolean {
  return high.value < wider.value || (high.value === wider.value && (wider.included || !high.included));
}

/** Each text that `operator` finds `text` in is one that `otherOperator` finds `wider` in. */
function textIsWithin(operator: string, text: string, otherOperator: string, wider: string): boolean {
  if (operator === otherOperator && text === wider) return true;
  const isPart = ["contains", "starts_with", "ends_with"].includes(operator);
  if (otherOperator === "contains") return isPart && text.includes(wider);
  if (operator !== otherOperator) return false;
  if (operator === "starts_with") return text.startsWith(wider);
  return operator === "ends_with" && text.endsWith(wider);
}

/** No value fulfils both. False if that cannot be shown. `isSingle`: the term is one value, not an array of texts. */
export function areDisjoint(a: Constraint, b: Constraint, isSingle: boolean): boolean {
  if (!isSingle) return false;
  if (a.is === "set") return a.values.every((value) => !permits(b, value));
  if (b.is === "set") return areDisjoint(b, a, isSingle);
  if (a.is !== "range" || b.is !== "range") return false;
  return isEmptyBetween(a.low, b.high) || isEmptyBetween(b.low, a.high);
}

function isEmptyBetween(low: Bound, high: Bound): boolean {
  return low.value > high.value || (low.value === high.value && !(low.included && high.included));
}

/** Variables whose value is the last element of a path: it has no slash. */
const nameVariables: ReadonlySet<string> = new Set([
  "process.executable.name",
  "process.parent.executable.name",
]);

/** No value of the term's variable fulfils the constraint. False if that cannot be shown. */
export function isImpossible({ term, constraint }: ConstraintOnTerm): boolean {
  if (constraint.is === "set" && constraint.values.length === 0) return true;
  if (term.is !== "variable" || !nameVariables.has(term.name) || term.fallback !== undefined) return false;
  if (constraint.is === "set")
    return constraint.values.every((value) => typeof value === "string" && value.includes("/"));
  return constraint.is === "text" && constraint.texts.every((text) => needsSlash(constraint.operator, text));
}

/** Whether a text must have a slash to be found by the operator. */
function needsSlash(operator: string, text: string): boolean {
  // A slash within braces may belong to one alternative only.
  if (operator === "glob") return text.replace(/\{[^{}]*\}/g, "").includes("/");
  return ["contains", "starts_with", "ends_with"].includes(operator) && text.includes("/");
}

/** Every value of the term's variable fulfils the constraint. False if that cannot be shown. */
export function isUniversal({ term, constraint }: ConstraintOnTerm): boolean {
  if (constraint.is !== "text" || term.is !== "variable" || term.kind !== valueKinds.string) return false;
  return constraint.operator === "glob" && constraint.texts.includes("**");
}
