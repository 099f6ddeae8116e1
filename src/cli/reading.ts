// Why a file that was named cannot be read, as a person says it.

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a directory",
  EACCES: "permission denied: run it with sudo",
};

/** `cannot read WHAT PATH: why`. */
export function cannotRead(what: string, path: string, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const why = reasons[code] ?? (error instanceof Error ? error.message : String(error));
  return `cannot read the ${what} ${path}: ${why}`;
}
