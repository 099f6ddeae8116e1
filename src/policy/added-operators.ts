// The operators that treewarden adds to JSONLogic's, as far as they are about text: compiled once, linear when asked.
import { RE2JS } from "re2js";
import { messageOf } from "../vocabulary/errors.ts";
import { hasAddressIn, parseNetwork } from "./cidr.ts";
import { compileGlob, compileTreeGlob, GlobError, type TextTest } from "./glob.ts";

type Compile = (texts: readonly string[]) => TextTest;

/** Thrown for a text that its operator cannot use. */
class TextError extends Error {
  override readonly name = "TextError";
}

/** Longest regular expression in characters, and what its repetitions may multiply to is RE2's own bound (1000). */
const EXPRESSION_LIMIT = 2_000;

function compileExpression(text: string): TextTest {
  if (text.length > EXPRESSION_LIMIT)
    throw new TextError(`a regular expression of more than ${EXPRESSION_LIMIT} characters`);
  let expression: RE2JS;
  try {
    expression = RE2JS.compile(text);
  } catch (error) {
    throw new TextError(`not a regular expression of RE2: ${messageOf(error)}`);
  }
  return (value) => expression.test(value);
}

function anyOf(tests: readonly TextTest[]): TextTest {
  const [only] = tests;
  if (only !== undefined && tests.length === 1) return only;
  return (value) => {
    for (const test of tests) if (test(value)) return true;
    return false;
  };
}

const textOperators: Readonly<Record<string, Compile>> = {
  glob: (texts) => anyOf(texts.map(compileGlob)),
  contains: (texts) => (value) => {
    for (const text of texts) if (value.includes(text)) return true;
    return false;
  },
  matches: (texts) => anyOf(texts.map(compileExpression)),
  starts_with: (texts) => (value) => {
    for (const text of texts) if (value.startsWith(text)) return true;
    return false;
  },
  ends_with: (texts) => (value) => {
    for (const text of texts) if (value.endsWith(text)) return true;
    return false;
  },
  cidr: (texts) => {
    const networks = texts.map((text) => {
      const network = parseNetwork(text);
      if (network === undefined)
        throw new TextError(`"${text}" is not a network: write it as 10.0.0.0/8 or fd00::/8`);
      return network;
    });
    return (value) => hasAddressIn(value, networks);
  },
};

export const addedOperators: readonly string[] = ["tree", "under", ...Object.keys(textOperators)];

export function isTextOperator(name: string): boolean {
  return Object.hasOwn(textOperators, name);
}

/** The test of a text operator; undefined after `fail` was told why there is none. */
export function compileTexts(
  operator: string,
  texts: readonly string[],
  fail: (message: string) => void,
): TextTest | undefined {
  return guarded(() => textOperators[operator]?.(texts), fail);
}

/** The tests of `tree`; undefined after `fail` was told why there are none. */
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
