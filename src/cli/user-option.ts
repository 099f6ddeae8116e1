// Options whose value is a user of this host.
import { readFileSync } from "node:fs";
import { shownValue } from "../vocabulary/error-text.ts";
import { CommandError, exitCodes } from "./output.ts";

/** The id of a user that is given by number or by a name in /etc/passwd. Throws a CommandError if there is none. */
export function userId(user: string): number {
  if (/^\d{1,10}$/.test(user)) return Number(user);
  for (const line of readFileSync("/etc/passwd", "latin1").split("\n")) {
    const [name, , uid = ""] = line.split(":");
    if (name === user && /^\d+$/.test(uid)) return Number(uid);
  }
  throw new CommandError(
    exitCodes.usage,
    `--user must be a user of this host or a number, not ${shownValue(user)}`,
  );
}
