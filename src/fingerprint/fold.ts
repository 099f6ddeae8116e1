// Folding: names that differ only from run to run or from version to version become one name, so that an upgrade
// raises no alarm and a thousand jobs do not make a thousand trees.
import { shapes } from "./shapes.ts";

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

/** Folds one element. `within` is the unfolded path of the directory that contains it. */
export function foldElement(element: string, within: string): FoldedElement {
  if (element.length > MAX_NAME_LENGTH)
    return { element, text: element, scored: element.slice(0, MAX_NAME_LENGTH), why: unfolded };
  let text = element;
  let scored = element;
  let why: string[] | undefined;
  for (const shape of shapes) {
    if (!shape.name.test(text) || shape.within?.test(within) === false) continue;
    text = text.replace(shape.name, shape.to);
    scored = text;
    why = [`${shape.what}: ${text}`];
    break;
  }
  if (hasDigit.test(text)) {
    for (const trim of trims) {
      const trimmed = text.replace(trim.name, trim.to);
      if (trimmed === text || trimmed === "") continue;
      text = trimmed;
      why = [...(why ?? []), `${trim.what}: ${text}`];
    }
  }
  return { element, text, scored, why: why ?? unfolded };
}

const hasDigit = /[0-9]/;
const unfolded: readonly string[] = [];

/** A path with more elements loses its middle, which bounds the work that an attacker can cause with a deep path. */
const MAX_ELEMENTS = 64;
/** How many of its first elements such a path keeps; the others are its last ones. */
const KEPT_HEAD = 48;

/** Folds every element of an absolute path, or of a name. */
export function foldPath(path: string): FoldedElement[] {
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
  const folded: FoldedElement[] = [];
  const resume = starts.length > MAX_ELEMENTS ? starts.length - (MAX_ELEMENTS - KEPT_HEAD) : KEPT_HEAD;
  for (const [index, start] of starts.entries()) {
    if (index >= KEPT_HEAD && index < resume) {
      if (index === KEPT_HEAD)
        folded.push({ element: "...", text: "...", scored: "", why: ["too deep to be read"] });
      continue;
    }
    folded.push(foldElement(path.slice(start, ends[index]), path.slice(0, Math.max(0, start - 1))));
  }
  return folded;
}
