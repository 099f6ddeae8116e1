// Finds the secrets in shell code: those of each of its commands, as if they were the arguments of a program.
import { secretsInCommand } from "./command-secrets.ts";
import { isReference, isSecretName } from "./secret-names.ts";
import { commandsIn, positionsOf, type ShellWord, type SimpleCommand } from "./shell-words.ts";
import type { Span } from "./spans.ts";
import { decodedBase64, secretsInText } from "./text-secrets.ts";

/** The deepest nesting of shell code: \`ssh host "sh -c 'mysql -p...'"\` has three levels. */
const DEEPEST = 4;

/** The secrets in a text that may be shell code, and in the quoted texts in it. */
export function secretsInScript(text: string, depth: number = DEEPEST): readonly Span[] {
  const spans = [...secretsInText(text)];
  if (depth === 0 || !/\s/.test(text)) return spans;
  for (const command of commandsIn(text)) {
    const found = secretsInCommand(command.words.map(({ value }) => value));
    for (const [i, word] of command.words.entries()) {
      const span = found.get(i);
      if (span !== undefined) spans.push(...spansInText(text, word, [span]));
      else if (isQuoted(word)) spans.push(...spansOfQuoted(text, word, depth));
    }
    for (const word of command.input) spans.push(...spansOfQuoted(text, word, depth));
    for (const word of secretInput(command)) spans.push({ start: word.start, end: word.stop });
  }
  return spans;
}

/** Whether the word has quotes or backslashes, so that its value is a text of its own. */
function isQuoted({ start, stop, value }: ShellWord): boolean {
  return value.length !== stop - start;
}

/** The secrets in a quoted word or a here document, which may be shell code again. */
function spansOfQuoted(text: string, word: ShellWord, depth: number): readonly Span[] {
  return spansInText(text, word, secretsInScript(word.value, depth - 1));
}

/** The parts of the text that stand for these parts of the word's value. */
function spansInText(text: string, word: ShellWord, spans: readonly Span[]): readonly Span[] {
  if (spans.length === 0) return [];
  const positions = positionsOf(text, word);
  return spans.map(({ start, end }) => ({
    start: positions[start] ?? word.start,
    end: (positions[end - 1] ?? word.start) + 1,
  }));
}

/** Commands that read a secret from standard input, each with its name and what its arguments must have. */
const readers: readonly (readonly [RegExp, RegExp])[] = [
  [/^(?:sudo|doas)$/, /(?:^|\s)-[A-Za-z]*S|--stdin/],
  [/^(?:passwd|chpasswd|smbpasswd|su|vncpasswd|kinit|chage)$/, /^/],
  [
    /^(?:docker|podman|nerdctl|buildah|skopeo|helm|oras|crane|az|argocd|gh|glab|htpasswd|cryptsetup|gpg|gpg2|openssl|npm|pass|vault|wrangler|fly|kubeseal)$/,
    /stdin|--with-token|--passphrase-fd|--key-file|(?:^|\s)-[A-Za-z]*i\s|luks|secret|pass insert/,
  ],
];

/** The words that a command receives as a secret, or writes to the file of one. */
function* secretInput(command: SimpleCommand): Generator<ShellWord> {
  if (readsSecret(command)) yield* command.input;
  const [program, ...operands] = command.words;
  if (program === undefined || !/^(?:\/usr)?(?:\/bin\/)?(?:echo|printf)$/.test(program.value)) return;
  const { pipedTo, outputFiles } = command;
  const isSecret =
    (pipedTo !== undefined && readsSecret(pipedTo)) ||
    outputFiles.some(({ value }) => isSecretName(value.slice(value.lastIndexOf("/") + 1)));
  const isDecoded = pipedTo !== undefined && decodesBase64(pipedTo);
  for (const word of operands) {
    if (isReference(word.value) || /^-[A-Za-z]+$/.test(word.value)) continue;
    if (isSecret || (isDecoded && decodedBase64(word.value) !== "")) yield word;
  }
}

function readsSecret({ words }: SimpleCommand): boolean {
  const [program, ...rest] = words.map(({ value }) => value);
  if (program === undefined) return false;
  const name = program.slice(program.lastIndexOf("/") + 1);
  const args = rest.join(" ");
  // `echo SECRET | sudo tee FILE` gives sudo nothing, and `| sudo passwd --stdin` gives it to passwd.
  if (/^(?:sudo|doas)$/.test(name) && /^(?:passwd|chpasswd|smbpasswd)\b/.test(args)) return true;
  return readers.some(([names, needed]) => names.test(name) && needed.test(args));
}

/** The text is a payload if it is long or has white space; a short word is more likely a secret. */
function decodesBase64({ words }: SimpleCommand): boolean {
  const [program, ...rest] = words.map(({ value }) => value);
  return (
    (program === "base64" && rest.some((word) => /^(?:-[A-Za-z]*[dD]|--decode)$/.test(word))) ||
    (program === "openssl" && rest.includes("-d"))
  );
}
