// The users of a tree: distinct effective user ids, ascending.
import { parseCount } from "./parse-count.ts";

/** Maximum number of users kept for a tree; the lowest ids stay. */
export const USERS_LIMIT = 16;

/** User ids separated by commas, `-` if there are none. `parseUsers` reads them. */
export function usersText(ids: readonly number[]): string {
  return ids.length === 0 ? "-" : ids.join(",");
}

/** Parses ascending user ids separated by commas, or `-` for none; undefined if `text` is neither. */
export function parseUsers(text: string): readonly number[] | undefined {
  if (text === "-") return [];
  const users: number[] = [];
  for (const part of text.split(",", USERS_LIMIT + 1)) {
    const user = parseCount(part);
    if (user === undefined || user > 0xffff_ffff || user <= (users.at(-1) ?? -1)) return undefined;
    users.push(user);
  }
  return users.length > USERS_LIMIT ? undefined : users;
}

/** The union of both sets, ascending, at most USERS_LIMIT. */
export function joinUsers(a: readonly number[], b: readonly number[]): readonly number[] {
  if (b.every((user) => a.includes(user))) return a;
  return [...new Set([...a, ...b])].sort((x, y) => x - y).slice(0, USERS_LIMIT);
}
