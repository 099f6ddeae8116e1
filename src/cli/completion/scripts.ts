// Completion scripts for bash, zsh and fish. Each follows the words that stand on the line to the command that they name,
// and offers its subcommands, options or values.
import { shellWord } from "../shell-word.ts";
import type { CompletedCommand, CompletedOption, CompletedValue } from "./command-table.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** The script of a shell for these commands. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell](commands);
}

function bashScript(commands: readonly CompletedCommand[]): string {
  return `# Completion of treewarden in bash: source this file, or put it into /usr/share/bash-completion/completions/treewarden.
_treewarden() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} place='' words='' i
  local -a paths=()
  # bash takes the = of --option=value as a word.
  [[ $current == = ]] && current=''
  [[ $previous == = ]] && previous=\${COMP_WORDS[COMP_CWORD-2]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$place \${COMP_WORDS[i]}" in
      ${placePattern(commands)}) place="$place \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$place $previous" in
${valueCases(commands, bashValue)}    *)
      case "$place" in
${commands.map((command) => `        ${shellQuoted(command.place)}) ${bashWords(command)} ;;\n`).join("")}      esac
      ;;
  esac
  # A completion has no white space, so its words may be split here.
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#paths[@]} -eq 0 || $current == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _treewarden treewarden
`;
}

function bashValue({ words, isPath }: CompletedValue): string {
  return `words=${shellQuoted(words.join(" "))}${isPath ? " paths=(1)" : ""}`;
}

function bashWords({ subcommands, options, value }: CompletedCommand): string {
  const plain = [...subcommands.map(({ name }) => name), ...value.words].join(" ");
  const flags = options.flatMap((option) => option.flags).join(" ");
  const paths = value.isPath ? " paths=(1)" : "";
  return `words=${shellQuoted(plain)}${paths}; [[ $current == -* ]] && words=${shellQuoted(flags)}`;
}

function zshScript(commands: readonly CompletedCommand[]): string {
  return `#compdef treewarden
# Completion of treewarden in zsh: put this file as _treewarden into a folder of $fpath, or source it behind compinit.
_treewarden() {
  local place='' previous=\${words[CURRENT-1]} current=\${words[CURRENT]} i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    case "$place \${words[i]}" in
      ${placePattern(commands)}) place="$place \${words[i]}" ;;
    esac
  done
  case "$place $previous" in
${valueCases(commands, (value) => `${zshValue(value)}; return`)}  esac
  case "$place" in
${commands.map((command) => `    ${shellQuoted(command.place)}) ${zshWords(command)} ;;\n`).join("")}  esac
}
if [[ \${funcstack[1]} == _treewarden ]]; then
  _treewarden "$@"
elif (( $+functions[compdef] )); then
  compdef _treewarden treewarden
fi
`;
}

function zshValue({ words, isPath }: CompletedValue): string {
  const offers = words.length > 0 ? [`compadd -- ${words.map(shellQuoted).join(" ")}`] : [];
  return [...offers, ...(isPath ? ["_files"] : [])].join("; ") || ":";
}

function zshWords({ subcommands, options, value }: CompletedCommand): string {
  const entry = (name: string, summary: string): string => shellQuoted(`${name}:${summary}`);
  const flags = options.flatMap((option) => option.flags.map((flag) => entry(flag, option.summary)));
  const names = subcommands.map(({ name, summary }) => entry(name, summary));
  const describe = (what: string, entries: readonly string[]): string =>
    `found=(${entries.join(" ")}); _describe ${what} found`;
  const plain = names.length > 0 ? describe("command", names) : zshValue(value);
  return `if [[ $current == -* ]]; then ${describe("option", flags)}; else ${plain}; fi`;
}

function fishScript(commands: readonly CompletedCommand[]): string {
  return `# Completion of treewarden in fish: put this file into ~/.config/fish/completions/treewarden.fish.
function __treewarden_at
    set -l place ''
    for word in (commandline -opc)[2..-1]
        switch "$place $word"
            case ${commands
              .slice(1)
              .map(({ place }) => shellQuoted(place))
              .join(" ")}
                set place "$place $word"
        end
    end
    test "$place" = "$argv[1]"
end
complete -c treewarden -f
${commands.flatMap(fishLines).join("\n")}
`;
}

function fishLines({ place, subcommands, options, value }: CompletedCommand): readonly string[] {
  const here = `complete -c treewarden -n "__treewarden_at '${place}'"`;
  return [
    ...subcommands.map(({ name, summary }) => `${here} -a ${name} -d ${fishQuoted(summary)}`),
    ...options.map((option) => `${here} ${fishFlags(option)} -d ${fishQuoted(option.summary)}`),
    ...(value.words.length > 0 ? [`${here} -a ${fishQuoted(value.words.join(" "))}`] : []),
    ...(value.isPath ? [`${here} -F`] : []),
  ];
}

function fishFlags({ flags, value }: CompletedOption): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  if (value === undefined) return names.join(" ");
  const words = value.words.length > 0 ? ` -a ${fishQuoted(value.words.join(" "))}` : "";
  return `${names.join(" ")} ${value.isPath ? "-rF" : "-x"}${words}`;
}

/** A pattern of case for every place but treewarden itself. */
function placePattern(commands: readonly CompletedCommand[]): string {
  return commands
    .slice(1)
    .map(({ place }) => shellQuoted(place))
    .join(" | ");
}

/** A case for each option with a value, behind which the value is completed. */
function valueCases(commands: readonly CompletedCommand[], code: (value: CompletedValue) => string): string {
  return commands
    .flatMap(({ place, options }) =>
      options.flatMap(({ flags, value }) => {
        if (value === undefined) return [];
        const pattern = flags.map((flag) => shellQuoted(`${place} ${flag}`)).join(" | ");
        return `    ${pattern}) ${code(value)} ;;\n`;
      }),
    )
    .join("");
}

/** A text in single quotes, so that it may be empty and no shell changes anything in it. */
function shellQuoted(text: string): string {
  return text === "" || /\s/.test(text) ? `'${text.replaceAll("'", "'\\''")}'` : shellWord(text);
}

/** fish has no way out of single quotes, but escapes in them. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
