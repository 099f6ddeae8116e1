// The score of a name by itself.
import { isTemporaryDirectory, scoresOf, suspect } from "../../src/fingerprint/randomness.ts";

/** As if it were the only odd element of a path below the directory `within`. */
export function scoreName(name: string, within = "/"): number {
  return scoresOf([suspect(name, isTemporaryDirectory(within))]).at(-1)?.score ?? 0;
}
