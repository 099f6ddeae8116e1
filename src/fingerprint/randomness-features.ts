// The features of a name that the randomness model uses: runs of three and four characters, runs of five character
// shapes, and the length.

/** Symbols of the model: 0 to 25 are the letters, regardless of case. All digits share one symbol, as do separators. */
const DIGIT = 26;
const SEPARATOR = 27;
const OTHER = 28;
const START = 29;
const END = 30;
const SYMBOLS = 31;
/** Shapes: 0 is lower case, 1 upper case, 2 a digit, 3 any other character; EDGE is the start and the end of a name. */
const EDGE = 4;
const SHAPES = 5;

const symbols = new Uint8Array(128).fill(OTHER);
const shapes = new Uint8Array(128).fill(3);
for (let code = 0; code < 128; code++) {
  if (code >= 0x61 && code <= 0x7a) {
    symbols[code] = code - 0x61;
    shapes[code] = 0;
  } else if (code >= 0x41 && code <= 0x5a) {
    symbols[code] = code - 0x41;
    shapes[code] = 1;
  } else if (code >= 0x30 && code <= 0x39) {
    symbols[code] = DIGIT;
    shapes[code] = 2;
  } else if (code === 0x2d || code === 0x2e || code === 0x5f) {
    symbols[code] = SEPARATOR;
  }
}

const TRIPLES = SYMBOLS ** 3;
const QUAD_BITS = 17;
const QUADS = 1 << QUAD_BITS;
const SHAPE_RUNS = SHAPES ** 5;
/** Number of length features; longer names share the last one. */
const LENGTHS = 48;
const QUADS_AT = TRIPLES;
const SHAPES_AT = QUADS_AT + QUADS;
const LENGTHS_AT = SHAPES_AT + SHAPE_RUNS;

/** Number of weights of a model. */
export const WEIGHTS = LENGTHS_AT + LENGTHS;
/** Longer names are cut to this length: NAME_MAX (linux/limits.h). */
const MAX_NAME_LENGTH = 255;
/** Maximum number of features of a name. */
export const FEATURES = 3 * (MAX_NAME_LENGTH + 1) + 1;

/** Writes the indices of a name's features to `into` and returns their number, at most FEATURES. */
export function featuresOf(name: string, into: Int32Array): number {
  const length = Math.min(name.length, MAX_NAME_LENGTH);
  let count = 0;
  let first = START;
  let second = START;
  let third = START;
  let shapeRun = ((EDGE * SHAPES + EDGE) * SHAPES + EDGE) * SHAPES + EDGE;
  for (let index = 0; index <= length; index++) {
    const code = index < length ? name.charCodeAt(index) : -1;
    const symbol = code < 0 ? END : code < 128 ? (symbols[code] ?? OTHER) : OTHER;
    const shape = code < 0 ? EDGE : code < 128 ? (shapes[code] ?? 3) : 3;
    const triple = (second * SYMBOLS + third) * SYMBOLS + symbol;
    into[count++] = triple;
    if (index >= 2)
      into[count++] = QUADS_AT + (Math.imul(first * TRIPLES + triple, 0x9e3779b1) >>> (32 - QUAD_BITS));
    shapeRun = (shapeRun * SHAPES + shape) % SHAPE_RUNS;
    into[count++] = SHAPES_AT + shapeRun;
    first = second;
    second = third;
    third = symbol;
  }
  into[count++] = LENGTHS_AT + Math.min(LENGTHS - 1, length);
  return count;
}

/** Weights are stored as signed bytes: this number of steps is one unit of log odds. */
export const STEPS = 127 / 8;
