// Globs over paths and over the labels of a tree. Matching takes linear time, because the text may be hostile.
import type { RE2JS } from "re2js";
import { compileRegularExpression, quotedExpression } from "../vocabulary/regular-expression.ts";

/** The most alternatives of a pattern. Several `{a,b}` multiply, so a short pattern could have very many. */
const ALTERNATIVES_LIMIT = 256;
/** Longest pattern in characters: PATH_MAX (linux/limits.h) is the longest path there is. */
const PATTERN_LIMIT = 4096;

/** Thrown for a pattern that cannot be compiled; the message is for the policy's author. */
export class GlobError extends Error {
  override readonly name = "GlobError";
}

export type TextTest = (text: string) => boolean;

/**
 * A glob over a path: `*` matches any text without a slash, `**` any text, `/` + `**` + `/` also a single slash, and
 * `{a,b}` either alternative. All other characters, also `?` and `[`, match themselves. The whole text must match.
 */
export function compileGlob(pattern: string): TextTest {
  return anyOf(expandBraces(pattern).map(compileOne));
}

/**
 * A glob over labels from root to leaf: `*` matches a label or part of one, `**` any number of labels, `{a,b}` either.
 * The pattern begins with a slash.
 */
export function compileTreeGlob(pattern: string): (labels: readonly string[]) => boolean {
  if (!pattern.startsWith("/"))
    throw new GlobError(`a tree begins with a slash: write "/${pattern}" or "/**/${pattern}"`);
  // Braces within one label are a choice of that label; only those across labels multiply the pattern.
  const whole = /\{[^{}]*\/[^{}]*\}/.test(pattern) ? expandBraces(pattern) : [pattern];
  const alternatives = whole.map((text) => text.slice(1).split("/").map(compileElement));
  return (labels) => {
    for (const elements of alternatives) if (labelsMatch(elements, labels)) return true;
    return false;
  };
}

/** Both kinds of globs, for rooms that get them passed in. */
export const globCompilers = { tree: compileTreeGlob, path: compileGlob } as const;

/** null stands for `**`. */
type Element = TextTest | null;

function compileElement(element: string): Element {
  if (element === "**") return null;
  if (element.includes("**"))
    throw new GlobError(`"${element}": ** stands for whole labels, between slashes`);
  if (element === "") throw new GlobError("an empty label: two slashes, or one at the end");
  if (element === "*") return () => true;
  const choices = expandBraces(element);
  if (choices.some((choice) => choice.includes("*")))
    return anyOf(choices.map((choice) => compileOne(choice.replaceAll("*", "**"))));
  const names: ReadonlySet<string> = new Set(choices);
  return (label) => names.has(label);
}

/** True if one of the tests is. */
export function anyOf(tests: readonly TextTest[]): TextTest {
  const [only] = tests;
  if (only !== undefined && tests.length === 1) return only;
  return (text) => {
    for (const test of tests) if (test(text)) return true;
    return false;
  };
}

function labelsMatch(elements: readonly Element[], labels: readonly string[]): boolean {
  let position = 0;
  let label = 0;
  let resumeAt = -1;
  let resumeLabel = 0;
  while (label < labels.length) {
    const element = elements[position];
    if (element === null) {
      position += 1;
      resumeAt = position;
      resumeLabel = label;
    } else if (element?.(labels[label] ?? "") === true) {
      position += 1;
      label += 1;
    } else if (resumeAt >= 0) {
      resumeLabel += 1;
      label = resumeLabel;
      position = resumeAt;
    } else return false;
  }
  while (elements[position] === null) position += 1;
  return position === elements.length;
}

function expandBraces(pattern: string): string[] {
  if (pattern.length > PATTERN_LIMIT) throw new GlobError(`longer than ${PATTERN_LIMIT} characters`);
  let expanded = [""];
  let position = 0;
  while (position < pattern.length) {
    const open = pattern.indexOf("{", position);
    const plain = open < 0 ? pattern.slice(position) : pattern.slice(position, open);
    if (plain.includes("}")) throw new GlobError("a closing brace without an opening one");
    expanded = expanded.map((text) => text + plain);
    if (open < 0) break;
    const close = pattern.indexOf("}", open);
    if (close < 0) throw new GlobError("an opening brace without a closing one");
    const choices = pattern.slice(open + 1, close);
    if (choices.includes("{")) throw new GlobError("braces within braces");
    const alternatives = choices.split(",");
    if (expanded.length * alternatives.length > ALTERNATIVES_LIMIT) {
      throw new GlobError(`more than ${ALTERNATIVES_LIMIT} alternatives in braces`);
    }
    expanded = expanded.flatMap((text) => alternatives.map((choice) => text + choice));
    position = close + 1;
  }
  return expanded;
}

/**
 * Compiles a pattern without braces. An expression takes 10 kB and hundreds of microseconds, and most texts differ
 * before the first star, so it is made when a text needs it.
 */
function compileOne(pattern: string): TextTest {
  const star = pattern.indexOf("*");
  if (star === -1) return (text) => text === pattern;
  const fixed = pattern.slice(0, star);
  if (star === pattern.length - 2 && pattern.endsWith("**")) return (text) => text.startsWith(fixed);
  const expression = madeOnce(() => compileStars(pattern));
  return (text) => text.startsWith(fixed) && expression().testExact(text);
}

function compileStars(pattern: string): RE2JS {
  const parts = pattern.replace(/(\/\*\*)+\//g, "/**/").split(/(\/\*\*\/|\*\*|\*)/);
  return compileRegularExpression(parts.map((part) => stars[part] ?? quotedExpression(part)).join(""), true);
}

/** The result of `make`, which is called when it is first needed. */
export function madeOnce<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const stars: Readonly<Record<string, string>> = { "/**/": "/(?:.*/)?", "**": ".*", "*": "[^/]*" };
