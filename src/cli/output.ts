// How treewarden speaks to a person: to stderr, in one line that names the place, and where there is one a hint.
// No capital, no full stop. Data goes to stdout and is written by the commands themselves.
import { HintedError } from "../vocabulary/errors.ts";

/** Exit codes of the contract. */
export const exitCodes = {
  fine: 0,
  /** The answer is no: a policy test fails, compare finds new trees, no such pid. */
  no: 1,
  /** Wrong use, bad configuration, a broken policy, a second warden on one state directory. */
  usage: 2,
  /** The kernel or permissions do not allow it. */
  notAllowed: 3,
  /** treewarden itself failed. */
  fault: 4,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Thrown by a command to end with a message and a code; commandline.ts prints the one and exits with the other. */
export class CommandError extends HintedError {
  override readonly name = "CommandError";
  readonly code: ExitCode;

  constructor(code: ExitCode, message: string, hint?: string) {
    super(message, hint);
    this.code = code;
  }
}

export function warn(message: string): void {
  process.stderr.write(`treewarden: ${message}\n`);
}

export function hint(message: string): void {
  process.stderr.write(`  hint: ${message}\n`);
}

/** Colour only on a terminal, never with NO_COLOR (https://no-color.org). */
export function mayColour(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb";
}
