// What can be completed on treewarden's command line, read from the commands themselves.
import type { Argument, Command, Option } from "commander";
import { embeddedPolicies } from "../../policy/embedded.ts";

/** What a value may be: one of some words, a path, both, or a text that only its writer knows. */
export interface CompletedValue {
  readonly words: readonly string[];
  readonly isPath: boolean;
}

export interface CompletedOption {
  /** `--output`, and its short form if it has one. */
  readonly flags: readonly string[];
  readonly summary: string;
  /** undefined for an option without a value. */
  readonly value: CompletedValue | undefined;
}

export interface CompletedCommand {
  /** The words behind `treewarden`, each behind a space: ` policy check`. Empty for treewarden itself. */
  readonly place: string;
  readonly subcommands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly CompletedOption[];
  /** What its arguments may be. */
  readonly value: CompletedValue;
}

/** The command and all below it, parents first. */
export function completedCommands(command: Command, place = ""): readonly CompletedCommand[] {
  const subcommands = command.commands.filter((each) => each.name() !== "help");
  const help: CompletedOption = { flags: ["--help", "-h"], summary: "show help", value: undefined };
  const own: CompletedCommand = {
    place,
    subcommands: subcommands.map((each) => ({ name: each.name(), summary: oneLine(each.description()) })),
    options: [...command.options.filter((option) => !option.hidden).map(completedOption), help],
    value: merged(command.registeredArguments.map(completedArgument)),
  };
  return [own, ...subcommands.flatMap((each) => completedCommands(each, `${place} ${each.name()}`))];
}

function completedOption(option: Option): CompletedOption {
  const takesValue = option.required || option.optional;
  const [, name = ""] = /[<[]([^>\].]+)/.exec(option.flags) ?? [];
  return {
    flags: [option.long, option.short].filter((flag) => flag !== undefined && flag !== null),
    summary: oneLine(option.description),
    value: takesValue ? valueNamed(name, option.argChoices) : undefined,
  };
}

function completedArgument(argument: Argument): CompletedValue {
  return valueNamed(argument.name(), argument.argChoices);
}

/** `name`: what stands for the value in the help. */
function valueNamed(name: string, choices: readonly string[] | undefined): CompletedValue {
  if (choices !== undefined) return { words: choices, isPath: false };
  const words = name === "role-or-file" ? [...embeddedPolicies.keys()] : [];
  return { words, isPath: /file|folder|directory|path|key|capture|baseline/.test(name) };
}

function merged(values: readonly CompletedValue[]): CompletedValue {
  return { words: values.flatMap(({ words }) => words), isPath: values.some(({ isPath }) => isPath) };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}
