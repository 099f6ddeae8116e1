// Selects the user that the reporter runs as: one that no other program of the host has, because processes of one user
// can stop each other.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../linux/files.ts";
import type { User } from "../linux/process.ts";
import { readCheckedFileOrNothing, rootOnly } from "../linux/root-file.ts";
import { codeOf } from "../linux/system-error.ts";

/** The user that the packages create. */
const OWN_NAME = "treewarden";
/** Many programs that want no rights run as this user. */
const SHARED_NAME = "nobody";
/** The numbers that systemd gives to its own transient users (systemd's UIDS-GIDS.md, DynamicUser=). */
const FIRST_TRANSIENT = 61_184;
const LAST_TRANSIENT = 65_519;
/** In the state directory: which transient user the reporter has, so that it is the same after a restart. */
const CHOICE_FILE = "reporter-user";
const CHOICE_LIMIT = 64;
/** systemd keeps a file for each transient user that a service has. */
const SYSTEMD_USERS = "/run/systemd/dynamic-uid";

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
 * The user `name`; without a name, `treewarden`, or `transient` if there is no such user, see `chooseTransientUser`.
 * Null if this process is not root and so cannot change users. Otherwise the reason why the user cannot be used.
 */
export function reporterUser(
  name: string | undefined,
): User | "transient" | null | { readonly refusal: string } {
  if (process.geteuid?.() !== 0) return null;
  let passwd: string;
  try {
    passwd = readFileSync("/etc/passwd", "latin1");
  } catch (error) {
    // The root of a container need not have the file.
    if (codeOf(error) !== "ENOENT") return { refusal: "cannot read /etc/passwd for the reporter's user" };
    passwd = "";
  }
  const user = findUser(passwd, name ?? OWN_NAME);
  if (user === undefined)
    return name === undefined ? "transient" : { refusal: `no user ${name} for the reporter` };
  if (user.uid === 0)
    return { refusal: `the reporter must not run as root (user ${name ?? OWN_NAME} has uid 0)` };
  if (user.uid === findUser(passwd, SHARED_NAME)?.uid) {
    const refusal = `the reporter must not run as ${SHARED_NAME}: other programs that do could stop and replace it`;
    return { refusal };
  }
  return user;
}

/** The numbers of users and groups that something on a host has. */
export interface NumbersInUse {
  has(id: number): boolean;
}

/**
 * A user and group of the same number that nobody has. `preferred`: the number used before; `start`: any number, which
 * selects the first candidate. Undefined if all are in use.
 */
export function pickTransientUser(
  inUse: NumbersInUse,
  preferred: number | undefined,
  start: number,
): User | undefined {
  const count = LAST_TRANSIENT - FIRST_TRANSIENT + 1;
  const isTransient = (id: number): boolean => id >= FIRST_TRANSIENT && id <= LAST_TRANSIENT;
  if (preferred !== undefined && isTransient(preferred) && !inUse.has(preferred))
    return { uid: preferred, gid: preferred };
  for (let i = 0; i < count; i += 1) {
    const id = FIRST_TRANSIENT + ((start + i) % count);
    if (!inUse.has(id)) return { uid: id, gid: id };
  }
  return undefined;
}

/**
 * Chooses a transient user and remembers the choice in the state directory `folder`, which this process must have
 * locked. A choice that cannot be saved holds until the next start, which gives the reporter's files to another number.
 */
export function chooseTransientUser(folder: string): User | undefined {
  const file = join(folder, CHOICE_FILE);
  const saved = readCheckedFileOrNothing(file, rootOnly(CHOICE_LIMIT))?.toString("latin1").trim();
  const preferred = saved !== undefined && /^\d+$/.test(saved) ? Number(saved) : undefined;
  const [random = 0] = crypto.getRandomValues(new Uint16Array(1));
  const user = pickTransientUser(numbersInUse(), preferred, random);
  if (user === undefined || user.uid === preferred) return user;
  try {
    writeFileAtomic(file, `${user.uid}\n`);
  } catch {
    // A full disk must not prevent the start.
  }
  return user;
}

/** All numbers of the host's users, groups and processes. */
function numbersInUse(): NumbersInUse {
  const ids = new Set<number>();
  for (const file of ["/etc/passwd", "/etc/group"])
    for (const line of linesOf(file))
      for (const field of line.split(":").slice(2, 4)) ids.add(Number(field || -1));
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    for (const line of linesOf(`/proc/${name}/status`))
      if (/^(?:Uid|Gid|Groups):/.test(line))
        for (const field of line.split(/\s+/).slice(1)) ids.add(Number(field || -1));
  }
  return { has: (id) => ids.has(id) || existsSync(join(SYSTEMD_USERS, String(id))) };
}

function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, "latin1").split("\n");
  } catch {
    // There is no such file, or the process has ended.
    return [];
  }
}
