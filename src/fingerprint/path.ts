// Operations on paths as text. Nothing here accesses a file.

/** Prefix of the key and the folded path of runnables below a user's mounts. No absolute path begins with it. */
export const USER_MOUNTS = "userns:";

/** Last element of a path. A memfd's name is returned whole, because it may contain a `/`. */
export function nameOf(path: string): string {
  return path.startsWith("memfd:") ? path : path.slice(path.lastIndexOf("/") + 1);
}

/** Everything before the last element, without the trailing `/`. Empty for the root and for a bare name. */
export function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** `path` made absolute, without `.`, `..` and empty elements. Undefined if it is relative and `cwd` is unknown. */
export function resolvePath(path: string, cwd: string | undefined): string | undefined {
  const absolute = path.startsWith("/") ? path : cwd?.startsWith("/") ? `${cwd}/${path}` : undefined;
  if (absolute === undefined || !unnormalised.test(absolute)) return absolute;
  const kept: string[] = [];
  for (const element of absolute.split("/")) {
    if (element === "..") kept.pop();
    else if (element !== "" && element !== ".") kept.push(element);
  }
  return `/${kept.join("/")}`;
}

const unnormalised = /\/(?:\.{0,2})(?:\/|$)/;

/** Moves `/bin`, `/sbin` and `/lib*` into `/usr`, so that a program has the same path on every distribution. */
export function mergedPath(path: string): string {
  return mergedIntoUsr.test(path) ? `/usr${path}` : path;
}

const mergedIntoUsr = /^\/(?:bin|sbin|lib|lib32|lib64|libx32)\//;
