// Checks a condition. Everything that would make it silently wrong is an error with its place and the fix.
import type { Node } from "jsonc-parser";
import { nearest } from "../vocabulary/nearest.ts";
import { addedOperators, compileTexts, compileTrees, isTextOperator } from "./added-operators.ts";
import { type Document, elements, properties, textOf } from "./document.ts";
import {
  ARRAYS,
  callExpression,
  type Expression,
  type Iterator,
  kindText,
  type Literal,
  literal,
  valueKinds,
} from "./expression.ts";
import type { TextTest } from "./glob.ts";
import { NameReader, type Names, type Scope, scalarOf } from "./name-reader.ts";
import { operators } from "./operators.ts";

/** The deepest nesting that a person can still read. */
const DEPTH_LIMIT = 32;
/** The most operators and literals in one condition; items of lists do not count. */
const SIZE_LIMIT = 5_000;

const iterators: Readonly<Record<Iterator, number>> = {
  filter: 2,
  map: 2,
  all: 2,
  none: 2,
  some: 2,
  reduce: 3,
};

function isIterator(name: string): name is Iterator {
  return Object.hasOwn(iterators, name);
}

/** Every operator that a condition may use. */
export const operatorNames: readonly string[] = [
  ...Object.keys(operators),
  ...Object.keys(iterators),
  ...addedOperators,
  "var",
  "missing",
  "missing_some",
  "list",
];

/** Reads the condition of a rule. If it is wrong, reports errors to the document and returns undefined. */
export function readCondition(document: Document, node: Node, names: Names): Expression | undefined {
  const reader = new Reader(document, names);
  if (node.type !== "object" && node.type !== "boolean") {
    document.report(
      node,
      `a condition is an operator with its arguments, not ${node.type}`,
      'for example { "under": ["nginx"] }',
    );
    return undefined;
  }
  return reader.read(node, "event", 0, 0);
}

class Reader extends NameReader {
  private size = 0;
  private readonly tests = new Map<string, TextTest>();

  read(node: Node, scope: Scope, depth: number, elementKind: number): Expression | undefined {
    this.size += 1;
    if (this.size === SIZE_LIMIT + 1)
      return this.fail(node, `a condition of more than ${SIZE_LIMIT} parts`, "split the rule, or use a list");
    if (this.size > SIZE_LIMIT) return undefined;
    if (depth > DEPTH_LIMIT)
      return this.fail(node, `a condition nested deeper than ${DEPTH_LIMIT} levels`, "split the rule");
    if (node.type === "array") return this.readArray(node, scope, depth, elementKind);
    if (node.type !== "object") return literal(scalarOf(node));
    const members = properties(node);
    const [member] = members;
    if (member === undefined)
      return this.fail(node, "an empty object", 'an operator with its arguments: { "under": ["nginx"] }');
    if (members.length > 1) {
      const keys = members.map(({ key }) => `"${textOf(key)}"`).join(" and ");
      return this.fail(
        node,
        `one object with more than one operator: ${keys}`,
        'join them: { "and": [ { ... }, { ... } ] }',
      );
    }
    const operator = textOf(member.key);
    const given = member.value.type === "array" ? elements(member.value) : [member.value];
    const inner = { scope, depth: depth + 1, elementKind };
    if (operator === "var") return this.readVariable(node, given, scope, elementKind);
    if (operator === "list") return this.readList(node, given);
    if (operator === "missing" || operator === "missing_some")
      return this.readMissing(node, operator, given, scope);
    if (operator === "under" || operator === "tree")
      return this.readLineage(node, operator, member.value, scope);
    if (isTextOperator(operator)) return this.readText(node, operator, given, inner);
    if (isIterator(operator)) return this.readIterator(node, operator, given, inner);
    if (Object.hasOwn(operators, operator)) return this.readCall(node, operator, given, inner);
    const meant = nearest(operator, operatorNames);
    return this.fail(
      member.key,
      `unknown operator "${operator}"`,
      meant === undefined ? `known: ${[...operatorNames].sort().join(" ")}` : `did you mean "${meant}"?`,
    );
  }

  private readArray(node: Node, scope: Scope, depth: number, elementKind: number): Expression | undefined {
    const items: Expression[] = [];
    for (const child of elements(node)) {
      if (child.type === "array")
        return this.fail(child, "an array within an array", 'join them: { "merge": [ ..., ... ] }');
      const item = this.read(child, scope, depth + 1, elementKind);
      if (item === undefined) return undefined;
      if ((item.kind & ~ARRAYS) === 0)
        return this.fail(
          child,
          "an array within an array",
          'join them: { "merge": [ { "list": "..." }, [ "..." ] ] }',
        );
      items.push(item);
    }
    if (items.every((item) => item.is === "literal")) return literal(items.map((item) => item.value));
    let kind = 0;
    for (const item of items) kind |= item.kind;
    const arrayKind =
      kind === valueKinds.string
        ? valueKinds.strings
        : kind === valueKinds.number
          ? valueKinds.numbers
          : valueKinds.array;
    return { is: "array", items, kind: arrayKind, varies: items.some((item) => item.varies) };
  }

  private readLineage(
    node: Node,
    operator: "under" | "tree",
    value: Node,
    scope: Scope,
  ): Expression | undefined {
    if (scope !== "event")
      return this.fail(
        node,
        `"${operator}" is about the process, not about an element`,
        "ask for it outside",
      );
    const entries = this.readTexts(operator, value);
    if (entries === undefined) return undefined;
    if (operator === "under") {
      if (
        compileTexts(
          "glob",
          entries.filter((entry) => entry.includes("/")),
          (message) => this.fail(value, message),
        ) === undefined
      )
        return undefined;
      return { is: "under", entries, kind: valueKinds.bool, varies: true };
    }
    const tests = compileTrees(entries, (message) => this.fail(value, message));
    return tests === undefined
      ? undefined
      : { is: "tree", patterns: entries, tests, kind: valueKinds.bool, varies: true };
  }

  /** Reads literal texts: a single one, an array, a list, or an array that contains lists. */
  private readTexts(operator: string, node: Node): string[] | undefined {
    const texts: string[] = [];
    for (const item of node.type === "array" ? elements(node) : [node]) {
      if (item.type === "string") texts.push(textOf(item));
      else {
        const list =
          item.type === "object" && properties(item).length === 1
            ? this.read(item, "event", DEPTH_LIMIT, 0)
            : undefined;
        if (list?.is !== "literal" || !Array.isArray(list.value)) {
          if (list === undefined && item.type === "object" && properties(item).length === 1) return undefined;
          return this.fail(
            item,
            `"${operator}" is given texts, or a list of them`,
            `{ "${operator}": ... ["one", { "list": "others" }] }`,
          );
        }
        for (const entry of list.value) {
          if (typeof entry !== "string")
            return this.fail(item, `"${operator}" is about text, this list has a number in it`);
          texts.push(entry);
        }
      }
    }
    if (texts.length === 0)
      return this.fail(
        node,
        `"${operator}" without anything to look for never matches`,
        "give at least one text",
      );
    if (texts.includes("")) return this.fail(node, `"${operator}" with an empty text`, "remove it");
    return texts;
  }

  private readText(
    node: Node,
    operator: string,
    given: readonly Node[],
    inner: Inner,
  ): Expression | undefined {
    const [leftNode, rightNode] = given;
    if (leftNode === undefined || rightNode === undefined || given.length > 2) {
      return this.fail(
        node,
        `"${operator}" takes 2 arguments, not ${given.length}`,
        `{ "${operator}": [ { "var": "process.executable.path" }, "..." ] }`,
      );
    }
    const left = this.read(leftNode, inner.scope, inner.depth, inner.elementKind);
    const texts = this.readTexts(operator, rightNode);
    if (left === undefined || texts === undefined) return undefined;
    if (operator !== "cidr" && this.hasAddress(node, operator, [left])) return undefined;
    if ((left.kind & (valueKinds.string | valueKinds.strings | valueKinds.array)) === 0)
      return this.fail(
        leftNode,
        `"${operator}" is about text, this is ${kindText(left.kind)}`,
        'use "in", "==" or "<"',
      );
    const test = this.compiledTexts(operator, texts, rightNode);
    return test === undefined
      ? undefined
      : { is: "text", operator, left, texts, test, kind: valueKinds.bool, varies: left.varies };
  }

  /** The test for the texts at `node`. Equal ones of a condition share it, with what it is compiled to. */
  private compiledTexts(operator: string, texts: readonly string[], node: Node): TextTest | undefined {
    const key = [operator, ...texts].join("\0");
    const known = this.tests.get(key);
    if (known !== undefined) return known;
    // A list of an embedded role may be another file's.
    const isChecked = this.document.isEmbedded && !hasList(node);
    const test = compileTexts(operator, texts, (message) => this.fail(node, message), isChecked);
    if (test !== undefined) this.tests.set(key, test);
    return test;
  }

  private readIterator(
    node: Node,
    operator: Iterator,
    given: readonly Node[],
    inner: Inner,
  ): Expression | undefined {
    const want = iterators[operator];
    const [arrayNode, bodyNode, initialNode] = given;
    if (arrayNode === undefined || bodyNode === undefined || given.length !== want) {
      return this.fail(
        node,
        `"${operator}" takes ${want} arguments, not ${given.length}`,
        `{ "${operator}": [ { "var": "process.command_args" }, ... ] }`,
      );
    }
    const array = this.read(arrayNode, inner.scope, inner.depth, inner.elementKind);
    if (array === undefined) return undefined;
    if ((array.kind & ARRAYS) === 0)
      return this.fail(arrayNode, `"${operator}" goes through an array, this is ${kindText(array.kind)}`);
    let elementKind = 0;
    if (array.kind & (valueKinds.strings | valueKinds.array)) elementKind |= valueKinds.string;
    if (array.kind & (valueKinds.numbers | valueKinds.array)) elementKind |= valueKinds.number;
    if (array.kind & valueKinds.array) elementKind |= valueKinds.bool;
    const body = this.read(bodyNode, operator === "reduce" ? "reduce" : "element", inner.depth, elementKind);
    const initial =
      initialNode === undefined
        ? undefined
        : this.read(initialNode, inner.scope, inner.depth, inner.elementKind);
    if (body === undefined || (initialNode !== undefined && initial === undefined)) return undefined;
    const kind =
      operator === "filter"
        ? array.kind & ARRAYS
        : operator === "map"
          ? valueKinds.array
          : operator === "reduce"
            ? valueKinds.string | valueKinds.number | valueKinds.bool | ARRAYS
            : valueKinds.bool;
    return { is: "each", operator, array, body, initial, kind, varies: array.varies || body.varies };
  }

  private readCall(
    node: Node,
    operator: string,
    given: readonly Node[],
    inner: Inner,
  ): Expression | undefined {
    const rule = operators[operator];
    if (rule === undefined) return undefined;
    if (given.length < rule.least || given.length > rule.most) {
      const want =
        rule.most === rule.least
          ? `${rule.least}`
          : rule.most === Number.POSITIVE_INFINITY
            ? `${rule.least} or more`
            : `${rule.least} to ${rule.most}`;
      if (given.length === 0)
        return this.fail(
          node,
          `an empty "${operator}"`,
          `give it ${want} argument${want === "1" ? "" : "s"}`,
        );
      return this.fail(
        node,
        `"${operator}" takes ${want} argument${want === "1" ? "" : "s"}, not ${given.length}`,
        rule.example,
      );
    }
    const parts: Expression[] = [];
    for (const child of given) {
      const part = this.read(child, inner.scope, inner.depth, inner.elementKind);
      if (part === undefined) return undefined;
      parts.push(part);
    }
    if (this.hasAddress(node, operator, parts)) return undefined;
    const mistake = rule.check(parts, operator);
    if (mistake !== undefined) return this.fail(given[mistake.part] ?? node, mistake.message, mistake.fix);
    if (operator === "merge" && parts.every((part) => part.is === "literal")) {
      return literal(
        parts.flatMap((part): Literal[] => (Array.isArray(part.value) ? [...part.value] : [part.value])),
      );
    }
    return callExpression(operator, parts, rule.kind(parts));
  }
}

function hasList(node: Node): boolean {
  return node.type === "object" || (node.type === "array" && elements(node).some(hasList));
}

interface Inner {
  readonly scope: Scope;
  readonly depth: number;
  readonly elementKind: number;
}
