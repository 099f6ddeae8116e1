// What a process runs, as a person knows it from ps(1).
import type { FoundProcess } from "../../forest/forest.ts";

/** Longer commands are cut: one user's process with megabytes of arguments must not hide the others. */
const CHARACTERS = 300;

/** The arguments, or else the path of what it runs, not escaped yet. */
export function commandOf({ process, facts }: FoundProcess): string {
  const { args } = facts;
  const text =
    args === undefined || args.length === 0
      ? (process.lineage.program.path ?? process.lineage.program.label)
      : args.join(" ");
  return text.length > CHARACTERS ? `${text.slice(0, CHARACTERS)}...` : text;
}
