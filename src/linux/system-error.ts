// Errors of the system calls that the runtime makes.

/** The symbolic code of a failed system call, such as `ENOENT`; undefined if the error carries none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
