// A sample of a program's arguments as one text of a file.
import { unambiguous } from "../linux/text.ts";

/** Characters kept of a sample: enough to recognise a job by. */
const SAMPLE_LIMIT = 256;
const CUT = " ...";
/** Characters that a sample is made of: what is redacted in it may be long. */
const BEGINNING = 512;

/**
 * As much of the arguments as a sample needs, so that whoever redacts them does not work on all that a hostile program
 * gave. A word that the end would cut is left out: half a secret looks like none.
 */
export function beginningOf(args: readonly string[]): readonly string[] {
  const beginning: string[] = [];
  let left = BEGINNING;
  for (const argument of args) {
    if (argument.length >= left) {
      let end = left;
      while (end > 0 && !/\s/.test(argument.charAt(end - 1))) end -= 1;
      return [...beginning, `${argument.slice(0, end)}...`];
    }
    beginning.push(argument);
    left -= argument.length + 1;
  }
  return beginning;
}

/**
 * Arguments joined by a space. Each is escaped as every text of a baseline; a space within one is `\x20`, an empty one
 * `""`, one that is really `""` or `-` begins with `\x`. Secrets are the caller's to redact first.
 */
export function argumentsText(args: readonly string[]): string {
  let text = "";
  for (const [at, argument] of args.entries()) {
    if (text.length > SAMPLE_LIMIT) break;
    text += (at === 0 ? "" : " ") + argumentText(argument);
  }
  if (text.length <= SAMPLE_LIMIT) return text;
  return (
    text
      .slice(0, SAMPLE_LIMIT - CUT.length)
      .toWellFormed()
      .replace("\ufffd", "") + CUT
  );
}

function argumentText(argument: string): string {
  if (argument === "") return '""';
  if (argument === '""') return '\\x22"';
  if (argument === "-") return "\\x2d";
  return unambiguous(argument.slice(0, SAMPLE_LIMIT)).replaceAll(" ", "\\x20");
}
