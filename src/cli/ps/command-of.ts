// The command of a process, as ps(1) shows it.
import type { FoundProcess } from "../../forest/forest.ts";

/** Longer commands are cut: one user's process with megabytes of arguments must not hide the others. */
const CHARACTERS = 300;

/** The arguments, or else the path of what it runs. Not escaped: the caller must do that before it prints. */
export function commandOf({ process, facts }: FoundProcess): string {
  const { args } = facts;
  const text =
    args === undefined || args.length === 0
      ? (process.lineage.program.path ?? process.lineage.program.label)
      : args.join(" ");
  return text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}...` : text;
}
