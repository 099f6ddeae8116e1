// The text operators that treewarden adds to JSONLogic. They are compiled once and run in linear time.
import { messageOf } from "../vocabulary/errors.ts";
import { parseNetwork } from "../vocabulary/ip-network.ts";
import { compileRegularExpression } from "../vocabulary/regular-expression.ts";
import { hasAddressIn, networksOf } from "./cidr.ts";
import { anyOf, compileGlob, compileTreeGlob, GlobError, madeOnce, type TextTest } from "./glob.ts";
import { necessaryTexts } from "./necessary-text.ts";

/** `isChecked`: the texts are known to be valid. */
type Compile = (texts: readonly string[], isChecked: boolean) => TextTest;

/** Thrown for a text that its operator cannot use. */
class TextError extends Error {
  override readonly name = "TextError";
}

/** Longest regular expression in characters. RE2 itself bounds the product of nested repetitions (1000). */
const EXPRESSION_LIMIT = 2_000;

/**
 * Compiling takes the memory of megabytes of code, and 10 kB and some 400 us for each expression. Most are never asked
 * for, because the other conditions of their rules are false, so that each is compiled when a text needs it.
 */
function compileExpression(text: string, isChecked: boolean): TextTest {
  if (text.length > EXPRESSION_LIMIT)
    throw new TextError(`a regular expression of more than ${EXPRESSION_LIMIT} characters`);
  if (!isChecked) checkExpression(text);
  const expression = madeOnce(() => compileRegularExpression(text));
  const necessary = necessaryTexts(text);
  if (necessary === undefined) return (value) => expression().test(value);
  const hasOne = anyOf(necessary.map((one) => (value) => value.includes(one)));
  return (value) => hasOne(value) && expression().test(value);
}

function checkExpression(text: string): void {
  try {
    compileRegularExpression(text);
  } catch (error) {
    throw new TextError(`not a regular expression of RE2: ${messageOf(error)}`);
  }
}

const textOperators: Readonly<Record<string, Compile>> = {
  glob: (texts) => anyOf(texts.map(compileGlob)),
  contains: (texts) => anyOf(texts.map((text) => (value) => value.includes(text))),
  matches: (texts, isChecked) => anyOf(texts.map((text) => compileExpression(text, isChecked))),
  starts_with: startsWithAny,
  ends_with: (texts) => anyOf(texts.map((text) => (value) => value.endsWith(text))),
  cidr: (texts) => {
    const networks = networksOf(
      texts.map((text) => {
        const network = parseNetwork(text);
        if (network === undefined)
          throw new TextError(`"${text}" is not a network: write it as 10.0.0.0/8 or fd00::/8`);
        return network;
      }),
    );
    return (value) => hasAddressIn(value, networks);
  },
};

/** One function for all of them, because rules name up to twenty; the last character distinguishes most texts. */
function startsWithAny(texts: readonly string[]): TextTest {
  const beginnings = texts.map((text) => ({
    text,
    last: text.length - 1,
    code: text.charCodeAt(text.length - 1),
  }));
  const shortest = Math.min(...texts.map(({ length }) => length));
  return (value) => {
    // Most arguments are shorter, and looking behind the end of a text takes many times as long as within it.
    if (value.length < shortest) return false;
    for (const { text, last, code } of beginnings)
      if (value.length > last && value.charCodeAt(last) === code && value.startsWith(text)) return true;
    return false;
  };
}

export const addedOperators: readonly string[] = ["tree", "under", ...Object.keys(textOperators)];

export function isTextOperator(name: string): boolean {
  return Object.hasOwn(textOperators, name);
}

/**
 * Compiles a text operator. If a text is not valid, calls `fail` with the reason and returns undefined. `isChecked`: the
 * texts are known to be valid.
 */
export function compileTexts(
  operator: string,
  texts: readonly string[],
  fail: (message: string) => void,
  isChecked = false,
): TextTest | undefined {
  return guarded(() => textOperators[operator]?.(texts, isChecked), fail);
}

/** Compiles the patterns of `tree`. If one is not valid, calls `fail` with the reason and returns undefined. */
export function compileTrees(
  patterns: readonly string[],
  fail: (message: string) => void,
): ((labels: readonly string[]) => boolean)[] | undefined {
  return guarded(() => patterns.map(compileTreeGlob), fail);
}

function guarded<T>(make: () => T, fail: (message: string) => void): T | undefined {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof GlobError || error instanceof TextError)) throw error;
    fail(error.message);
    return undefined;
  }
}
