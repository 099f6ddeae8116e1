// Messages for users: one line on stderr that names the place, and a hint if there is one, without a capital letter at
// the start and a full stop at the end. Data goes to stdout, and the commands write it themselves. A message may quote a
// file or a name that an attacker has written, so what is not printable is escaped here, for all of them.
import { printable } from "../linux/text.ts";
import { HintedError } from "../vocabulary/errors.ts";

/** Exit codes of the contract. */
export const exitCodes = {
  fine: 0,
  /** The answer is no: a policy test fails, `compare` finds new trees, or the pid does not exist. */
  no: 1,
  /** Wrong use, bad configuration, a broken policy, a second warden on one state directory. */
  usage: 2,
  /** The kernel or the permissions do not allow it. */
  notAllowed: 3,
  /** treewarden itself failed. */
  fault: 4,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Thrown by a command to exit with a message and a code; commandline.ts prints the message. */
export class CommandError extends HintedError {
  override readonly name = "CommandError";
  readonly code: ExitCode;
  /** One or more errors, each of which is printed on a line of its own. */
  readonly lines: readonly string[];
  /** What is wrong in detail; it was printed before. */
  readonly details: readonly string[];

  constructor(
    code: ExitCode,
    message: string | readonly string[],
    hint?: string,
    details: readonly string[] = [],
  ) {
    const lines = typeof message === "string" ? [message] : message;
    super(lines.join("\n"), hint);
    this.code = code;
    this.lines = lines;
    this.details = details;
  }
}

/** Prints each message on a line of its own. */
export function warn(...messages: readonly string[]): void {
  process.stderr.write(messages.map((message) => `treewarden: ${printable(message)}\n`).join(""));
}

export function hint(message: string): void {
  process.stderr.write(`  hint: ${printable(message)}\n`);
}

/** True on a terminal, unless NO_COLOR is set (https://no-color.org). */
export function mayColour(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb";
}
