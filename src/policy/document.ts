// Parses a policy file into a tree of nodes with positions. Size and depth limits keep a hostile file harmless.
import { createScanner, type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";

/** An error in a policy, its place (line and column from 1), and how to fix it. */
export interface PolicyError {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly fix: string | undefined;
}

export function formatPolicyError(error: PolicyError): string {
  return `${formatPlace(error)}: ${error.message}`;
}

/** `FILE:LINE:COLUMN`, or the file alone if the error concerns all of it. */
export function formatPlace({ file, line, column }: Omit<PolicyError, "message" | "fix">): string {
  return line === 0 ? file : `${file}:${line}:${column}`;
}

/** The most characters in a policy file; a role with thousands of rules is far below this. */
const SIZE_LIMIT = 1 << 20;
/** The deepest nesting of a file: twice that of a condition (object and array of each operator), and more. */
const DEPTH_LIMIT = 80;
/** Keys that have a special meaning in JavaScript objects. */
const forbiddenKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** SyntaxKind of jsonc-parser 3.3 (lib/umd/main.d.ts): a const enum, which isolated modules cannot import. */
const token = { openBrace: 1, closeBrace: 2, openBracket: 3, closeBracket: 4, end: 17 } as const;

/** One file's text, its nodes, and the errors found in it. */
export class Document {
  readonly file: string;
  /** Part of treewarden itself, and so tested. */
  readonly isEmbedded: boolean;
  readonly errors: PolicyError[] = [];
  private readonly text: string;
  private lines: number[] | undefined;

  constructor(file: string, text: string, isEmbedded = false) {
    this.file = file;
    this.isEmbedded = isEmbedded;
    this.text = text.startsWith("\uFEFF") ? text.slice(1) : text;
  }

  /** The root node. If the file is wrong, fills `errors` and returns undefined. */
  parse(): Node | undefined {
    if (this.text.length > SIZE_LIMIT) {
      this.report(
        0,
        `the file has more than ${SIZE_LIMIT} characters`,
        "split it into roles that extend one another",
      );
      return undefined;
    }
    if (this.text.trim() === "") {
      this.report(0, "the file is empty", 'a policy is an object: { "role": ... }');
      return undefined;
    }
    if (this.tooDeep()) return undefined;
    const problems: ParseError[] = [];
    const root = parseTree(this.text, problems, { allowTrailingComma: true, disallowComments: false });
    for (const problem of problems.slice(0, 1)) {
      this.report(problem.offset, `not JSON: ${spaced(printParseErrorCode(problem.error))}`, undefined);
    }
    if (root === undefined || problems.length > 0) return undefined;
    this.checkKeys(root);
    return this.errors.length > 0 ? undefined : root;
  }

  report(at: Node | number, message: string, fix?: string): void {
    this.errors.push(this.errorAt(at, message, fix));
  }

  /** An error at this place, which is not added to `errors`. */
  errorAt(at: Node | number, message: string, fix?: string): PolicyError {
    const { line, column } = this.place(typeof at === "number" ? at : at.offset);
    return { file: this.file, line, column, message, fix };
  }

  private place(offset: number): { line: number; column: number } {
    if (this.lines === undefined) {
      this.lines = [0];
      for (let i = this.text.indexOf("\n"); i >= 0; i = this.text.indexOf("\n", i + 1))
        this.lines.push(i + 1);
    }
    let low = 0;
    let high = this.lines.length;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if ((this.lines[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: offset - (this.lines[low] ?? 0) + 1 };
  }

  /** Must run before parsing, because the parser recurses. */
  private tooDeep(): boolean {
    const scanner = createScanner(this.text, true);
    let depth = 0;
    for (let kind = scanner.scan(); kind !== token.end; kind = scanner.scan()) {
      if (kind === token.openBrace || kind === token.openBracket) depth += 1;
      else if (kind === token.closeBrace || kind === token.closeBracket) depth -= 1;
      if (depth > DEPTH_LIMIT) {
        this.report(
          scanner.getTokenOffset(),
          `nested deeper than ${DEPTH_LIMIT} levels`,
          "split the condition into several rules",
        );
        return true;
      }
    }
    return false;
  }

  private checkKeys(node: Node): void {
    if (node.type === "object") {
      const seen = new Set<string>();
      for (const { key } of properties(node)) {
        const name = textOf(key);
        if (forbiddenKeys.has(name))
          this.report(key, `"${name}" is not allowed as a name`, "choose another name");
        else if (seen.has(name))
          this.report(key, `"${name}" stands here twice`, "remove one of them: only the last would count");
        seen.add(name);
      }
    }
    for (const child of node.children ?? []) this.checkKeys(child);
  }
}

function spaced(code: string): string {
  return code.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

export interface Property {
  readonly key: Node;
  readonly value: Node;
}

/** The members of an object node; empty for any other node. */
export function properties(node: Node): Property[] {
  if (node.type !== "object") return [];
  const members: Property[] = [];
  for (const property of node.children ?? []) {
    const [key, value] = property.children ?? [];
    if (key !== undefined && value !== undefined) members.push({ key, value });
  }
  return members;
}

export function property(node: Node, name: string): Property | undefined {
  return properties(node).find(({ key }) => key.value === name);
}

/** The elements of an array node; empty for any other node. */
export function elements(node: Node): readonly Node[] {
  return node.type === "array" ? (node.children ?? []) : [];
}

export function textOf(node: Node): string {
  return typeof node.value === "string" ? node.value : "";
}

/** The node at a path of keys and indices, or its nearest existing ancestor. */
export function nodeAt(root: Node, path: readonly unknown[]): Node {
  let node = root;
  for (const step of path) {
    const next = typeof step === "number" ? elements(node)[step] : property(node, String(step))?.value;
    if (next === undefined) return node;
    node = next;
  }
  return node;
}
