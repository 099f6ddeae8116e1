// How error messages show the value that was found, and what it must be instead.

/** Longer values are cut, so that a message stays readable. */
const LONGEST = 60;

/** A value as the reader of an error message knows it from the file: text in quotes, and at most 60 characters. */
export function shownValue(value: unknown): string {
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 3)}...` : text;
}

/** `a, b or c`. */
export function eitherOf(choices: readonly string[]): string {
  const last = choices.at(-1) ?? "";
  return choices.length < 2 ? last : `${choices.slice(0, -1).join(", ")} or ${last}`;
}

/** A place in a document: `rules[0].action`. Numbers are positions in a list. */
export function pathText(path: readonly unknown[]): string {
  let text = "";
  for (const step of path)
    text += typeof step === "number" ? `[${step}]` : `${text === "" ? "" : "."}${step}`;
  return text;
}
