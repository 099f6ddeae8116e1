// Shows that one condition implies another, that two exclude each other, or that one is always or never true. What it
// shows holds for every event; what it cannot show may hold nevertheless.
import { callExpression, type Expression, valueKinds } from "../expression.ts";
import { areDisjoint, constraintOf, isImpossible, isUniversal, isWithin } from "./constraint.ts";

/** The most comparisons for one policy. A hostile policy would take hours; beyond this limit every further answer is "not shown". */
const COMPARISON_LIMIT = 2_000_000;

/** Answers hold for events in which no variable of either condition is absent. */
export class Logic {
  private comparisons = 0;
  // Invalidated by: nothing. Expressions never change, and each run of lint has its own Logic.
  private readonly keys = new WeakMap<Expression, string>();
  private readonly never = new WeakMap<Expression, boolean>();
  private readonly always = new WeakMap<Expression, boolean>();
  private readonly implications = new WeakMap<Expression, WeakMap<Expression, boolean>>();
  private readonly exclusions = new WeakMap<Expression, WeakMap<Expression, boolean>>();

  /** `b` is true whenever `a` is. */
  implies(a: Expression, b: Expression): boolean {
    return this.remembered(this.implications, a, b, () => this.findImplication(a, b));
  }

  /** `a` and `b` are never both true. */
  excludes(a: Expression, b: Expression): boolean {
    return this.remembered(this.exclusions, a, b, () => this.findExclusion(a, b));
  }

  /** The expression is true of no event. */
  isNever(expression: Expression): boolean {
    return rememberedIn(this.never, expression, () => this.findNever(expression));
  }

  /** The expression is true of every event. */
  isAlways(expression: Expression): boolean {
    return rememberedIn(this.always, expression, () => this.findAlways(expression));
  }

  private findNever(expression: Expression): boolean {
    if (expression.is === "literal") return !isTruthy(expression.value);
    const negated = negatedBy(expression);
    if (negated !== undefined) return this.isAlways(negated);
    const parts = partsOfCall(expression, "and");
    if (parts !== undefined)
      return (
        parts.some((part) => this.isNever(part)) || anyPair(parts, (one, two) => this.excludes(one, two))
      );
    const alternatives = partsOfCall(expression, "or");
    if (alternatives !== undefined) return alternatives.every((part) => this.isNever(part));
    const found = constraintOf(expression);
    return found !== undefined && isImpossible(found);
  }

  private findAlways(expression: Expression): boolean {
    if (expression.is === "literal") return isTruthy(expression.value);
    if (expression.is === "tree") return expression.patterns.includes("/**");
    const negated = negatedBy(expression);
    if (negated !== undefined) return this.isNever(negated);
    const parts = partsOfCall(expression, "and");
    if (parts !== undefined) return parts.every((part) => this.isAlways(part));
    const alternatives = partsOfCall(expression, "or");
    if (alternatives !== undefined)
      return (
        alternatives.some((part) => this.isAlways(part)) ||
        anyPair(alternatives, (one, two) => this.coverAll(one, two))
      );
    const found = constraintOf(expression);
    return found !== undefined && isUniversal(found);
  }

  /** One of both is always true, because one is true wherever what the other one negates is. */
  private coverAll(one: Expression, two: Expression): boolean {
    const first = negatedBy(one);
    const second = negatedBy(two);
    return (
      (first !== undefined && this.implies(first, two)) || (second !== undefined && this.implies(second, one))
    );
  }

  private findImplication(a: Expression, b: Expression): boolean {
    if (this.keyOf(a) === this.keyOf(b)) return true;
    if (this.isNever(a) || this.isAlways(b)) return true;
    const needed = partsOfCall(b, "and");
    if (needed?.every((part) => this.implies(a, part)) === true) return true;
    const cases = partsOfCall(a, "or");
    if (cases !== undefined) return cases.every((part) => this.implies(part, b));
    if (partsOfCall(b, "or")?.some((part) => this.implies(a, part)) === true) return true;
    if (partsOfCall(a, "and")?.some((part) => this.implies(part, b)) === true) return true;
    const refused = negatedBy(b);
    if (refused !== undefined) return this.excludes(a, refused);
    return testImplies(a, b, (one, two) => this.keyOf(one) === this.keyOf(two));
  }

  private findExclusion(a: Expression, b: Expression): boolean {
    if (this.isNever(a) || this.isNever(b)) return true;
    const refusedByA = negatedBy(a);
    if (refusedByA !== undefined && this.implies(b, refusedByA)) return true;
    const refusedByB = negatedBy(b);
    if (refusedByB !== undefined && this.implies(a, refusedByB)) return true;
    const casesOfA = partsOfCall(a, "or");
    if (casesOfA !== undefined) return casesOfA.every((part) => this.excludes(part, b));
    const casesOfB = partsOfCall(b, "or");
    if (casesOfB !== undefined) return casesOfB.every((part) => this.excludes(a, part));
    if (partsOfCall(a, "and")?.some((part) => this.excludes(part, b)) === true) return true;
    if (partsOfCall(b, "and")?.some((part) => this.excludes(a, part)) === true) return true;
    const ofA = constraintOf(a);
    const ofB = constraintOf(b);
    if (ofA === undefined || ofB === undefined || this.keyOf(ofA.term) !== this.keyOf(ofB.term)) return false;
    const isSingle =
      (ofA.term.kind & ~(valueKinds.string | valueKinds.number | valueKinds.bool | valueKinds.null)) === 0;
    return areDisjoint(ofA.constraint, ofB.constraint, isSingle);
  }

  private remembered(
    answers: WeakMap<Expression, WeakMap<Expression, boolean>>,
    a: Expression,
    b: Expression,
    find: () => boolean,
  ): boolean {
    let ofA = answers.get(a);
    if (ofA === undefined) {
      // Invalidated by: nothing, an expression never changes.
      ofA = new WeakMap();
      answers.set(a, ofA);
    }
    const known = ofA.get(b);
    if (known !== undefined) return known;
    this.comparisons += 1;
    if (this.comparisons > COMPARISON_LIMIT) return false;
    const answer = find();
    ofA.set(b, answer);
    return answer;
  }

  /** Equal for expressions that are written alike, with lists put in. */
  private keyOf(expression: Expression): string {
    const known = this.keys.get(expression);
    if (known !== undefined) return known;
    // Functions are left out by JSON.stringify; each of them is made from a text that stands beside it.
    const key = JSON.stringify(expression);
    this.keys.set(expression, key);
    return key;
  }
}

function rememberedIn(
  answers: WeakMap<Expression, boolean>,
  expression: Expression,
  find: () => boolean,
): boolean {
  const known = answers.get(expression);
  if (known !== undefined) return known;
  const answer = find();
  answers.set(expression, answer);
  return answer;
}

/** Truth in json-logic-js: as in JavaScript, except that an empty array is false. */
function isTruthy(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

function partsOfCall(expression: Expression, operator: "and" | "or"): readonly Expression[] | undefined {
  return expression.is === "call" && expression.operator === operator ? expression.parts : undefined;
}

const negatedOperators: Readonly<Record<string, string>> = { "!=": "==", "!==": "===" };
// Invalidated by: nothing. Expressions never change.
const positives = new WeakMap<Expression, Expression>();

/** What the expression negates; undefined if it is no negation. */
function negatedBy(expression: Expression): Expression | undefined {
  if (expression.is !== "call") return undefined;
  if (expression.operator === "!") return expression.parts[0];
  const positive = negatedOperators[expression.operator];
  if (positive === undefined) return undefined;
  const known = positives.get(expression);
  if (known !== undefined) return known;
  const negated = callExpression(positive, expression.parts);
  positives.set(expression, negated);
  return negated;
}

function testImplies(
  a: Expression,
  b: Expression,
  areAlike: (one: Expression, two: Expression) => boolean,
): boolean {
  if (a.is === "under" && b.is === "under") return isSubset(a.entries, b.entries);
  if (a.is === "tree" && b.is === "tree") return isSubset(a.patterns, b.patterns);
  const ofA = constraintOf(a);
  const ofB = constraintOf(b);
  if (ofA === undefined || ofB === undefined || !areAlike(ofA.term, ofB.term)) return false;
  return isWithin(ofA.constraint, ofB.constraint);
}

function isSubset(some: readonly string[], all: readonly string[]): boolean {
  return some.every((item) => all.includes(item));
}

function anyPair<T>(items: readonly T[], test: (one: T, two: T) => boolean): boolean {
  return items.some((one, i) => items.slice(i + 1).some((two) => test(one, two)));
}
