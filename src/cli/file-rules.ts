// Which files a command reads: the rules differ between commands that decide something and those that only show.
import { anyFile, decidingFile, type FileRules } from "../linux/root-file.ts";

/**
 * `to decide`: what is read will be in force, so nobody but root may be able to write or replace it. `to show`: the
 * command prints what a file means and changes nothing, so the file may be anybody's.
 */
export type ReadPurpose = "to decide" | "to show";

/** The rules for a file of configuration, policy or key of at most `limit` bytes. */
export function fileRules(purpose: ReadPurpose, limit: number): FileRules {
  return purpose === "to decide" ? decidingFile(limit) : anyFile(limit);
}
