// Reads the parts of a condition that refer to variables, array elements and lists.
import type { Node } from "jsonc-parser";
import { nearest } from "../vocabulary/nearest.ts";
import type { VariableType } from "../vocabulary/variable-row.ts";
import { type Document, elements, textOf } from "./document.ts";
import { ARRAYS, type Expression, kindOf, kindText, literal, type Scalar, valueKinds } from "./expression.ts";
import { exampleOf } from "./operators.ts";

/** Why a rule cannot use a variable, and how to fix it. */
export interface NameRefusal {
  readonly message: string;
  readonly fix: string;
}

/** The names that a condition may use. */
export interface Names {
  variable(name: string):
    | {
        readonly type: VariableType | "any";
        readonly nullable?: boolean;
        /** An IP address. */
        readonly address?: boolean;
      }
    | undefined;
  /** Why a variable cannot be used; undefined if it can be used or does not exist. */
  refusal(name: string): NameRefusal | undefined;
  list(name: string): readonly (string | number)[] | undefined;
  readonly variables: readonly string[];
  readonly lists: readonly string[];
}

/** The meaning of `var`: a variable of the event, the current element, or one of reduce's two values. */
export type Scope = "event" | "element" | "reduce";

/** Reads references by name, and reports errors to the document. */
export class NameReader {
  protected readonly document: Document;
  protected readonly names: Names;

  constructor(document: Document, names: Names) {
    this.document = document;
    this.names = names;
  }

  protected fail(node: Node, message: string, fix?: string): undefined {
    this.document.report(node, message, fix);
    return undefined;
  }

  protected readVariable(
    node: Node,
    given: readonly Node[],
    scope: Scope,
    elementKind: number,
  ): Expression | undefined {
    const [nameNode, fallbackNode] = given;
    if (nameNode === undefined || given.length > 2)
      return this.fail(node, '"var" takes a name, and perhaps a default', '{ "var": "process.user.id" }');
    if (nameNode.type !== "string")
      return this.fail(
        nameNode,
        "a variable's name is text, not an expression",
        '{ "var": "process.user.id" }',
      );
    const name = textOf(nameNode);
    if (scope !== "event") return this.readElement(nameNode, name, scope, elementKind);
    const known = this.names.variable(name);
    if (known === undefined) {
      const refusal = this.names.refusal(name);
      if (refusal !== undefined) return this.fail(nameNode, refusal.message, refusal.fix);
      const meant = nearest(name, this.names.variables);
      return this.fail(
        nameNode,
        name === "" ? "a variable without a name" : `unknown variable "${name}"`,
        meant === undefined ? "docs/variables.md has the names" : `did you mean "${meant}"?`,
      );
    }
    const kind =
      known.type === "any"
        ? valueKinds.string | valueKinds.number | valueKinds.bool | ARRAYS
        : kindOf(known.type);
    let fallback: Scalar | undefined;
    if (fallbackNode !== undefined) {
      if (fallbackNode.type === "object" || fallbackNode.type === "array")
        return this.fail(
          fallbackNode,
          "a default is a plain value",
          `{ "var": ["${name}", ${exampleOf(kind)}] }`,
        );
      fallback = scalarOf(fallbackNode);
      const fallbackKind = literal(fallback).kind;
      if ((fallbackKind & kind) === 0)
        return this.fail(
          fallbackNode,
          `"${name}" is ${kindText(kind)}, its default is ${kindText(fallbackKind)}`,
          `{ "var": ["${name}", ${exampleOf(kind)}] }`,
        );
    }
    const nullable = known.nullable === true && fallback === undefined;
    return { is: "variable", name, fallback, kind: nullable ? kind | valueKinds.null : kind, varies: true };
  }

  /** Fails if a part is an IP address: one address may be written in several ways, and a prefix is no network. */
  protected hasAddress(node: Node, operator: string, parts: readonly Expression[]): boolean {
    for (const part of parts) {
      if (part.is !== "variable" || this.names.variable(part.name)?.address !== true) continue;
      this.fail(
        node,
        `"${operator}" would compare the address in "${part.name}" as text`,
        `{ "cidr": [ { "var": "${part.name}" }, ["10.0.0.0/8", "fd00::/8"] ] }`,
      );
      return true;
    }
    return false;
  }

  private readElement(node: Node, name: string, scope: Scope, elementKind: number): Expression | undefined {
    const all = valueKinds.string | valueKinds.number | valueKinds.bool | ARRAYS;
    if (scope === "element") {
      if (name === "") return { is: "element", part: "", kind: elementKind, varies: true };
      return this.fail(
        node,
        `in here a variable is the element, "${name}" cannot be reached`,
        '{ "var": "" } is the element; compare with other variables outside',
      );
    }
    if (name === "current") return { is: "element", part: "current", kind: elementKind, varies: true };
    if (name === "accumulator") return { is: "element", part: "accumulator", kind: all, varies: true };
    return this.fail(
      node,
      `in reduce there are only "current" and "accumulator", not "${name}"`,
      '{ "var": "current" }',
    );
  }

  protected readList(node: Node, given: readonly Node[]): Expression | undefined {
    const [nameNode] = given;
    if (nameNode?.type !== "string" || given.length !== 1)
      return this.fail(node, '"list" takes the name of a list', '{ "list": "shells" }');
    const items = this.names.list(textOf(nameNode));
    if (items !== undefined) return literal([...items]);
    const meant = nearest(textOf(nameNode), this.names.lists);
    return this.fail(
      nameNode,
      `unknown list "${textOf(nameNode)}"`,
      meant === undefined ? 'define it under "lists"' : `did you mean "${meant}"?`,
    );
  }

  protected readMissing(
    node: Node,
    operator: string,
    given: readonly Node[],
    scope: Scope,
  ): Expression | undefined {
    if (scope !== "event") return this.fail(node, `"${operator}" cannot be asked of an element`);
    const some = operator === "missing_some";
    const [needNode, namesNode] = given;
    if (some && (needNode?.type !== "number" || namesNode?.type !== "array" || given.length !== 2)) {
      return this.fail(
        node,
        '"missing_some" takes a number and an array of names',
        '{ "missing_some": [1, ["tree.known", "tree.familiar"]] }',
      );
    }
    const nodes = some
      ? elements(namesNode ?? node)
      : given.length === 1 && given[0]?.type === "array"
        ? elements(given[0])
        : given;
    if (nodes.length === 0)
      return this.fail(node, `"${operator}" without a name`, '{ "missing": ["tree.known"] }');
    const names: string[] = [];
    for (const item of nodes) {
      if (item.type !== "string")
        return this.fail(item, `"${operator}" takes names as text`, '{ "missing": ["tree.known"] }');
      if (this.readVariable(item, [item], "event", 0) === undefined) return undefined;
      names.push(textOf(item));
    }
    return {
      is: "missing",
      need: some ? Number(needNode?.value) : null,
      names,
      kind: valueKinds.strings,
      varies: true,
    };
  }
}

export function scalarOf(node: Node): Scalar {
  const value: unknown = node.value;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return null;
}
