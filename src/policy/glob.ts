// Globs over paths and over the labels of a tree. Matching takes linear time, because the text may be hostile.

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

function anyOf(tests: readonly TextTest[]): TextTest {
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

/** Compiles a pattern without braces. Common forms need no automaton. */
function compileOne(pattern: string): TextTest {
  if (!pattern.includes("*")) return (text) => text === pattern;
  if (!pattern.includes("/**/")) {
    const inner = pattern.replace(/^\*\*|\*\*$/g, "");
    if (!inner.includes("*")) {
      const open = pattern.startsWith("**");
      const ends = pattern.length > 2 && pattern.endsWith("**");
      if (open && ends) return (text) => text.includes(inner);
      if (open) return (text) => text.endsWith(inner);
      if (ends) return (text) => text.startsWith(inner);
    }
  }
  const { test } = new Automaton(pattern);
  const fixed = pattern.slice(0, pattern.indexOf("*"));
  // Most texts already differ before the first star, so comparing that prefix saves the automaton.
  return fixed === "" ? test : (text) => text.startsWith(fixed) && test(text);
}

const SLASH = 47;

/**
 * A Shift-And automaton. State n means that the first n ordinary characters of the pattern are matched. Stars are loops
 * on a state, so every step is a shift and three masks over the set of states, for any text.
 */
class Automaton {
  readonly test: TextTest;
  private readonly words: number;
  private readonly accept: number;
  /** For each character of the pattern, the states that it leads out of. */
  private readonly steps = new Map<number, Uint32Array>();
  private readonly none: Uint32Array;
  /** The states with `*`, those with `**`, and those after a slash that is followed by `**` and a slash. */
  private readonly star: Uint32Array;
  private readonly globstar: Uint32Array;
  private readonly gap: Uint32Array;
  /** The current states, and the states of `gap` ever reached, which any later slash reaches again. */
  private readonly now: Uint32Array;
  private readonly reached: Uint32Array;

  constructor(pattern: string) {
    const { characters, star, globstar, gap } = parse(pattern.replace(/(\/\*\*)+\//g, "/**/"));
    this.accept = characters.length;
    this.words = (characters.length >> 5) + 1;
    this.none = new Uint32Array(this.words);
    this.now = new Uint32Array(this.words);
    this.reached = new Uint32Array(this.words);
    characters.forEach((code, state) => {
      const mask = this.steps.get(code) ?? new Uint32Array(this.words);
      setBit(mask, state);
      this.steps.set(code, mask);
    });
    this.star = this.mask(star);
    this.globstar = this.mask(globstar);
    this.gap = this.mask(gap);
    this.test = (text) => this.run(text);
  }

  private mask(states: readonly number[]): Uint32Array {
    const mask = new Uint32Array(this.words);
    for (const state of states) setBit(mask, state);
    return mask;
  }

  private run(text: string): boolean {
    const { now, reached } = this;
    now.fill(0);
    reached.fill(0);
    now[0] = 1;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      const step = this.steps.get(code) ?? this.none;
      let carry = 0;
      let alive = 0;
      for (let w = 0; w < this.words; w++) {
        const states = now[w] ?? 0;
        const past = (reached[w] ?? 0) | (states & (this.gap[w] ?? 0));
        reached[w] = past;
        const moved = states & (step[w] ?? 0);
        let next = (moved << 1) | carry;
        carry = moved >>> 31;
        next |= states & (this.globstar[w] ?? 0);
        if (code === SLASH) next |= past;
        else next |= states & (this.star[w] ?? 0);
        now[w] = next;
        alive |= next | past;
      }
      if (alive === 0) return false;
    }
    return (((now[this.accept >> 5] ?? 0) >>> (this.accept & 31)) & 1) === 1;
  }
}

function setBit(mask: Uint32Array, bit: number): void {
  mask[bit >> 5] = (mask[bit >> 5] ?? 0) | (1 << (bit & 31));
}

interface Parsed {
  readonly characters: number[];
  readonly star: number[];
  readonly globstar: number[];
  readonly gap: number[];
}

function parse(pattern: string): Parsed {
  const parsed: Parsed = { characters: [], star: [], globstar: [], gap: [] };
  let i = 0;
  while (i < pattern.length) {
    const state = parsed.characters.length;
    if (pattern.startsWith("/**/", i)) {
      parsed.characters.push(SLASH);
      parsed.gap.push(state + 1);
      i += 4;
    } else if (pattern.startsWith("**", i)) {
      parsed.globstar.push(state);
      i += 2;
    } else if (pattern[i] === "*") {
      parsed.star.push(state);
      i += 1;
    } else {
      parsed.characters.push(pattern.charCodeAt(i));
      i += 1;
    }
  }
  return parsed;
}
