// Paths as text: nothing here looks at a file.

/** Last element of a path; of a memfd, whose name may hold a `/`, all of it. */
export function nameOf(path: string): string {
  return path.startsWith("memfd:") ? path : path.slice(path.lastIndexOf("/") + 1);
}

/** Everything before the last element, without the `/`; empty for the root and for a bare name. */
export function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** `path` as an absolute path without `.`, `..` and empty elements; undefined if it is relative and `cwd` unknown. */
export function resolvePath(path: string, cwd: string | undefined): string | undefined {
  const whole = path.startsWith("/") ? path : cwd?.startsWith("/") ? `${cwd}/${path}` : undefined;
  if (whole === undefined || !needsWork.test(whole)) return whole;
  const kept: string[] = [];
  for (const element of whole.split("/")) {
    if (element === "..") kept.pop();
    else if (element !== "" && element !== ".") kept.push(element);
  }
  return `/${kept.join("/")}`;
}

const needsWork = /\/(?:\.{0,2})(?:\/|$)/;

/** `/bin`, `/sbin` and `/lib*` as they are where they were merged into `/usr`: one name for one program on every distribution. */
export function mergedPath(path: string): string {
  return merge.test(path) ? `/usr${path}` : path;
}

const merge = /^\/(?:bin|sbin|lib|lib32|lib64|libx32)\//;
