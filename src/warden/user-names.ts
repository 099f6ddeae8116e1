// Users from /etc/passwd, read at the start and at each reload, so that the hot path opens no file. Users of directory services
// have no name here.
import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";

/** passwd(5) */
const PASSWD = "/etc/passwd";

/** Returns a lookup by user id. Invalidated by: a reload, which reads the file again and raises the epoch. */
export function readUserNames(path = PASSWD): (uid: number) => string | undefined {
  const names = new Map<number, string>();
  // getpwuid(3) returns the first entry of a user id.
  for (const { name, uid } of usersIn(path)) if (!names.has(uid)) names.set(uid, name);
  return (uid) => names.get(uid);
}

/** The user in whose sessions nothing is closed or killed. */
export interface RescueUser {
  /** undefined: none is configured, or it does not exist. */
  readonly uid: number | undefined;
  /** Why there is none although one is configured. */
  readonly problem: string | undefined;
}

/** The configured rescue user: a name, or a user id for one that is not in /etc/passwd. */
export function readRescueUser(
  { rescue_user: user }: Pick<Config, "rescue_user">,
  path = PASSWD,
): RescueUser {
  if (user === undefined) return { uid: undefined, problem: undefined };
  if (/^\d+$/.test(user)) return { uid: Number(user), problem: undefined };
  const uid = usersIn(path).find(({ name }) => name === user)?.uid;
  const problem =
    uid === undefined ? `there is no rescue user ${user}: its sessions are not spared` : undefined;
  return { uid, problem };
}

interface User {
  readonly name: string;
  readonly uid: number;
}

/** Nobody if the file cannot be read. */
function usersIn(path: string): readonly User[] {
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const [name, , uid] = line.split(":");
    return name !== undefined && /^\d+$/.test(uid ?? "") ? [{ name, uid: Number(uid) }] : [];
  });
}
