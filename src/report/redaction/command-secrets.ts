// Finds the secrets in the arguments of one program: by the names of its options, and by what is known of the program.
import {
  type ClientOptions,
  clientOptions,
  hasSubcommands,
  interpreters,
  isClient,
  isHarmless,
  launchers,
  takesPairsOfNames,
} from "./client-options.ts";
import { looksLikePassword, passwordOfUser, slashedPassword } from "./login-words.ts";
import { isHarmlessValue, isReference, isSecretName, secretNameHint } from "./secret-names.ts";
import type { Span } from "./spans.ts";

/** The meaning of an option's value. */
type ValueKind = "secret" | "guess" | "user" | "assigned" | "source";

/** Options with a user and a secret, for any program that does not use them otherwise. */
const userOptions = new Set([
  "--user",
  "--proxy-user",
  "--cert",
  "--proxy-cert",
  "--creds",
  "--src-creds",
  "--dest-creds",
]);

/**
 * The secret of each word of a command, by its index. The program is the first word, or a later word that is the name of
 * a known program: `sudo mysql`, `docker exec db redis-cli`.
 */
export function secretsInCommand(words: readonly string[]): ReadonlyMap<number, Span> {
  const reader = new CommandReader(words);
  for (let i = 0; i < words.length; i += 1) reader.read(i);
  reader.readOperands();
  return reader.found;
}

class CommandReader {
  readonly found: Map<number, Span> = new Map();
  private readonly words: readonly string[];
  private program = "";
  private options: ClientOptions = {};
  private wrapped = false;
  /** Whether operands may be pairs of names, by any of the programs so far. */
  private hasPairsOfNames = false;
  /** What the next word is. */
  private next: ValueKind | undefined;
  /** The indices of the words behind the program that are no options and no values of known options. */
  private operands: number[] = [];
  private hasLastOperandFlag = false;
  private hasSet = false;

  constructor(words: readonly string[]) {
    this.words = words;
  }

  read(index: number): void {
    const word = this.words[index] ?? "";
    const kind = this.next;
    this.next = undefined;
    let span: Span | undefined;
    if (kind !== undefined) span = this.value(kind, word, 0);
    else if (word.startsWith("-") && word.length > 1) span = this.option(word);
    else span = this.operand(word, index);
    if (span !== undefined) this.found.set(index, span);
  }

  private operand(word: string, index: number): Span | undefined {
    if (!this.isProgram(nameOf(word))) this.operands.push(index);
    if (word === "set") this.hasSet = true;
    if (this.options.secretWords?.includes(word)) this.next = "secret";
    const hasColon = word.includes(":");
    if (!hasColon && !word.includes("=") && this.options.slash !== true) return undefined;
    // The code for a shell may begin with an assignment and go on with commands.
    if (/\s/.test(word) && /^-[A-Za-z]*c$/.test(this.words[index - 1] ?? "")) return undefined;
    const assigned = this.assignment(word);
    if (assigned !== undefined) return assigned;
    if (this.options.slash === true) return slashedPassword(word);
    return hasColon && !this.hasPairsOfNames ? passwordOfUser(word) : undefined;
  }

  /** Whether a word that is no option names the program, or a subcommand, to which further options belong. */
  private isProgram(name: string): boolean {
    const { program } = this;
    if (program === "") {
      this.wrapped = launchers.has(name);
      return this.use(name);
    }
    const main = mainProgram(program);
    if (hasSubcommands(main) && isClient(`${main} ${name}`)) return this.use(`${main} ${name}`);
    if (isClient(name)) return this.use(name);
    if (this.wrapped && (launchers.has(program) || isHarmless(name))) return this.use(name);
    return interpreters.has(program) && this.use(name);
  }

  private use(program: string): true {
    this.program = program;
    this.options = clientOptions(program);
    this.operands = [];
    this.hasPairsOfNames ||= takesPairsOfNames.has(program);
    return true;
  }

  private option(word: string): Span | undefined {
    const isLong = word.startsWith("--");
    const sign = word.search(/[=:]/);
    const name = sign < 0 ? word : word.slice(0, sign);
    const listed = this.listedKind(name);
    if (listed === "none") return undefined;
    // A letter of a known program comes first: its value may look like a name, as in `mysql -pPassword`.
    if (
      !isLong &&
      listed === undefined &&
      isClient(this.program) &&
      this.letterKind(word.charAt(1)) !== undefined
    )
      return this.letters(word);
    const kind = listed ?? this.namedKind(name);
    if (kind === undefined) return this.assignment(word) ?? (isLong ? undefined : this.letters(word));
    if (sign >= 0) return this.value(kind, word, sign + 1);
    this.next = kind;
    return undefined;
  }

  /** The meaning of the option's value by the table of programs. */
  private listedKind(name: string): ValueKind | "none" | undefined {
    const { options } = this;
    if (options.harmlessWords?.includes(name)) return "none";
    if (options.sourceWords?.includes(name)) return "source";
    if (options.secretWords?.includes(name)) return "secret";
    return options.assignedWords?.includes(name) ? "assigned" : undefined;
  }

  /** The meaning of the option's value by the name of the option, for any program. */
  private namedKind(name: string): ValueKind | undefined {
    if (userOptions.has(name)) return takesPairsOfNames.has(mainProgram(this.program)) ? undefined : "user";
    if (name.length <= 2 || !secretNameHint.test(name)) return undefined;
    if (isSecretName(name)) return "secret";
    return /^--?(?:[a-z-]+-)?auth(?:orization)?$/i.test(name) ? "guess" : undefined;
  }

  private letterKind(letter: string): ValueKind | undefined {
    const { secret, user, assigned } = this.options;
    if (secret?.includes(letter) === true) return isClient(this.program) ? "secret" : "guess";
    if (user?.includes(letter) === true) return "user";
    return assigned?.includes(letter) === true ? "assigned" : undefined;
  }

  private letters(word: string): Span | undefined {
    const { flags = "", lastOperandWith = "" } = this.options;
    for (let i = 1; i < word.length; i += 1) {
      const letter = word.charAt(i);
      if (letter === lastOperandWith) this.hasLastOperandFlag = true;
      const kind = this.letterKind(letter);
      if (kind !== undefined) {
        // Programs that are not known take the value of `-p` in the next word; `-pthread` is another option.
        if (kind === "guess" && word.length > 2) return undefined;
        if (i < word.length - 1) return this.value(kind, word, i + 1);
        this.next = kind;
        return undefined;
      }
      if (!flags.includes(letter) && lastOperandWith === "") return undefined;
    }
    return undefined;
  }

  /** The secret in the value that begins at `start` of a word. */
  private value(kind: ValueKind, word: string, start: number): Span | undefined {
    const value = word.slice(start);
    const whole = { start, end: word.length };
    if (isReference(value)) return undefined;
    switch (kind) {
      case "secret":
        return whole;
      case "guess":
        return isPlainValue(value) ? undefined : whole;
      case "user":
        return this.afterSeparator(word, start);
      case "assigned": {
        const sign = word.indexOf("=", start);
        return sign < 0 ? undefined : { start: sign + 1, end: word.length };
      }
      case "source":
        if (/^(?:file|env|fd):|^stdin$/.test(value)) return undefined;
        return value.startsWith("pass:") ? { start: start + "pass:".length, end: word.length } : whole;
    }
  }

  /** The secret in `user:secret`, which begins at `start`. */
  private afterSeparator(word: string, start: number): Span | undefined {
    const { separators = ":" } = this.options;
    for (let i = start; i < word.length; i += 1) {
      if (!separators.includes(word.charAt(i))) continue;
      const user = word.slice(start, i);
      const secret = word.slice(i + 1);
      // A user and a group, as in `-u 1000:1000` and `-u www-data:www-data`.
      const isGroup =
        secret === user ||
        (/^\d*$/.test(secret) && /^\d+$/.test(user)) ||
        (this.hasPairsOfNames && !isClient(this.program) && !looksLikePassword(secret, true));
      return isGroup ? undefined : { start: i + 1, end: word.length };
    }
    return undefined;
  }

  /** The secret of a word that assigns a value to its name: `--password=...`, `TOKEN=...`, `/password:...`. */
  private assignment(word: string): Span | undefined {
    const { assignments, secretWords } = this.options;
    if (assignments !== true && secretWords === undefined && !secretNameHint.test(word)) return undefined;
    const [, dash = "", name = "", sign = ""] =
      /^(--?|\/|@)?([A-Za-z_][\w.-]{0,127})(\[?\w{0,64}\]?:?=|:)/.exec(word) ?? [];
    if (name === "" || (sign === ":" && dash === "")) return undefined;
    const start = dash.length + name.length + sign.length;
    if (isHarmlessValue(name, word.slice(start))) return undefined;
    const isSecret =
      isSecretName(name) ||
      (assignments === true && sign === "=") ||
      secretWords?.includes(dash + name) === true;
    return isSecret ? { start, end: word.length } : undefined;
  }

  /** Adds the secrets that are known by their place among the operands. */
  readOperands(): void {
    const { operands: places, pairs } = this.options;
    if (places !== undefined) this.markPlaces(places);
    if (this.hasLastOperandFlag) this.mark(this.operands.at(-1));
    if (this.hasSet || pairs === true) this.markPairs();
  }

  private markPlaces(table: Readonly<Record<string, readonly number[]>>): void {
    const own = this.operands;
    for (const place of table[""] ?? []) this.mark(place < 0 ? own.at(place) : own[place - 1]);
    for (const [position, index] of own.entries()) {
      const word = this.words[index] ?? "";
      const group = word.slice(0, word.indexOf(".") + 1);
      const key = Object.hasOwn(table, word) ? word : group;
      if (key === "" || !Object.hasOwn(table, key)) continue;
      for (const place of table[key] ?? []) {
        // Not a slice of what is behind: a command may consist of thousands of such operands.
        const marked = place < 0 ? own.length + place : position + place;
        if (marked > position) this.mark(own[marked]);
      }
    }
  }

  /** Marks the values behind operands that are names of secrets: `aws configure set aws_secret_access_key SECRET`. */
  private markPairs(): void {
    const own = this.operands;
    let isSetting = this.options.pairs === true;
    for (const [position, index] of own.entries()) {
      const word = this.words[index] ?? "";
      if (isSetting && /^[\w.:/@-]+$/.test(word) && isSecretName(word)) this.mark(own[position + 1]);
      isSetting ||= word === "set";
    }
  }

  private mark(index: number | undefined): void {
    const word = this.words[index ?? -1];
    if (index === undefined || word === undefined || this.found.has(index) || isReference(word)) return;
    this.found.set(index, { start: 0, end: word.length });
  }
}

function nameOf(word: string): string {
  return word.slice(word.lastIndexOf("/") + 1);
}

/** The program of `docker login`. */
function mainProgram(program: string): string {
  const space = program.indexOf(" ");
  return space < 0 ? program : program.slice(0, space);
}

/** Whether the value of an option that only might take a secret is none: a number, a port, a path, an option or very short. */
function isPlainValue(value: string): boolean {
  return /^\w{1,3}$|^(?:[\d.]+:)?\d{1,7}(?:[-:,.]\d{1,7})*(?:\/\w+)?$|^(?:\.{0,2}|~)\/|^-[A-Za-z]$|^--[a-z-]+$|^(?:basic|digest|ntlm|none|token|md5|trust|peer|bearer|oauth2?|ldap|kerberos|password)$/i.test(
    value,
  );
}
