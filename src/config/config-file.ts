// The parser of the configuration file.
import * as v from "valibot";
import { type Document, isNode, LineCounter, parseDocument } from "yaml";
import { pathText } from "../vocabulary/error-text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { type Config, configSchema, sections } from "./config.ts";

/** An error in the file, with its line and column, counted from 1. */
export interface ConfigError {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly errors: readonly ConfigError[] };

/** Parses YAML; `file` is used only in errors. Returns all errors, not only the first. */
export function parseConfig(yaml: string, file: string): ConfigResult {
  const lines = new LineCounter();
  // With another logLevel the parser writes its warnings to the terminal itself, as they stand in the file.
  const document = parseDocument(yaml, { lineCounter: lines, uniqueKeys: true, logLevel: "error" });
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
    return {
      ok: false,
      errors: [place(0, firstLine(messageOf(error)))],
    };
  }
  // One error for each value: a number that is neither whole nor in its range is one mistake.
  const result = v.safeParse(configSchema, content, { abortPipeEarly: true });
  if (result.success) return { ok: true, config: result.output };
  return {
    ok: false,
    errors: result.issues.map((issue) => place(offsetOf(document, issue), describe(issue))),
  };
}

type Issue = v.InferIssue<typeof configSchema>;

function describe(issue: Issue): string {
  const path = issue.path?.map((item) => item.key) ?? [];
  const name = pathText(path) || "the file";
  if (issue.type !== "strict_object" || issue.expected !== "never") return `${name} ${issue.message}`;
  const entriesOf: Record<string, object> = sections;
  const known = Object.keys(path.length > 1 ? (entriesOf[String(path[0])] ?? {}) : configSchema.entries);
  const near = nearest(String(path.at(-1)), known);
  return `${name}: no such setting${near === undefined ? ` (there are: ${known.join(", ")})` : `: did you mean ${near}?`}`;
}

/** The offset of the value that an issue is about; for an unknown key that has no node, the offset of its parent. */
function offsetOf(document: Document, issue: Issue): number {
  const path = issue.path?.map((item) => item.key) ?? [];
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

function firstLine(message: string): string {
  return message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "") ?? message;
}
