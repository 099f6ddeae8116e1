// Root reads what the reporter wrote as the reporter's user.
import { lstatSync } from "node:fs";
import { dirname } from "node:path";

/**
 * From now on this process is the user whose folder the file at `path` lies in, if that is not root. SQLite may make
 * files beside the journal, and root's would lock the reporter out; and what a taken-over reporter has written is not
 * for root to parse. The folder is asked, not the file: it lies in one of root's, so that the reporter cannot put a
 * link to a file of root's in its place.
 */
export function becomeOwnerOf(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const folder = lstatSync(dirname(path), { throwIfNoEntry: false });
  if (folder === undefined || folder.uid === 0) return;
  process.setgroups?.([]);
  process.setgid?.(folder.gid);
  process.setuid?.(folder.uid);
}
