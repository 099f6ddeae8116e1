// The result of a parser of /proc for a file that does not have the format of its manual page.

export interface ParseFailure {
  readonly failure: "malformed";
  /** The file's name below /proc/PID. */
  readonly file: string;
  readonly reason: string;
}

export function malformed(file: string, reason: string): ParseFailure {
  return { failure: "malformed", file, reason };
}
