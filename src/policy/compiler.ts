// Compiles a checked condition into a function with json-logic-engine. Operators behave as in json-logic-js 2.0.5;
// where the engine differs (comparison, arithmetic, `in`, iteration), this file overrides it.
import { Constants, defaultMethods, LogicEngine } from "json-logic-engine";
import { Ancestry, type UnderAnswers } from "./ancestry.ts";
import { ARRAYS, type EachExpression, type Expression, type Scalar } from "./expression.ts";
import { pending, type Reader, type Subject, type VariableValue } from "./subject.ts";

/** The input of a compiled condition: the values of the policy's variables by slot, filled again for each subject. */
export interface Evaluation {
  /** `pending` stands for a value that is computed when a condition needs it. */
  readonly values: VariableValue[];
  /** By slot: the reader that computes a pending value. */
  readonly late: readonly (Reader | undefined)[];
  subject: Subject | undefined;
  ancestry: UnderAnswers | undefined;
}

export type Program = (evaluation: Evaluation) => boolean;

/** The slots of the policy's variables in `values`. */
export interface Slots {
  slotOf(name: string): number;
  isLate(name: string): boolean;
}

/** Truth in json-logic-js: as in JavaScript, except that an empty array is false. */
export function truthy(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

/** The part of the engine's build state that a method's `compile` uses. */
interface BuildState {
  compile(strings: TemplateStringsArray, ...items: unknown[]): unknown;
}

interface Method {
  readonly method: (...given: unknown[]) => unknown;
  readonly compile: (parts: readonly unknown[], state: BuildState) => unknown;
}

function onlyCompiled(): never {
  throw new Error("conditions are compiled, never interpreted");
}

function method(compile: Method["compile"]): Method {
  return { method: onlyCompiled, compile };
}

/** Marks `f` as synchronous, so that the engine calls it without await. */
function markSynchronous<F extends (...given: never[]) => unknown>(f: F): F {
  return Object.assign(f, { [Constants.Sync]: true });
}

function chain(joint: "&&" | "||"): Method {
  return method(([first, ...rest], state) => {
    let text = state.compile`(${first})`;
    for (const part of rest)
      text = joint === "&&" ? state.compile`${text} && (${part})` : state.compile`${text} || (${part})`;
    return state.compile`(${text})`;
  });
}

const numberOf = (value: unknown): number => Number.parseFloat(String(value));
const arithmetic: Readonly<Record<string, (...given: never[]) => unknown>> = {
  "+": (...given: unknown[]) => given.reduce((sum: number, value) => sum + numberOf(value), 0),
  // A single factor is returned unchanged, because reduce then never calls its function.
  "*": (...given: unknown[]) =>
    given.slice(1).reduce((product, value) => numberOf(product) * numberOf(value), given[0]),
  min: (...given: number[]) => Math.min(...given),
  max: (...given: number[]) => Math.max(...given),
  cat: (...given: unknown[]) => given.join(""),
  merge: (...given: unknown[]) => given.flat(1),
  substr: (source: unknown, start: number, length?: number) => substr(String(source), start, length),
  in: (needle: unknown, haystack: unknown) => {
    if (typeof haystack === "string") return haystack !== "" && haystack.includes(String(needle));
    return Array.isArray(haystack) && haystack.indexOf(needle) !== -1;
  },
};

/** Like JavaScript's substr, except that a negative length omits that many characters at the end, as in PHP. */
function substr(text: string, start: number, length: number | undefined): string {
  const whole = Math.trunc(start);
  const from = whole < 0 ? Math.max(0, text.length + whole) : whole;
  const tail = text.slice(from);
  if (length === undefined) return tail;
  return length < 0 ? tail.slice(0, Math.max(0, tail.length + length)) : tail.slice(0, length);
}

const methods: Readonly<Record<string, Method>> = {
  "==": method(([a, b], state) => state.compile`((${a}) == (${b}))`),
  "===": method(([a, b], state) => state.compile`((${a}) === (${b}))`),
  "!=": method(([a, b], state) => state.compile`((${a}) != (${b}))`),
  "!==": method(([a, b], state) => state.compile`((${a}) !== (${b}))`),
  ">": method(([a, b], state) => state.compile`((${a}) > (${b}))`),
  ">=": method(([a, b], state) => state.compile`((${a}) >= (${b}))`),
  "<": method(([a, b], state) => state.compile`((${a}) < (${b}))`),
  "<=": method(([a, b], state) => state.compile`((${a}) <= (${b}))`),
  "-": method(([a, b], state) =>
    b === undefined ? state.compile`(-(${a}))` : state.compile`((${a}) - (${b}))`,
  ),
  "/": method(([a, b], state) => state.compile`((${a}) / (${b}))`),
  "%": method(([a, b], state) => state.compile`((${a}) % (${b}))`),
  // Used only where no part can be an array: there JavaScript's truth equals JSONLogic's.
  "&&": chain("&&"),
  "||": chain("||"),
  not: method(([a], state) => state.compile`(!(${a}))`),
  choose: method(([condition, yes, no], state) => state.compile`((${condition}) ? (${yes}) : (${no}))`),
};

const lessThree = (a: number, b: number, c: number): boolean => a < b && b < c;
const atMostThree = (a: number, b: number, c: number): boolean => a <= b && b <= c;

/** Compiles the conditions of one policy. */
export class Compiler {
  readonly ancestry = new Ancestry();
  private readonly engine: LogicEngine;
  private readonly slots: Slots;
  private functions = 0;

  constructor(slots: Slots) {
    this.slots = slots;
    this.engine = new LogicEngine({ and: defaultMethods.and, or: defaultMethods.or, ...methods });
    this.engine.truthy = markSynchronous(truthy);
  }

  compile(expression: Expression): Program {
    const build = this.engine.build(this.lower(expression));
    return (evaluation) => truthy(build(evaluation));
  }

  /** Compiles the expression into a function that returns its value instead of its truth. */
  value(expression: Expression): (evaluation: Evaluation) => unknown {
    const build = this.engine.build(this.lower(expression));
    return (evaluation) => build(evaluation);
  }

  /** Translates the expression into the engine's format. */
  private lower(expression: Expression): unknown {
    switch (expression.is) {
      case "literal":
        return expression.value;
      case "array":
        return expression.items.map((item) => this.lower(item));
      case "variable":
        return this.variable(expression.name, expression.fallback);
      case "element":
        return this.raw(expression.part === "" ? "context" : `context.${expression.part}`);
      case "call":
        return this.call(expression.operator, expression.parts);
      case "each":
        return this.each(expression);
      case "text":
        return this.apply(testOfText(expression.test), this.lower(expression.left));
      case "under":
        return this.apply(testOfAncestry(this.ancestry, expression.entries), this.raw("context"));
      case "tree":
        return this.apply(testOfTree(expression.tests), this.raw("context"));
      case "missing":
        return this.missing(expression.need, expression.names);
      case "absent":
        return this.raw(
          `(${expression.names.map((name) => `context.values[${this.slots.slotOf(name)}] === undefined`).join(" || ")})`,
        );
    }
  }

  private variable(name: string, fallback: Scalar | undefined): unknown {
    const slot = this.slots.slotOf(name);
    if (this.slots.isLate(name)) return this.apply(lateValue(slot, fallback), this.raw("context"));
    const value = `context.values[${slot}]`;
    return this.raw(fallback === undefined ? value : `(${value} ?? ${JSON.stringify(fallback)})`);
  }

  private call(operator: string, parts: readonly Expression[]): unknown {
    const plain = parts.every((part) => (part.kind & ARRAYS) === 0);
    const lowered = parts.map((part) => this.lower(part));
    const [first] = parts;
    switch (operator) {
      case "and":
        return plain ? { "&&": lowered } : { and: lowered };
      case "or":
        return plain ? { "||": lowered } : { or: lowered };
      case "!":
        return { not: [this.truth(first, lowered[0])] };
      case "!!":
        return { not: [{ not: [this.truth(first, lowered[0])] }] };
      case "if":
      case "?:":
        return this.choose(parts, lowered);
      case "in":
        return this.membership(parts, lowered);
      case "<":
      case "<=":
        if (lowered.length < 3) return { [operator]: lowered };
        return this.apply(operator === "<" ? lessThree : atMostThree, ...lowered);
      default: {
        const calculate = arithmetic[operator];
        return calculate === undefined ? { [operator]: lowered } : this.apply(calculate, ...lowered);
      }
    }
  }

  private truth(part: Expression | undefined, lowered: unknown): unknown {
    return part === undefined || (part.kind & ARRAYS) === 0 ? lowered : this.apply(truthy, lowered);
  }

  private choose(parts: readonly Expression[], lowered: readonly unknown[]): unknown {
    let i = lowered.length - (lowered.length % 2 === 0 ? 2 : 3);
    let elseBranch = lowered.length % 2 === 0 ? null : lowered.at(-1);
    for (; i >= 0; i -= 2)
      elseBranch = { choose: [this.truth(parts[i], lowered[i]), lowered[i + 1], elseBranch] };
    return elseBranch;
  }

  private membership(parts: readonly Expression[], lowered: readonly unknown[]): unknown {
    const haystack = parts[1];
    if (haystack?.is === "literal" && Array.isArray(haystack.value)) {
      const items: ReadonlySet<unknown> = new Set(haystack.value);
      return this.apply((needle: unknown) => items.has(needle), lowered[0]);
    }
    return this.apply(arithmetic.in ?? onlyCompiled, ...lowered);
  }

  private each(expression: EachExpression): unknown {
    const inner = this.engine.build(this.lower(expression.body));
    const holds = (element: unknown): boolean => truthy(inner(element));
    const array = this.lower(expression.array);
    switch (expression.operator) {
      case "filter":
        return this.apply((items: unknown) => listOf(items).filter(holds), array);
      case "map":
        return this.apply((items: unknown) => listOf(items).map((item) => inner(item)), array);
      case "all":
        return this.apply((items: unknown) => listOf(items).length > 0 && listOf(items).every(holds), array);
      case "some":
        return this.apply((items: unknown) => listOf(items).some(holds), array);
      case "none":
        return this.apply((items: unknown) => !listOf(items).some(holds), array);
      case "reduce": {
        const initial = expression.initial === undefined ? null : this.lower(expression.initial);
        const step = (accumulator: unknown, current: unknown): unknown => inner({ accumulator, current });
        return this.apply(
          (items: unknown, start: unknown) => (Array.isArray(items) ? items.reduce(step, start) : start),
          array,
          initial,
        );
      }
    }
  }

  private missing(need: number | null, names: readonly string[]): unknown {
    const slots = names.map((name) => ({ name, slot: this.slots.slotOf(name) }));
    return this.apply(missingNames(need, slots), this.raw("context"));
  }

  /** Adds an engine method that calls `f` with the given parts, and returns the expression that uses it. */
  private apply(f: (...given: never[]) => unknown, ...given: unknown[]): unknown {
    const name = `f${this.functions++}`;
    markSynchronous(f);
    this.engine.methods[name] = method(([a, b, c, ...rest], state) => {
      if (given.length === 0) return state.compile`${f}()`;
      if (given.length === 1) return state.compile`${f}(${a})`;
      if (given.length === 2) return state.compile`${f}(${a}, ${b})`;
      let list = state.compile`${a}, ${b}, ${c}`;
      for (const part of rest) list = state.compile`${list}, ${part}`;
      return state.compile`${f}(${list})`;
    });
    return { [name]: given };
  }

  /** Adds an engine method that expands to `code`, which is built in this file from numbers and literals only. */
  private raw(code: string): unknown {
    const name = `f${this.functions++}`;
    this.engine.methods[name] = method(() => code);
    return { [name]: [] };
  }
}

// The functions that conditions call are made outside of the compiler: one that is made where `this` is in scope would
// keep the engine, with all that it has compiled, for as long as the policy is in force.

type Part<T> = (evaluation: Evaluation) => T;

function testOfText(test: (text: string) => boolean): (value: unknown) => boolean {
  return (value) => someText(value, test);
}

function testOfAncestry(ancestry: Ancestry, entries: readonly string[]): Part<boolean> {
  const index = ancestry.add(entries);
  return (evaluation) => answersOf(ancestry, evaluation)[index] === 1;
}

function testOfTree(tests: readonly ((labels: readonly string[]) => boolean)[]): Part<boolean> {
  return (evaluation) => matchesTree(evaluation, tests);
}

function lateValue(slot: number, fallback: Scalar | undefined): Part<VariableValue> {
  return (evaluation) => computedValue(evaluation, slot) ?? fallback ?? null;
}

/** Those of the variables that are missing; none if at least `need` of them are there. */
function missingNames(
  need: number | null,
  slots: readonly { readonly name: string; readonly slot: number }[],
): Part<readonly string[]> {
  return (evaluation) => {
    const lacking: string[] = [];
    for (const { name, slot } of slots) {
      const value = computedValue(evaluation, slot);
      if (value === undefined || value === null || value === "") lacking.push(name);
    }
    return need !== null && slots.length - lacking.length >= need ? [] : lacking;
  };
}

const noAnswers: UnderAnswers = new Uint8Array(0);

function answersOf(ancestry: Ancestry, evaluation: Evaluation): UnderAnswers {
  const { subject } = evaluation;
  if (subject === undefined) return noAnswers;
  evaluation.ancestry ??= ancestry.of(subject);
  return evaluation.ancestry;
}

/** The value in a slot, which is computed if it is pending. */
export function computedValue(evaluation: Evaluation, slot: number): VariableValue {
  const value = evaluation.values[slot];
  if (value !== pending || evaluation.subject === undefined) return value;
  const computed = evaluation.late[slot]?.(evaluation.subject);
  evaluation.values[slot] = computed;
  return computed;
}

/** Whether a text, or any in an array of them, passes the test. */
export function someText(value: unknown, test: (text: string) => boolean): boolean {
  if (typeof value === "string") return test(value);
  if (!Array.isArray(value)) return false;
  for (const item of value) if (typeof item === "string" && test(item)) return true;
  return false;
}

function matchesTree(
  evaluation: Evaluation,
  tests: readonly ((labels: readonly string[]) => boolean)[],
): boolean {
  const tree = evaluation.subject?.tree;
  if (tree === undefined) return false;
  for (const test of tests) if (test(tree.labels) || test(tree.names)) return true;
  return false;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
