// User names from /etc/passwd, read at the start and at each reload, so that the hot path opens no file.
import { readFileSync } from "node:fs";

/**
 * Returns a lookup by user id. Users of directory services have no name here. Invalidated by: a reload, which reads the
 * file again and raises the epoch.
 */
export function readUserNames(path = "/etc/passwd"): (uid: number) => string | undefined {
  const names = new Map<number, string>();
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return () => undefined;
  }
  for (const line of text.split("\n")) {
    const [name, , uid] = line.split(":");
    // getpwuid(3) returns the first entry of a user id.
    if (name !== undefined && /^\d+$/.test(uid ?? "") && !names.has(Number(uid)))
      names.set(Number(uid), name);
  }
  return (uid) => names.get(uid);
}
