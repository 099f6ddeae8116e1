// Drops root's rights to the reporter's user before the reporter's files are read.
import { lstatSync } from "node:fs";
import { dirname } from "node:path";
import { becomeUser } from "../linux/process.ts";

/**
 * Changes this process's user to the owner of the folder that contains `path`, if that is not root. SQLite may create
 * files beside the journal, and files of root would lock the reporter out; and root must not parse what a compromised
 * reporter has written. The folder's owner counts and not the file's, because the folder lies in one of root's: the
 * reporter cannot replace it by a link to a file of root's.
 */
export function becomeOwnerOf(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const folder = lstatSync(dirname(path), { throwIfNoEntry: false });
  if (folder === undefined || folder.uid === 0) return;
  becomeUser({ uid: folder.uid, gid: folder.gid });
}
