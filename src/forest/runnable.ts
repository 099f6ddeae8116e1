// What a process runs, as identified by fingerprint/. The forest itself only compares keys.

/** The program of a process. Processes that run the same program share one object. */
export interface Runnable {
  /** Runnables with equal keys are the same program in a tree. */
  readonly key: string;
  /** Absolute path of the executable; undefined if it could not be read. */
  readonly executable: string | undefined;
  /** Last element of `executable`. */
  readonly executableName: string | undefined;
  /** Absolute path of the script that an interpreter runs; undefined if there is none. */
  readonly script: string | undefined;
  /** The code comes from an argument or from standard input. */
  readonly inline: boolean;
  /** A shell that runs the code of its option `-c`. Baselines leave it out of habits, see `Tree.habit`. */
  readonly shellCommand: boolean;
  /** `process.runnable.path`: the script, else the program that the loader or a wrapper runs, else the executable. */
  readonly path: string | undefined;
  /**
   * `path` with names folded that differ from run to run or from version to version, and with `random` for random
   * elements. Prefixed with `userns:` if a user controls the mounts.
   */
  readonly folded: string | undefined;
  /** `executable`, folded like `path`, but without the prefix; undefined if there is none. */
  readonly foldedExecutable: string | undefined;
  /** Its label in the exact tree: the folded and escaped name, or `random` for a randomly named file. */
  readonly name: string;
  /** Its label in the tree: `name`, `base` or `random`. */
  readonly label: string;
  /** Whether its path or its executable's path has a random element. */
  readonly random: boolean;
  /** Highest score of any element of these paths, from 0 to 1. */
  readonly randomness: number;
  /** A name of these paths was not scored, because its user makes too many new ones. Then `random` is true. */
  readonly unscored: boolean;
  /** Lowest metric entropy of any path element (see `metricEntropy`); undefined if there is no path. */
  readonly entropy: number | undefined;
}
