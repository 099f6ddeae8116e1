// Names of users, from /etc/passwd as it was at the start or the last reload: the hot path opens no such file.
import { readFileSync } from "node:fs";

/**
 * A look-up by user id. Users of directory services have no name here. Invalidated by: a reload, which reads the file
 * again and raises the epoch.
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
    // passwd(5): the first entry of a user id is the one that getpwuid(3) gives.
    if (name !== undefined && /^\d+$/.test(uid ?? "") && !names.has(Number(uid)))
      names.set(Number(uid), name);
  }
  return (uid) => names.get(uid);
}
