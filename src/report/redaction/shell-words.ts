// Splits shell code into simple commands and their words, as far as the search for secrets needs it. The code is hostile
// and may be no shell code at all: every text has an answer, in linear time.

/** A word of shell code. */
export interface ShellWord {
  /** Where the word stands in the code, with its quotes. */
  readonly start: number;
  readonly stop: number;
  /** The word without its quotes and backslashes. */
  readonly value: string;
}

/** A command with its arguments and what the shell connects it to. */
export interface SimpleCommand {
  /** The program and its arguments. An assignment before a program is a command of its own. */
  readonly words: readonly ShellWord[];
  /** What it reads from here documents and here strings. */
  readonly input: readonly ShellWord[];
  /** The files to which its output goes. */
  readonly outputFiles: readonly ShellWord[];
  /** The command that reads its output through a pipe. */
  readonly pipedTo: SimpleCommand | undefined;
}

interface CommandDraft extends SimpleCommand {
  words: ShellWord[];
  input: ShellWord[];
  outputFiles: ShellWord[];
  pipedTo: CommandDraft | undefined;
}

/** Words before a command that are no part of it (POSIX, Shell Command Language, 2.4 and 2.14). */
const keywords = new Set("if then else elif do while until time exec command builtin ! eval".split(" "));

/** The deepest nesting of command substitutions that is followed. Commands below it are still found. */
const DEEPEST = 32;

/** Splits the code into simple commands, in the order in which they begin. */
export function commandsIn(text: string): readonly SimpleCommand[] {
  const commands: CommandDraft[] = [];
  /** The commands that a parenthesis interrupts; undefined for a subshell, which interrupts none. */
  const interrupted: (CommandDraft | undefined)[] = [];
  let beforeBacktick: CommandDraft | undefined;
  let target: "input" | "outputFiles" | "delimiter" | undefined;
  let hereDocument: { readonly delimiter: string; readonly command: CommandDraft } | undefined;
  const begin = (): CommandDraft => {
    const command = { words: [], input: [], outputFiles: [], pipedTo: undefined };
    commands.push(command);
    return command;
  };
  let current = begin();
  for (let i = 0; i < text.length; ) {
    const character = text.charAt(i);
    const next = text.charAt(i + 1);
    if (character === "\n" && hereDocument !== undefined) {
      const { delimiter, command } = hereDocument;
      const stop = endOfHereDocument(text, i + 1, delimiter);
      const end = stop > i + 1 && text.charAt(stop - 1) === "\n" ? stop - 1 : stop;
      command.input.push({ start: i + 1, stop: end, value: text.slice(i + 1, end) });
      hereDocument = undefined;
      current = begin();
      i = stop;
    } else if (character === "\\" && next === "\n") {
      i += 2;
    } else if (character === ">" || (character === "&" && next === ">")) {
      target = "outputFiles";
      i += text.startsWith("&>>", i) ? 3 : /[>&|]/.test(next) ? 2 : 1;
    } else if (character === "<") {
      const count = text.startsWith("<<<", i) ? 3 : next === "<" ? 2 : 1;
      target = count === 3 ? "input" : count === 2 ? "delimiter" : undefined;
      i += count;
      if (target === "delimiter" && text.charAt(i) === "-") i += 1;
    } else if (character === "(") {
      const isSubstitution = i > 0 && /[$<>]/.test(text.charAt(i - 1));
      if (interrupted.length < DEEPEST) interrupted.push(isSubstitution ? current : undefined);
      current = begin();
      target = undefined;
      i += 1;
    } else if (character === ")") {
      current = interrupted.pop() ?? begin();
      i += 1;
    } else if (character === "`") {
      const outer = beforeBacktick;
      beforeBacktick = outer === undefined ? current : undefined;
      current = outer ?? begin();
      i += 1;
    } else if (character === "|" && next !== "|") {
      const reader = begin();
      current.pipedTo = reader;
      current = reader;
      i += next === "&" ? 2 : 1;
    } else if (/[;&|{}\n]/.test(character)) {
      current = begin();
      i += 1;
    } else if (/\s/.test(character)) {
      i += 1;
    } else {
      const word = wordAt(text, i);
      if (target === "delimiter") hereDocument = { delimiter: word.value, command: current };
      else if (target !== undefined) current[target].push(word);
      else if (current.words.length > 0) current.words.push(word);
      else if (/^\w+=/.test(word.value)) begin().words.push(word);
      else if (!keywords.has(word.value)) current.words.push(word);
      target = undefined;
      // A word has at least one character, but a lone quote or backslash at the end has no value.
      i = Math.max(word.stop, i + 1);
    }
  }
  return commands.filter(({ words, input }) => words.length > 0 || input.length > 0);
}

/** Where the line with the delimiter begins; the end of the text if there is none. */
function endOfHereDocument(text: string, start: number, delimiter: string): number {
  for (let line = start; line < text.length; ) {
    const newline = text.indexOf("\n", line);
    const end = newline < 0 ? text.length : newline;
    // `<<-` allows tabs before the delimiter.
    if (text.slice(line, end).trim() === delimiter) return line;
    line = end + 1;
  }
  return text.length;
}

/**
 * The indices in `text` of each unit of the word's value, and at the end the index behind the last one. Quotes that
 * surround the last unit are behind it.
 */
export function positionsOf(text: string, { start, stop, value }: ShellWord): readonly number[] {
  const positions: number[] = [];
  // The lines of a here document have no quotes.
  if (value.length === stop - start) for (let i = start; i < stop; i += 1) positions.push(i);
  else readWord(text, start, (index) => positions.push(index));
  positions.push((positions.at(-1) ?? start) + 1);
  return positions;
}

/** What belongs to a word without quotes, as most words are. */
const plain = /[^\s;&|()`<>"'\\]*/y;

function wordAt(text: string, start: number): ShellWord {
  plain.lastIndex = start;
  plain.test(text);
  const stop = plain.lastIndex;
  if (!/["'\\]/.test(text.charAt(stop))) return { start, stop, value: text.slice(start, stop) };
  let value = "";
  const end = readWord(text, start, (index) => {
    value += text.charAt(index);
  });
  return { start, stop: Math.min(end, text.length), value };
}

/** Calls `onUnit` with the index of each unit of the value, and returns where the word ends. */
function readWord(text: string, start: number, onUnit: (index: number) => void): number {
  let quote = "";
  let i = start;
  for (; i < text.length; i += 1) {
    const character = text.charAt(i);
    if (character === "\\" && quote !== "'") {
      i += 1;
      if (i < text.length) onUnit(i);
    } else if (quote !== "") {
      if (character === quote.slice(-1)) quote = "";
      else onUnit(i);
    } else if (character === "$" && text.charAt(i + 1) === "'") {
      // bash's $'...', in which a backslash escapes.
      quote = "$'";
      i += 1;
    } else if (character === '"' || character === "'") quote = character;
    else if (/[\s;&|()`<>]/.test(character)) break;
    else onUnit(i);
  }
  return i;
}
