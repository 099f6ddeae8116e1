// Texts of which every match of a regular expression contains one. Looking for one takes some 20 ns; the expression takes
// 500 and more, and is only compiled once a text has one of them.

/** More alternatives than this take longer to look for than the expression. */
const MOST_TEXTS = 16;
/** Characters that stand for themselves, also after a backslash if they are not a letter or a digit. */
const plain = /[A-Za-z0-9_ /=:;,@%&<>"'`~#!-]/;
const punctuation = /[^A-Za-z0-9]/;
const repetition = /\{\d+(,\d*)?\}/y;
/** Quantifiers, after which what stands before may be missing. */
const optional = new Set(["*", "?", "{"]);

/** `end`: the position behind what was read. `texts` is undefined if a match may have none. */
interface Part {
  readonly texts: readonly string[] | undefined;
  readonly end: number;
}

/**
 * Texts of which each match of `expression`, of RE2's syntax, contains at least one: the plain text of the outermost
 * sequence, or those of the alternatives in a group, whichever has the longest shortest one. undefined if there are none,
 * or if the expression has what this function does not understand.
 */
export function necessaryTexts(expression: string): readonly string[] | undefined {
  const body = expression.startsWith("(?s)") ? expression.slice(4) : expression;
  // Other flags may change what a character stands for, \Q begins a quotation, \C and \p are longer than one character.
  if (body.includes("(?") || /\\[^bBdDsSwWtn.[\](){}*+?^$|\\/-]/.test(body)) return undefined;
  const { texts, end } = readAlternatives(body, 0);
  return end === body.length ? texts : undefined;
}

/** Up to the parenthesis that ends the group, or to the end of the expression. */
function readAlternatives(body: string, start: number): Part {
  let end = start - 1;
  let texts: readonly string[] | undefined = [];
  do {
    const branch = readSequence(body, end + 1);
    texts = texts === undefined || branch.texts === undefined ? undefined : [...texts, ...branch.texts];
    end = branch.end;
  } while (body[end] === "|");
  return { texts: texts !== undefined && texts.length <= MOST_TEXTS ? texts : undefined, end };
}

/** Up to the next alternative or the end of the group. `end` is NaN if it has what this function does not understand. */
function readSequence(body: string, start: number): Part {
  let best: readonly string[] | undefined;
  let text = "";
  const offer = (texts: readonly string[] | undefined): void => {
    if (texts !== undefined && shortest(texts) > shortest(best ?? [""])) best = texts;
  };
  const endText = (): void => {
    offer([text]);
    text = "";
  };
  let i = start;
  while (i < body.length && body[i] !== "|" && body[i] !== ")") {
    const character = body[i] ?? "";
    const escaped = character === "\\" ? (body[i + 1] ?? "") : undefined;
    const isLiteral = escaped === undefined ? plain.test(character) : punctuation.test(escaped);
    i += escaped === undefined ? 1 : 2;
    if (isLiteral) {
      if (optional.has(body[i] ?? "")) endText();
      else text += escaped ?? character;
      continue;
    }
    endText();
    if (character === "[") i = endOfClass(body, i) + 1;
    if (character === "(") {
      const group = readAlternatives(body, i);
      i = group.end + 1;
      if (!optional.has(body[i] ?? "")) offer(group.texts);
    }
    if (character === "{") {
      repetition.lastIndex = i - 1;
      // A brace that begins no repetition stands for itself, and so may what follows it.
      i = repetition.test(body) ? repetition.lastIndex : Number.NaN;
    }
  }
  endText();
  return { texts: best, end: i };
}

function shortest(texts: readonly string[]): number {
  return Math.min(...texts.map((text) => text.length));
}

/** The position of the bracket that ends the class whose first character is at `start`. */
function endOfClass(body: string, start: number): number {
  const first = body[start] === "^" ? start + 1 : start;
  // A bracket that comes first within a class stands for itself.
  for (let i = body[first] === "]" ? first + 1 : first; i < body.length; i++) {
    if (body[i] === "\\") i += 1;
    else if (body[i] === "[" && body[i + 1] === ":") {
      const end = body.indexOf(":]", i + 2);
      if (end < 0) return body.length;
      i = end + 1;
    } else if (body[i] === "]") return i;
  }
  return body.length;
}
