// Which user the reporter runs as.
import { readFileSync } from "node:fs";

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The entry of `name` in a text of passwd(5), undefined if there is none or it is not valid. */
export function findUser(passwd: string, name: string): User | undefined {
  for (const line of passwd.split("\n")) {
    const [entry, , uid = "", gid = ""] = line.split(":");
    if (entry === name && /^\d+$/.test(uid) && /^\d+$/.test(gid))
      return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

/**
 * The user `name`; without a name `treewarden`, else `nobody`. Null if this process may not change users anyway
 * (it is not root). A text says why there is none.
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
  const user = names.map((each) => findUser(passwd, each)).find((found) => found !== undefined);
  if (user === undefined) return `no user ${names.join(" or ")} for the reporter`;
  return user.uid === 0 ? `the reporter must not run as root (user ${names.join(" or ")} has uid 0)` : user;
}
