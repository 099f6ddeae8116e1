// Why a file that was named cannot be read or written, as a person says it.

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a directory",
  EACCES: "permission denied: run it with sudo",
};

/** `cannot read the WHAT PATH: why`. */
export function readError(what: string, path: string, error: unknown): string {
  return `cannot read the ${what} ${path}: ${reasonOf(error)}`;
}

/** `cannot write the WHAT PATH: why`. */
export function writeError(what: string, path: string, error: unknown): string {
  const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
  return `cannot write the ${what} ${path}: ${missing ? "its folder does not exist" : reasonOf(error)}`;
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return reasons[code] ?? (error instanceof Error ? error.message : String(error));
}
