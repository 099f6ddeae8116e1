// Opens the journal for a command that only reads it.
import { statSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "../linux/system-error.ts";
import { JOURNAL_FILE, JournalReader } from "../reporter/journal-reader.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { becomeOwnerOf } from "./become-owner.ts";
import { CommandError, exitCodes } from "./output.ts";

/**
 * The journal of a state directory. This process has the rights of the journal's owner afterwards, see `becomeOwnerOf`.
 * Throws a CommandError if there is none, or if it may not be read.
 */
export function openJournal(stateDirectory: string): JournalReader {
  const path = join(stateDirectory, JOURNAL_FILE);
  becomeOwnerOf(path);
  try {
    return new JournalReader(path);
  } catch (error) {
    if (!mayLookInto(stateDirectory) || statSync(path, { throwIfNoEntry: false }) !== undefined) {
      throw new CommandError(
        exitCodes.notAllowed,
        `cannot read ${path}: ${messageOf(error)}`,
        "run it with sudo",
      );
    }
    throw new CommandError(
      exitCodes.usage,
      `there is no journal at ${path}`,
      "treewarden run makes it; --state-dir names its state directory",
    );
  }
}

/** False where the journal may exist and this user cannot see it. */
function mayLookInto(stateDirectory: string): boolean {
  try {
    statSync(join(stateDirectory, "report/."));
    return true;
  } catch (error) {
    return codeOf(error) !== "EACCES";
  }
}
