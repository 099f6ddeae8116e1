// JSONLogic's own operators: their number of arguments, the type of their result, and uses that are mistakes.
import { ARRAYS, type Expression, kindText, type VariableExpression, valueKinds } from "./expression.ts";

interface OperatorRule {
  /** The number of arguments. */
  readonly least: number;
  readonly most: number;
  /** The kind of the result (`valueKinds`). */
  readonly kind: (parts: readonly Expression[]) => number;
  /** Finds an argument that would make a use of the operator silently wrong; undefined if none does. */
  readonly check: ArgumentCheck;
  readonly example: string;
}

type ArgumentCheck = (parts: readonly Expression[], operator: string) => Mistake | undefined;

export interface Mistake {
  /** The index of the wrong argument. */
  readonly part: number;
  readonly message: string;
  readonly fix: string | undefined;
}

const MANY = Number.POSITIVE_INFINITY;

function rule(
  least: number,
  most: number,
  kind: number | OperatorRule["kind"],
  check: ArgumentCheck,
  example: string,
): OperatorRule {
  return { least, most, kind: typeof kind === "number" ? () => kind : kind, check, example };
}

function anyOf(parts: readonly Expression[]): number {
  let kind = 0;
  for (const part of parts) kind |= part.kind;
  return kind;
}

/** The last argument is the "else" branch. With an even number of arguments there is none, and the result is null. */
function branches(parts: readonly Expression[]): number {
  let kind = parts.length % 2 === 0 ? valueKinds.null : 0;
  parts.forEach((part, i) => {
    if (i % 2 === 1 || i === parts.length - 1) kind |= part.kind;
  });
  return kind;
}

function merged(parts: readonly Expression[]): number {
  const kind = anyOf(parts);
  if ((kind & ~(valueKinds.string | valueKinds.strings)) === 0) return valueKinds.strings;
  if ((kind & ~(valueKinds.number | valueKinds.numbers)) === 0) return valueKinds.numbers;
  return valueKinds.array;
}

const number = valueKinds.number;
const equality = rule(2, 2, valueKinds.bool, comparable, '{ "==": [ { "var": "process.user.id" }, 0 ] }');
const order = rule(2, 2, valueKinds.bool, comparable, '{ ">": [ { "var": "tree.depth" }, 5 ] }');
const between = rule(2, 3, valueKinds.bool, comparable, '{ "<": [ 0, { "var": "tree.depth" }, 5 ] }');
const arithmetic = rule(2, 2, number, numbers, '{ "-": [ { "var": "tree.depth" }, 1 ] }');

/** Operators of json-logic-js 2.0.5 except `log`. condition.ts handles `var`, `missing` and iteration over arrays. */
export const operators: Readonly<Record<string, OperatorRule>> = {
  "==": equality,
  "===": equality,
  "!=": equality,
  "!==": equality,
  ">": order,
  ">=": order,
  "<": between,
  "<=": between,
  "!": rule(1, 1, valueKinds.bool, negatable, '{ "!": { "var": "process.in_container" } }'),
  "!!": rule(1, 1, valueKinds.bool, anything, '{ "!!": { "var": "process.in_container" } }'),
  and: rule(1, MANY, anyOf, anything, '{ "and": [ ..., ... ] }'),
  or: rule(1, MANY, anyOf, anything, '{ "or": [ ..., ... ] }'),
  if: rule(2, MANY, branches, anything, '{ "if": [ condition, then, else ] }'),
  "?:": rule(3, 3, branches, anything, '{ "?:": [ condition, then, else ] }'),
  in: rule(
    2,
    2,
    valueKinds.bool,
    searchable,
    '{ "in": [ { "var": "process.executable.name" }, [ "sh", "bash" ] ] }',
  ),
  cat: rule(1, MANY, valueKinds.string, anything, '{ "cat": [ "a", "b" ] }'),
  substr: rule(
    2,
    3,
    valueKinds.string,
    textWithNumbers,
    '{ "substr": [ { "var": "process.executable.name" }, 0, 3 ] }',
  ),
  merge: rule(1, MANY, merged, anything, '{ "merge": [ { "list": "shells" }, [ "fish" ] ] }'),
  "+": rule(1, MANY, number, numbersOrTexts, '{ "+": [ { "var": "tree.depth" }, 1 ] }'),
  "*": rule(
    1,
    MANY,
    (parts) => (parts.length === 1 ? anyOf(parts) : number),
    numbersOrTexts,
    '{ "*": [ { "var": "tree.depth" }, 2 ] }',
  ),
  "-": rule(1, 2, number, numbers, '{ "-": [ { "var": "tree.depth" }, 1 ] }'),
  "/": arithmetic,
  "%": arithmetic,
  min: rule(1, MANY, number, numbers, '{ "min": [ { "var": "tree.depth" }, 5 ] }'),
  max: rule(1, MANY, number, numbers, '{ "max": [ { "var": "tree.depth" }, 5 ] }'),
};

function anything(): undefined {
  return undefined;
}

function negatable(parts: readonly Expression[]): Mistake | undefined {
  return nullAmong(parts, "negated");
}

function comparable(parts: readonly Expression[], operator: string): Mistake | undefined {
  return nullAmong(parts, "compared") ?? checkComparison(operator, parts);
}

function numbers(parts: readonly Expression[], operator: string): Mistake | undefined {
  return (
    nullAmong(parts, "calculated with") ?? checkNumbers(operator, parts, valueKinds.number | valueKinds.bool)
  );
}

/** For operators that convert a text to a number: JSONLogic's way of casting. */
function numbersOrTexts(parts: readonly Expression[], operator: string): Mistake | undefined {
  const wanted = valueKinds.number | valueKinds.bool | valueKinds.string;
  return nullAmong(parts, "calculated with") ?? checkNumbers(operator, parts, wanted);
}

function nullAmong(parts: readonly Expression[], how: string): Mistake | undefined {
  for (const [i, part] of parts.entries()) {
    if (!part.varies || (part.kind & valueKinds.null) === 0) continue;
    if (part.is === "variable") {
      return {
        part: i,
        message: `"${part.name}" may be null and is ${how}`,
        fix: `give it a default: ${withDefault(part, how === "negated")}`,
      };
    }
    return {
      part: i,
      message: `this may be null and is ${how}`,
      fix: 'an "if" without else gives null: add one',
    };
  }
  return undefined;
}

function checkComparison(operator: string, parts: readonly Expression[]): Mistake | undefined {
  if (!parts.some((part) => part.varies)) return undefined;
  for (const [i, part] of parts.entries()) {
    if ((part.kind & ~ARRAYS) === 0)
      return { part: i, message: `"${operator}" cannot compare an array`, fix: 'use "in", "some" or "all"' };
  }
  for (let i = 1; i < parts.length; i++) {
    const a = parts[i - 1];
    const b = parts[i];
    if (a === undefined || b === undefined || (a.kind & b.kind) !== 0 || !(a.varies || b.varies)) continue;
    const wrong = a.varies ? i : i - 1;
    return {
      part: wrong,
      message: `"${operator}" of ${subject(a)} and ${subject(b)} is never what it looks like`,
      fix: sameKind(a, b),
    };
  }
  return undefined;
}

function searchable(parts: readonly Expression[]): Mistake | undefined {
  const [needle, haystack] = parts;
  if (needle === undefined || haystack === undefined) return undefined;
  if (!(needle.varies || haystack.varies)) return undefined;
  if ((needle.kind & ~ARRAYS) === 0)
    return {
      part: 0,
      message: '"in" looks for one value, this is an array',
      fix: '{ "some": [ the array, { "in": [ { "var": "" }, ... ] } ] }',
    };
  if ((haystack.kind & ~(valueKinds.string | valueKinds.null)) === 0) {
    if (needle.varies) {
      return {
        part: 1,
        message: "a text as haystack: any part of it would match, even a single letter",
        fix:
          haystack.is === "literal"
            ? `use an array: ${wordsOf(String(haystack.value))}`
            : 'use "==" or "contains"',
      };
    }
    if ((needle.kind & valueKinds.string) === 0)
      return { part: 0, message: `${subject(needle)} is looked for in a text`, fix: "write it as text" };
    return undefined;
  }
  if ((haystack.kind & (ARRAYS | valueKinds.string)) === 0)
    return {
      part: 1,
      message: `"in" looks into an array, this is ${kindText(haystack.kind)}`,
      fix: operators.in?.example,
    };
  const inner = elementsOf(haystack.kind);
  if ((inner & needle.kind) === 0) {
    return {
      part: haystack.varies ? 0 : 1,
      message: `${subject(needle)} is never in ${kindText(haystack.kind)}`,
      fix: sameKind(needle, haystack),
    };
  }
  if (haystack.is === "literal" && Array.isArray(haystack.value)) {
    const odd = haystack.value.find((item) => (kindOfItem(item) & needle.kind & ~valueKinds.null) === 0);
    if (odd !== undefined)
      return {
        part: 1,
        message: `${JSON.stringify(odd)} is never ${subject(needle)}`,
        fix: "give it the variable's type, or remove it",
      };
  }
  return undefined;
}

function checkNumbers(operator: string, parts: readonly Expression[], wanted: number): Mistake | undefined {
  for (const [i, part] of parts.entries()) {
    // A constant text or null is cast as in JSONLogic; an array is always a mistake.
    const constant = part.varies ? 0 : valueKinds.string | valueKinds.null;
    if ((part.kind & (wanted | constant)) === 0)
      return { part: i, message: `"${operator}" calculates, ${subject(part)} is no number`, fix: undefined };
  }
  return undefined;
}

function textWithNumbers(parts: readonly Expression[]): Mistake | undefined {
  for (const [i, part] of parts.entries()) {
    if (i > 0 && (part.kind & valueKinds.number) === 0)
      return {
        part: i,
        message: '"substr" takes a text, a start and perhaps a length',
        fix: operators.substr?.example,
      };
  }
  return undefined;
}

function elementsOf(kind: number): number {
  let inner = kind & valueKinds.string;
  if (kind & (valueKinds.strings | valueKinds.array)) inner |= valueKinds.string;
  if (kind & (valueKinds.numbers | valueKinds.array)) inner |= valueKinds.number;
  if (kind & valueKinds.array) inner |= valueKinds.bool | valueKinds.null;
  return inner;
}

function kindOfItem(item: unknown): number {
  return typeof item === "string"
    ? valueKinds.string
    : typeof item === "number"
      ? valueKinds.number
      : typeof item === "boolean"
        ? valueKinds.bool
        : 0;
}

function subject(part: Expression): string {
  if (part.is === "variable") return `"${part.name}" (${kindText(part.kind)})`;
  if (part.is === "literal") return `${shorten(JSON.stringify(part.value))} (${kindText(part.kind)})`;
  return kindText(part.kind);
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 37)}...` : text;
}

function sameKind(a: Expression, b: Expression): string | undefined {
  const constant = a.is === "literal" ? a : b.is === "literal" ? b : undefined;
  const varying = constant === a ? b : a;
  if (constant === undefined) return "compare values of one type";
  const wantsNumber = (varying.kind & (valueKinds.number | valueKinds.numbers)) !== 0;
  const recast = (item: unknown) => (wantsNumber ? Number(item) : String(item));
  const value = Array.isArray(constant.value) ? constant.value.map(recast) : recast(constant.value);
  if (JSON.stringify(value).includes("null")) return `write a value that is ${kindText(varying.kind)}`;
  if (varying.kind === valueKinds.bool) return "write true or false, without quotes";
  return `write ${shorten(JSON.stringify(value))}`;
}

function wordsOf(text: string): string {
  return JSON.stringify(text.split(/[\s,|]+/).filter((word) => word !== ""));
}

export function exampleOf(kind: number): string {
  return kind & valueKinds.number ? "-1" : kind & valueKinds.bool ? "false" : '""';
}

/** A truth value that is negated gets the default with which a rule does not match. */
function withDefault({ name, kind }: VariableExpression, isNegated = false): string {
  const fallback = isNegated && (kind & valueKinds.bool) !== 0 ? "true" : exampleOf(kind);
  return `{ "var": ["${name}", ${fallback}] }`;
}
