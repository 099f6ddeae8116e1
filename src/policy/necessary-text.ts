// A text that every match of a regular expression contains. Looking for it takes some 20 ns; the expression takes 500 and
// more, and is only compiled once a text has it.

/** Shorter ones are in most texts. */
const SHORTEST = 3;
/** Characters that stand for themselves, also after a backslash if they are not a letter or a digit. */
const plain = /[A-Za-z0-9_ /=:;,@%&<>"'`~#!-]/;
const punctuation = /[^A-Za-z0-9]/;
/** Quantifiers, after which the character before may be missing. */
const optional = new Set(["*", "?", "{"]);

/**
 * The longest plain text in the outermost sequence of `expression`, of RE2's syntax; undefined if there is none of at
 * least 3 characters. What this function does not understand ends a text, or leaves none.
 */
export function necessaryText(expression: string): string | undefined {
  const body = expression.startsWith("(?s)") ? expression.slice(4) : expression;
  // Other flags may change what a character stands for, \Q begins a quotation, \C and \p are longer than one character.
  if (body.includes("(?") || /\\[^bBdDsSwWtn.[\](){}*+?^$|\\/-]/.test(body)) return undefined;
  let longest = "";
  let text = "";
  const end = (): void => {
    if (text.length > longest.length) longest = text;
    text = "";
  };
  for (let i = 0; i < body.length; i++) {
    const character = body[i] ?? "";
    const escaped = character === "\\" ? (body[i + 1] ?? "") : undefined;
    const literal = escaped === undefined ? character : escaped;
    const isLiteral = escaped === undefined ? plain.test(character) : punctuation.test(escaped);
    if (character === "|") return undefined;
    if (escaped !== undefined) i += 1;
    if (isLiteral && literal !== "") {
      if (optional.has(body[i + 1] ?? "")) end();
      else text += literal;
      continue;
    }
    end();
    if (character === "(" || character === "[") i = closing(body, i);
    if (character === "{") i = body.indexOf("}", i);
    if (i < 0 || i >= body.length) return undefined;
  }
  end();
  return longest.length < SHORTEST ? undefined : longest;
}

/** Where the group or class that begins at `start` ends; behind the expression if it does not. */
function closing(body: string, start: number): number {
  let depth = 0;
  for (let i = start; i < body.length; i++) {
    const character = body[i];
    if (character === "\\") i += 1;
    else if (character === "[") {
      // A bracket that comes first within a class stands for itself.
      const first = body[i + 1] === "^" ? i + 2 : i + 1;
      const end = endOfClass(body, body[first] === "]" ? first + 1 : first);
      if (depth === 0) return end;
      i = end;
    } else if (character === "(") depth += 1;
    else if (character === ")") {
      depth -= 1;
      if (depth === 0) return i;
    }
  }
  return body.length;
}

function endOfClass(body: string, start: number): number {
  for (let i = start; i < body.length; i++) {
    if (body[i] === "\\") i += 1;
    else if (body[i] === "[" && body[i + 1] === ":") {
      const end = body.indexOf(":]", i + 2);
      if (end < 0) return body.length;
      i = end + 1;
    } else if (body[i] === "]") return i;
  }
  return body.length;
}
