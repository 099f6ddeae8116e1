// The files that learned trees run, each once however many trees run it.
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { type Executable, executableOf, executablesText, joinExecutables } from "./executables.ts";

export interface SeenFile<User> {
  /** What is known of it: more than one if its content has changed. */
  executables: readonly Executable[];
  readonly users: User[];
}

/** Files kept, and the characters of their paths; of what goes beyond, executables are not known. */
const FILES_LIMIT = 16_384;
const CHARACTERS_LIMIT = 1 << 21;

export class SeenFiles<User> {
  private readonly files = new Map<string, SeenFile<User>>();
  private characters = 0;

  /** The file at `path` of the host, or of some container; undefined if it is not kept. */
  of(path: string, isHost: boolean): SeenFile<User> | undefined {
    const key = keyOf(path, isHost);
    const before = this.files.get(key);
    if (before !== undefined) return before;
    const executable = executableOf(path);
    if (executable === undefined || this.files.size >= FILES_LIMIT) return undefined;
    if (this.characters + path.length > CHARACTERS_LIMIT) return undefined;
    this.characters += path.length;
    const made = { executables: [executable], users: [] };
    this.files.set(key, made);
    return made;
  }

  /** More is known of a file of the host; gives the users for whom that is new. */
  examined(path: string, examined: ExaminedFile): readonly User[] {
    const file = this.files.get(keyOf(path, true));
    const executable = executableOf(path, examined);
    if (file === undefined || executable === undefined) return [];
    const joined = joinExecutables(file.executables, [executable]);
    if (executablesText(joined) === executablesText(file.executables)) return [];
    file.executables = joined;
    return file.users;
  }
}

function keyOf(path: string, isHost: boolean): string {
  return `${isHost ? "h" : "c"}${path}`;
}
