// Reads paths: how each element is folded, how random it looks, and its entropy. That is the expensive part of naming a
// program, and anybody may rename a file before each exec. So an element is read once and remembered by itself, and so
// is a directory with all its elements: a new file in a known directory costs one name, however deep the directory is.
import { BoundedCache } from "./cache.ts";
import { lowerEntropy, metricEntropy } from "./entropy.ts";
import { type FoldedElement, foldAs, MAX_ELEMENTS, readElements, shapeIn, shapesOf } from "./fold.ts";
import { isTemporaryDirectory, type Suspicion, suspect, unscored } from "./randomness.ts";
import type { Shape } from "./shapes.ts";

/** One element of a path. */
export interface PathElement extends FoldedElement {
  readonly suspicion: Suspicion;
  /** See `metricEntropy`. */
  readonly entropy: number | undefined;
}

/** The elements of a path, the last one apart. */
export interface ReadPath {
  readonly directory: Directory;
  /** Undefined for the root. */
  readonly last: PathElement | undefined;
}

export interface Directory {
  readonly elements: readonly PathElement[];
  /** The folded elements, each after a slash. */
  readonly folded: string;
  /** The highest log odds of an element that was scored; -Infinity if there is none. */
  readonly worst: number;
  /** The lowest entropy of an element. */
  readonly entropy: number | undefined;
  readonly isTemporary: boolean;
  readonly unscored: boolean;
}

/** Asked before a name is scored that is not remembered; false leaves it unscored. */
export type MayScore = () => boolean;

/**
 * Bounds of each cache generation: its entries, and the total length of its keys. A name takes some 700 bytes, and in a storm of
 * new names both generations of both caches are full; few servers run programs of more names than one has room for.
 */
const NAMES = 2048;
const DIRECTORIES = 512;
const KEY_CHARACTERS = 1 << 18;

interface Remembered {
  /** What the element is, if none of the shapes below is made in its directory. */
  readonly plain: PathElement;
  /** The shapes that its name matches. */
  readonly shapes: readonly Shape[];
  /** What it is as each of them, in the same order, once it was seen in such a directory. */
  readonly shaped: (PathElement | undefined)[];
}

export class PathReader {
  // Invalidated by: nothing. An element depends on its name, its shape and the kind of its directory alone.
  private readonly ordinary = new BoundedCache<Remembered>(NAMES, KEY_CHARACTERS);
  private readonly temporary = new BoundedCache<Remembered>(NAMES, KEY_CHARACTERS);
  private readonly directories = new BoundedCache<Directory>(DIRECTORIES, KEY_CHARACTERS);

  /** Reads an absolute path, or a name. */
  readPath(path: string, mayScore: MayScore): ReadPath {
    const slash = path.lastIndexOf("/");
    const within = path.slice(0, Math.max(0, slash));
    const directory = this.readDirectory(within, mayScore);
    const name = path.slice(slash + 1);
    const last = name === "" ? undefined : this.readIn(name, within, directory.isTemporary, mayScore);
    return { directory, last };
  }

  /** Reads a name that lies in no directory and may hold slashes. */
  readName(name: string, mayScore: MayScore): ReadPath {
    return { directory: noDirectory, last: this.readElement(name, "", mayScore) };
  }

  /** Reads one element of the directory `within`, an unfolded path. */
  readElement(element: string, within: string, mayScore: MayScore): PathElement {
    return this.readIn(element, within, isTemporaryDirectory(within), mayScore);
  }

  private readDirectory(path: string, mayScore: MayScore): Directory {
    const known = this.directories.get(path);
    if (known !== undefined) return known;
    const elements = readElements(
      path,
      MAX_ELEMENTS - 1,
      (element, within) => this.readElement(element, within, mayScore),
      (elided) => ({ ...elided, suspicion: suspect("", false), entropy: metricEntropy(elided.element) }),
    );
    const directory = directoryOf(elements, isTemporaryDirectory(path));
    if (!directory.unscored) this.directories.set(path, directory);
    return directory;
  }

  private readIn(element: string, within: string, isTemporary: boolean, mayScore: MayScore): PathElement {
    const cache = isTemporary ? this.temporary : this.ordinary;
    let known = cache.get(element);
    if (known === undefined) {
      if (!mayScore()) return { ...foldAs(element, undefined), suspicion: unscored, entropy: undefined };
      const shapes = shapesOf(element);
      const shaped = shapes.length === 0 ? none : [];
      known = { plain: elementAs(element, undefined, isTemporary), shapes, shaped };
      cache.set(element, known);
    }
    if (known.shapes.length === 0) return known.plain;
    const shape = shapeIn(within, known.shapes);
    if (shape === undefined) return known.plain;
    const index = known.shapes.indexOf(shape);
    const shaped = known.shaped[index] ?? elementAs(element, shape, isTemporary);
    known.shaped[index] = shaped;
    return shaped;
  }
}

function elementAs(element: string, shape: Shape | undefined, isTemporary: boolean): PathElement {
  const { text, scored, why } = foldAs(element, shape);
  // Not by spreading, which costs as much as the rest.
  return {
    element,
    text,
    scored,
    why,
    suspicion: suspect(scored, isTemporary),
    entropy: metricEntropy(element),
  };
}

function directoryOf(elements: readonly PathElement[], isTemporary: boolean): Directory {
  let worst = Number.NEGATIVE_INFINITY;
  let entropy: number | undefined;
  let folded = "";
  let isUnscored = false;
  for (const element of elements) {
    folded += `/${element.text}`;
    if (element.suspicion === unscored) isUnscored = true;
    else worst = Math.max(worst, element.suspicion.odds);
    entropy = lowerEntropy(entropy, element.entropy);
  }
  return { elements, folded, worst, entropy, isTemporary, unscored: isUnscored };
}

/** Of the names that match no shape, which are nearly all. */
const none: never[] = [];

const noDirectory = directoryOf([], false);
