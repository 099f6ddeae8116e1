// Errors that carry advice, and the text of any error.

/** An error that a person can correct: `hint` describes how. */
export class HintedError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.hint = hint;
  }
}

/** The advice that an error carries; undefined if it has none. */
export function hintOf(error: unknown): string | undefined {
  return error instanceof HintedError ? error.hint : undefined;
}

/** What the runtime makes of a system call that failed: `ENOENT: no such file or directory, mkdir '/x'`. */
const systemCall = /^E[A-Z0-9]+: ([^\n]*), (\w+)(?: '([^\n]*)')?$/;

/** The message of whatever was thrown; of a system call that failed, what the manual calls it and the path. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [, reason, call = "", path] = systemCall.exec(message) ?? [];
  if (reason === undefined) return message;
  return `${reason} (${path === undefined ? call : `${call} ${path}`})`;
}

/** For a fault of treewarden's own: where whatever was thrown came from, else its message. */
export function stackOf(error: unknown): string {
  return (error instanceof Error ? error.stack : undefined) ?? messageOf(error);
}
