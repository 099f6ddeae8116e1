// The score of a name by itself.
import { scorePath } from "../../src/fingerprint/randomness.ts";

/** As if it were the only odd element of a path below the directory `within`. */
export function scoreName(name: string, within = "/"): number {
  const directories = within.split("/").filter((element) => element !== "");
  const elements = [...directories, name].map((element, i) => ({
    element,
    text: element,
    scored: i < directories.length ? "bin" : element,
    why: [],
  }));
  return scorePath(elements).at(-1)?.score ?? 0;
}
