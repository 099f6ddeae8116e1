// The contents that a file had when it was learned: digests, or a word for a file that is not compared by its digests.
import { compareTexts } from "./compare-texts.ts";
import { isDigest } from "./executables.ts";

/**
 * `unknown`: no content was learned. `packaged`: the file was as its package had brought it. `varies`: it had a third content within one
 * learning run. Otherwise the digests (`sha256:` and 64 hexadecimal digits), ascending, at least one.
 */
export type Contents = "unknown" | "packaged" | "varies" | readonly string[];

/** Maximum number of digests of an entry. A path with more contents varies. */
export const CONTENTS_LIMIT = 16;
/** Maximum number of contents at one path in a learning run. A path with more contents varies. */
export const CONTENTS_OF_A_RUN = 2;

/** Contents as the column of a baseline: `-`, `packaged`, `varies`, or digests separated by commas. */
export function contentsText(contents: Contents): string {
  if (contents === "unknown") return "-";
  return typeof contents === "string" ? contents : contents.join(",");
}

/** Parses the output of `contentsText`; undefined for any other text. */
export function parseContents(text: string): Contents | undefined {
  if (text === "-") return "unknown";
  if (text === "packaged" || text === "varies") return text;
  const digests = text.split(",", CONTENTS_LIMIT + 1);
  const isInOrder = digests.every((digest, i) => i === 0 || (digests[i - 1] ?? "") < digest);
  return digests.length <= CONTENTS_LIMIT && isInOrder && digests.every(isDigest) ? digests : undefined;
}

/**
 * Joins what was learned of one path in two entries. Digests replace `packaged`, because on one of the hosts the file
 * is not as a package brought it.
 */
export function joinContents(a: Contents, b: Contents): Contents {
  if (a === "varies" || b === "varies") return "varies";
  if (typeof a === "string" && typeof b === "string") return a === "unknown" ? b : a;
  if (typeof a === "string") return b;
  if (typeof b === "string" || b.every((digest) => a.includes(digest))) return a;
  const all = [...new Set([...a, ...b])].sort(compareTexts);
  return all.length > CONTENTS_LIMIT ? "varies" : all;
}

/** Whether `contents` has a digest that `known` lacks; a packaged file was learned without any. */
export function hasNewContent(contents: Contents, known: Contents): boolean {
  if (typeof contents === "string" || known === "unknown" || known === "varies") return false;
  return known === "packaged" || contents.some((digest) => !known.includes(digest));
}
