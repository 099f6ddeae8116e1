// A path as baselines compare it, taken as a pattern: it stands for each file of a host whose path is compared as equal to
// it, whatever its version. Element by element, so that the files can be found by listing folders.
import { foldElement } from "../fingerprint/fold.ts";
import { unambiguous } from "../linux/text.ts";
import { comparedPath } from "./compared-path.ts";

/**
 * What no name in a folder shows: that it looks random depends on the names above it, deep paths have lost elements, and
 * bytes that are not UTF-8 are escaped by a backslash.
 */
const hidden = /\/(?:random|\.\.\.)(?:\/|$)|\\/;

/** Whether the files that a compared path (`comparedPath`) stands for can be found by listing folders. */
export function isListable(compared: string): boolean {
  return compared.startsWith("/") && !hidden.test(compared);
}

/**
 * The compared paths of `name` in a folder, were it a file, and were it a folder. `within`: the path of the folder, empty
 * for the root; `compared`: as it is compared.
 */
export function comparedChild(
  name: string,
  within: string,
  compared: string,
): { readonly file: string; readonly folder: string } {
  const path = `${compared}/${unambiguous(foldElement(name, within).text)}`;
  const inFolder = comparedPath(`${path}/x`);
  return { file: comparedPath(path), folder: inFolder.slice(0, inFolder.lastIndexOf("/")) };
}

/**
 * The compared paths, along a pattern, that folders in the folder `compared` can have. Below one that ends in `*` it may be
 * any folder: also one with a name that looks random, which no name alone shows.
 */
export function prefixesBelow(pattern: string, compared: string): readonly string[] {
  const next = pattern.indexOf("/", compared.length + 1);
  if (next === -1) return [];
  if (compared !== "") return [pattern.slice(0, next)];
  // /bin is compared as /usr/bin.
  const second = pattern.indexOf("/", next + 1);
  return second === -1 ? [pattern.slice(0, next)] : [pattern.slice(0, next), pattern.slice(0, second)];
}

/** Whether a folder of any name can have this compared path, of `prefixesBelow`. */
export function isAnyFolder(prefix: string): boolean {
  return prefix.endsWith("/*");
}

/** Whether a file that the pattern stands for may be below this folder, or a folder of this path. */
export function mayLeadTo(folder: string, pattern: string): boolean {
  let within = "";
  let compared = "";
  for (const name of folder.split("/")) {
    if (name === "") continue;
    const child = comparedChild(name, within, compared).folder;
    const prefix = prefixesBelow(pattern, compared).find((each) => each === child || isAnyFolder(each));
    if (prefix === undefined) return false;
    compared = prefix;
    within += `/${name}`;
  }
  return true;
}
