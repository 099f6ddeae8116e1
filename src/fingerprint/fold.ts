// Folding: what differs from run to run or from version to version becomes one name, so that an upgrade is not an
// alarm and a thousand jobs are not a thousand trees.
import { shapes } from "./shapes.ts";

/** One element of a path, folded. */
export interface FoldedElement {
  readonly element: string;
  readonly text: string;
  /** What the model of randomness looks at: the name as it is, unless a known shape explained it. */
  readonly scored: string;
  /** Why `text` is not `element`, one line for every fold. */
  readonly why: readonly string[];
}

interface Trim {
  readonly what: string;
  readonly name: RegExp;
  readonly to: string;
}

const version = "v?[0-9]+(?:\\.[0-9]+)*";
const suffixes = "jar|war|py|sh|bash|pl|rb|js|php|dll|exe|phar|AppImage|run|bin";

/** In this order, each on what the one before it left. These hide nothing from the model. */
const trims: readonly Trim[] = [
  // Only the first separator may be a `_`: it is in \w as well, and two ways to read each one take exponential time.
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

/** No file has a longer name: NAME_MAX (linux/limits.h). What an argument pretends to be may be longer. */
const LONGEST = 255;

/** Folds one element that lies in the directory `within`, as it is on disk. */
export function foldElement(element: string, within: string): FoldedElement {
  if (element.length > LONGEST)
    return { element, text: element, scored: element.slice(0, LONGEST), why: unfolded };
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
      const shorter = text.replace(trim.name, trim.to);
      if (shorter === text || shorter === "") continue;
      text = shorter;
      why = [...(why ?? []), `${trim.what}: ${text}`];
    }
  }
  return { element, text, scored, why: why ?? unfolded };
}

const hasDigit = /[0-9]/;
const unfolded: readonly string[] = [];

/** Of deeper paths the middle is not looked at: it takes an attacker to make one, and time to read it. */
const DEEPEST = 64;
const FIRST = 48;

/** Folds every element of an absolute path, or of a name. */
export function foldPath(path: string): FoldedElement[] {
  const starts: number[] = [];
  const ends: number[] = [];
  for (let at = path.startsWith("/") ? 1 : 0; at <= path.length; ) {
    const slash = path.indexOf("/", at);
    const end = slash === -1 ? path.length : slash;
    if (end > at) {
      starts.push(at);
      ends.push(end);
    }
    at = end + 1;
  }
  const folded: FoldedElement[] = [];
  const resume = starts.length > DEEPEST ? starts.length - (DEEPEST - FIRST) : FIRST;
  for (const [index, start] of starts.entries()) {
    if (index >= FIRST && index < resume) {
      if (index === FIRST)
        folded.push({ element: "...", text: "...", scored: "", why: ["too deep to be read"] });
      continue;
    }
    folded.push(foldElement(path.slice(start, ends[index]), path.slice(0, Math.max(0, start - 1))));
  }
  return folded;
}
