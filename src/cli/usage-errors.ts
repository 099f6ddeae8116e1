// Rewords errors of the option parser like all other errors: what must be, and what was found instead.
import { eitherOf, shownValue } from "../vocabulary/error-text.ts";

export interface UsageError {
  readonly message: string;
  readonly hint: string | undefined;
}

/** commander's text: one line that begins with `error: `, perhaps a second one with a suggestion in brackets. */
export function usageError(text: string): UsageError {
  const [first = "", second = ""] = text.trim().split("\n");
  const message = reworded(first.replace(/^error: /, ""));
  const suggestion = /^\(Did you mean (.*)\?\)$/.exec(second)?.[1];
  return { message, hint: suggestion === undefined ? undefined : `did you mean ${suggestion}?` };
}

function reworded(message: string): string {
  const invalid =
    /^(?:option '(?:-\w, )?(--[\w-]+)[^']*'|command-argument value) '?(?:argument ')?(.*)' is invalid(?: for argument '([^']*)')?\. (.*)$/s.exec(
      message,
    );
  if (invalid !== null) {
    const [, option, value = "", argument, demand = ""] = invalid;
    return `${option ?? argument ?? "it"} ${demandText(demand, value)}`;
  }
  return message
    .replace(/^option '(?:-\w, )?(--[\w-]+) [^']*' argument missing$/, "$1 needs a value")
    .replace(/^unknown (command|option) '(.*)'$/s, (_, what, name) => `unknown ${what} ${shownValue(name)}`)
    .replace(/^required option '(--[\w-]+) [^']*' not specified$/, "$1 is needed")
    .replace(/^missing required argument '(.*)'$/, "<$1> is missing");
}

/** `must be a, b or c, not "x"`. Parsers of this program throw an InvalidArgumentError that begins with `must`. */
function demandText(demand: string, value: string): string {
  const choices = /^Allowed choices are (.*)\.$/.exec(demand)?.[1];
  const must = choices === undefined ? demand : `must be ${eitherOf(choices.split(", "))}`;
  if (!must.startsWith("must ")) return `cannot be ${shownValue(value)}: ${demand}`;
  return must.includes(", not ") ? must : `${must}, not ${shownValue(value)}`;
}
