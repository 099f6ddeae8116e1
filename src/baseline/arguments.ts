// Formats a sample of a program's arguments as one column of a baseline.
import { unambiguous } from "../linux/text.ts";

/** Maximum length of a sample in characters: enough to recognise a job. */
const SAMPLE_LIMIT = 256;
const CUT = " ...";
/** Characters of the arguments that are redacted for a sample. Twice SAMPLE_LIMIT, as redaction may shorten them. */
const REDACTED_LIMIT = 512;

/**
 * The beginning of the arguments that a sample needs, which bounds the work of redaction for hostile programs. A word
 * that would be cut is left out, because redaction does not recognise half a secret.
 */
export function beginningOf(args: readonly string[]): readonly string[] {
  const beginning: string[] = [];
  let remaining = REDACTED_LIMIT;
  for (const argument of args) {
    if (argument.length >= remaining) {
      let end = remaining;
      while (end > 0 && !/\s/.test(argument.charAt(end - 1))) end -= 1;
      return [...beginning, `${argument.slice(0, end)}...`];
    }
    beginning.push(argument);
    remaining -= argument.length + 1;
  }
  return beginning;
}

/**
 * The arguments joined by spaces, each escaped like every text of a baseline. A space within an argument becomes
 * `\x20`, an empty argument `""`, and a literal `""` or `-` begins with `\x`. The caller must redact secrets first.
 */
export function argumentsText(args: readonly string[]): string {
  let text = "";
  for (const [index, argument] of args.entries()) {
    if (text.length > SAMPLE_LIMIT) break;
    text += (index === 0 ? "" : " ") + argumentText(argument);
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
