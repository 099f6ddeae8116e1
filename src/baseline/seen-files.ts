// The files that learned trees run. Each file is kept once and shared by all trees that run it.
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { type Executable, executableOf, executablesText, joinExecutables } from "./executables.ts";

export interface SeenFile<User> {
  /** The known details; more than one if the content has changed. */
  executables: readonly Executable[];
  /** The trees that run it. */
  readonly users: User[];
}

/** Maximum number of files, and of characters in all their paths. The executables of further files stay unknown. */
const FILES_LIMIT = 16_384;
const CHARACTERS_LIMIT = 1 << 21;

export class SeenFiles<User> {
  private readonly files = new Map<string, SeenFile<User>>();
  private characters = 0;

  /** The file at `path` of the host or of a container, added if it is new; undefined if there is no room for it. */
  of(path: string, isHost: boolean): SeenFile<User> | undefined {
    const key = keyOf(path, isHost);
    const existing = this.files.get(key);
    if (existing !== undefined) return existing;
    const executable = executableOf(path);
    if (executable === undefined || this.files.size >= FILES_LIMIT) return undefined;
    if (this.characters + path.length > CHARACTERS_LIMIT) return undefined;
    this.characters += path.length;
    const created = { executables: [executable], users: [] };
    this.files.set(key, created);
    return created;
  }

  /** Adds details on a file of the host. Returns its users if the details are new. */
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
