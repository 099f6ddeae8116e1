// Parses a YAML file by a schema. Every error has its place.
import * as v from "valibot";
import {
  type Document,
  type DocumentOptions,
  isNode,
  LineCounter,
  type ParseOptions,
  parseDocument,
  type SchemaOptions,
} from "yaml";
import { pathText } from "../vocabulary/error-text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { nearest } from "../vocabulary/nearest.ts";

/** An error in the file, with its line and column, counted from 1. */
export interface ConfigError {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export type YamlResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** For files of other programs: their version of YAML, and tags of their own. */
export type YamlOptions = Pick<DocumentOptions & ParseOptions & SchemaOptions, "version" | "customTags">;

type Path = readonly (string | number)[];

/**
 * Parses YAML; `file` is used only in errors. Returns all errors, not only the first. `knownNames`: the names that there
 * are beside the unknown one at `path`.
 */
export function parseYaml<T>(
  yaml: string,
  file: string,
  schema: v.GenericSchema<unknown, T>,
  knownNames: (path: Path) => readonly string[],
  options: YamlOptions = {},
): YamlResult<T> {
  const lines = new LineCounter();
  // With another logLevel the parser writes its warnings to the terminal itself, as they stand in the file.
  const document = parseDocument(yaml, {
    ...options,
    lineCounter: lines,
    uniqueKeys: true,
    logLevel: "error",
  });
  const place = (offset: number, message: string): ConfigError => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), message };
  };
  if (document.errors.length > 0) {
    return {
      ok: false,
      errors: document.errors.map((error) => place(error.pos[0], firstLine(error.message))),
    };
  }
  let content: unknown;
  try {
    content = document.toJS() ?? {};
  } catch (error) {
    // The parser limits nested aliases, because a few lines of them could exhaust the memory.
    return { ok: false, errors: [place(0, firstLine(messageOf(error)))] };
  }
  // One error for each value: a number that is neither whole nor in its range is one mistake.
  const result = v.safeParse(schema, content, { abortPipeEarly: true });
  if (result.success) return { ok: true, value: result.output };
  return {
    ok: false,
    errors: result.issues.map((issue) => {
      const path = pathOf(issue);
      return place(offsetOf(document, path), describe(issue, path, knownNames));
    }),
  };
}

function pathOf(issue: v.BaseIssue<unknown>): Path {
  return (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));
}

function describe(
  issue: v.BaseIssue<unknown>,
  path: Path,
  knownNames: (path: Path) => readonly string[],
): string {
  const name = pathText(path) || "the file";
  if (issue.type !== "strict_object" || issue.expected !== "never") return `${name} ${issue.message}`;
  const known = knownNames(path);
  const near = nearest(String(path.at(-1)), known);
  return `${name}: no such setting${near === undefined ? ` (there are: ${known.join(", ")})` : `: did you mean ${near}?`}`;
}

/** The offset of the value that an issue is about; for an unknown key that has no node, the offset of its parent. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

function firstLine(message: string): string {
  return message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? message;
}
