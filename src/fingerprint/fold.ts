// Folding: names that differ only from run to run or from version to version become one name, so that an upgrade
// raises no alarm and a thousand jobs do not make a thousand trees.
import { type Shape, shapes } from "./shapes.ts";

/** One element of a path, folded. */
export interface FoldedElement {
  readonly element: string;
  readonly text: string;
  /** The text that the randomness model scores: the unfolded name, or its folded text if it matched a known shape. */
  readonly scored: string;
  /** Why `text` differs from `element`: one line for each fold that applied. */
  readonly why: readonly string[];
}

interface Trim {
  readonly what: string;
  readonly name: RegExp;
  readonly to: string;
}

const version = "v?[0-9]+(?:\\.[0-9]+)*";
const suffixes = "jar|war|py|sh|bash|pl|rb|js|php|dll|exe|phar|AppImage|run|bin";

/** Applied in this order, each to the result of the one before. The randomness model does not see their effect. */
const trims: readonly Trim[] = [
  // Only the first separator may be a `_`: \w matches it as well, and the ambiguity would take exponential time.
  { what: "a version", name: /^v?[0-9]+(?:\.[0-9]+)+(?:[-+~._]\w+(?:[-+~.]\w+)*)?$/, to: "*" },
  {
    what: "a date",
    name: /(?<![0-9])(?:19|20)[0-9]{2}-?(?:0[1-9]|1[0-2])-?(?:[0-2][0-9]|3[01])(?:[T_-]?[0-9]{2}[:-]?[0-9]{2}(?:[:-]?[0-9]{2})?)?(?![0-9])/g,
    to: "*",
  },
  { what: "a long number", name: /(?<![A-Za-z0-9])[0-9]{5,}(?![A-Za-z0-9])/g, to: "*" },
  { what: "a number", name: /^[0-9]{3,}$/, to: "*" },
  {
    what: "a name with a long number",
    name: /(?<![A-Za-z0-9])([A-Za-z]*[g-zG-Z][A-Za-z]*)[0-9]{5,}(?![A-Za-z0-9])/g,
    to: "$1*",
  },
  { what: "a numbered script", name: /^(.*[A-Za-z_-])[0-9]{3,}(\.(?:sh|bash|py|pl|rb))$/, to: "$1*$2" },
  { what: "its minor version", name: /^(python|pypy|pip|pydoc|idle)([0-9])\.[0-9.]+(?=-|$)/, to: "$1$2" },
  {
    what: "its version",
    name: new RegExp(`(?<=[A-Za-z+*])(?<!x86)[-_]${version}(?=\\.(?:${suffixes})$|$)`),
    to: "",
  },
  {
    what: "its version",
    name: /(?<=[A-Za-z+*])[-_]v?[0-9]+(?:\.[0-9]+)+(?:[-.+~]?(?:rc|beta|alpha|p)[0-9]*)?(?=[-_]|\.[a-z])/,
    to: "",
  },
  { what: "its version", name: /(?<=[A-Za-z+])[0-9]+(?:\.[0-9]+)+[a-z]?(?=-|$)/, to: "" },
];

/** Longest file name: NAME_MAX (linux/limits.h). A path in an argument may contain longer elements. */
const MAX_NAME_LENGTH = 255;

/** The shapes that the name of an element matches, whatever directory it lies in. Most names match none. */
export function shapesOf(element: string): readonly Shape[] {
  if (element.length > MAX_NAME_LENGTH) return none;
  let matching: Shape[] | undefined;
  for (const shape of shapes) if (shape.name.test(element)) matching = [...(matching ?? []), shape];
  return matching ?? none;
}

/** The first of these shapes that is made in the directory `within`, an unfolded path. */
export function shapeIn(within: string, matching: readonly Shape[]): Shape | undefined {
  return matching.find((shape) => shape.within?.test(within) !== false);
}

/** Folds one element, which has this shape if any. */
export function foldAs(element: string, shape: Shape | undefined): FoldedElement {
  if (element.length > MAX_NAME_LENGTH)
    return { element, text: element, scored: element.slice(0, MAX_NAME_LENGTH), why: unfolded };
  const scored = shape === undefined ? element : element.replace(shape.name, shape.to);
  let text = scored;
  let why = shape === undefined ? unfolded : [`${shape.what}: ${text}`];
  if (hasDigit.test(text)) {
    for (const trim of trims) {
      const trimmed = text.replace(trim.name, trim.to);
      if (trimmed === text || trimmed === "") continue;
      text = trimmed;
      why = [...why, `${trim.what}: ${text}`];
    }
  }
  return { element, text, scored, why };
}

/** Folds one element. `within` is the unfolded path of the directory that contains it. */
export function foldElement(element: string, within: string): FoldedElement {
  return foldAs(element, shapeIn(within, shapesOf(element)));
}

const none: readonly Shape[] = [];
const hasDigit = /[0-9]/;
const unfolded: readonly string[] = [];

/** A path with more elements loses its middle, which bounds the work that an attacker can cause with a deep path. */
export const MAX_ELEMENTS = 64;
/** How many of its first elements such a path keeps; the others are its last ones. */
const KEPT_HEAD = 48;

/** Stands for the elements that a deep path has lost. */
const elided: FoldedElement = { element: "...", text: "...", scored: "", why: ["too deep to be read"] };

/**
 * Passes every element of an absolute path, or of a name, to `read`, with the unfolded path of its directory. A path of
 * more than `most` elements loses its middle, for which `missing` is called.
 */
export function readElements<T>(
  path: string,
  most: number,
  read: (element: string, within: string) => T,
  missing: (elided: FoldedElement) => T,
): T[] {
  const starts: number[] = [];
  const ends: number[] = [];
  for (let start = path.startsWith("/") ? 1 : 0; start <= path.length; ) {
    const slash = path.indexOf("/", start);
    const end = slash === -1 ? path.length : slash;
    if (end > start) {
      starts.push(start);
      ends.push(end);
    }
    start = end + 1;
  }
  const elements: T[] = [];
  const resume = starts.length > most ? starts.length - (most - KEPT_HEAD) : KEPT_HEAD;
  for (const [index, start] of starts.entries()) {
    if (index >= KEPT_HEAD && index < resume) {
      if (index === KEPT_HEAD) elements.push(missing(elided));
      continue;
    }
    elements.push(read(path.slice(start, ends[index]), path.slice(0, Math.max(0, start - 1))));
  }
  return elements;
}
