// Selects the user that the reporter runs as.
import { readFileSync } from "node:fs";

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The entry of `name` in the text of a passwd(5) file; undefined if it is missing or not valid. */
export function findUser(passwd: string, name: string): User | undefined {
  for (const line of passwd.split("\n")) {
    const [entry, , uid = "", gid = ""] = line.split(":");
    if (entry === name && /^\d+$/.test(uid) && /^\d+$/.test(gid))
      return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/**
 * The user `name`; without a name, `treewarden` or else `nobody`. Null if this process is not root and so cannot change
 * users. A string is the reason why there is no such user.
 */
export function reporterUser(name: string | undefined): User | null | string {
  if (process.geteuid?.() !== 0) return null;
  let passwd: string;
  try {
    passwd = readFileSync("/etc/passwd", "latin1");
  } catch {
    return "cannot read /etc/passwd for the reporter's user";
  }
  const names = name === undefined ? ["treewarden", "nobody"] : [name];
  const user = names.map((candidate) => findUser(passwd, candidate)).find((entry) => entry !== undefined);
  if (user === undefined) return `no user ${names.join(" or ")} for the reporter`;
  return user.uid === 0 ? `the reporter must not run as root (user ${names.join(" or ")} has uid 0)` : user;
}
