// A sample of a program's arguments as one text of a file.
import { unambiguous } from "../linux/text.ts";

/** Characters kept of a sample: enough to recognise a job by. */
const SAMPLE_LIMIT = 256;
const CUT = " ...";

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
