// What a process runs, as the fingerprint identifies it. The forest itself compares keys only.

/** The program of one process, identified once and shared by every process that runs the same. */
export interface Runnable {
  /** Equal keys: the same file is run, for every purpose of a tree. */
  readonly key: string;
  /** Absolute path of the executable; undefined if it could not be read. */
  readonly executable: string | undefined;
  /** Last element of `executable`. */
  readonly executableName: string | undefined;
  /** Absolute path of the script an interpreter runs; undefined if none. */
  readonly script: string | undefined;
  /** Code given as an argument or on standard input. */
  readonly inline: boolean;
  /** `process.runnable.path`: the script, else the program that the loader or a wrapper runs, else the executable. */
  readonly path: string | undefined;
  /** `path` with what differs from run to run or from version to version folded, random elements as `random`; `userns:` before it where mounts are a user's. */
  readonly folded: string | undefined;
  /** Its own name, folded and escaped, in the exact tree; `random` for a randomly named file. */
  readonly name: string;
  /** Its label in the tree: `name`, `base` or `random`. */
  readonly label: string;
  /** Its path or that of its executable has a random element. */
  readonly random: boolean;
  /** Score of the worst element of these paths, 0 to 1. */
  readonly randomness: number;
  /** Lowest metric entropy (bits a byte, divided by length) of any path element; undefined if there is no path. */
  readonly entropy: number | undefined;
}
