// What the model of randomness sees of a name: runs of three and four characters, runs of five shapes, the length.

/** Classes of characters that the model sees: a letter whatever its case, any digit, a separator, anything else. */
const DIGIT = 26;
const SEPARATOR = 27;
const OTHER = 28;
const START = 29;
const END = 30;
const SYMBOLS = 31;
/** How a name is drawn: lower case, upper case, digit, other; and its edges. */
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
/** Longer names count as this long. */
const LENGTHS = 48;
const QUADS_AT = TRIPLES;
const SHAPES_AT = QUADS_AT + QUADS;
const LENGTHS_AT = SHAPES_AT + SHAPE_RUNS;

/** How many weights a model has. */
export const WEIGHTS = LENGTHS_AT + LENGTHS;
/** Names are looked at up to here: NAME_MAX (linux/limits.h). */
const LONGEST = 255;
/** The most features that a name can have. */
export const FEATURES = 3 * (LONGEST + 1) + 1;

/** Writes the indices of a name's features to `into` and returns how many they are. */
export function featuresOf(name: string, into: Int32Array): number {
  const length = Math.min(name.length, LONGEST);
  let count = 0;
  let first = START;
  let second = START;
  let third = START;
  let shape = ((EDGE * SHAPES + EDGE) * SHAPES + EDGE) * SHAPES + EDGE;
  for (let at = 0; at <= length; at++) {
    const code = at < length ? name.charCodeAt(at) : -1;
    const symbol = code < 0 ? END : code < 128 ? (symbols[code] ?? OTHER) : OTHER;
    const drawn = code < 0 ? EDGE : code < 128 ? (shapes[code] ?? 3) : 3;
    const triple = (second * SYMBOLS + third) * SYMBOLS + symbol;
    into[count++] = triple;
    if (at >= 2)
      into[count++] = QUADS_AT + (Math.imul(first * TRIPLES + triple, 0x9e3779b1) >>> (32 - QUAD_BITS));
    shape = (shape * SHAPES + drawn) % SHAPE_RUNS;
    into[count++] = SHAPES_AT + shape;
    first = second;
    second = third;
    third = symbol;
  }
  into[count++] = LENGTHS_AT + Math.min(LENGTHS - 1, length);
  return count;
}

/** Weights are stored as bytes: this many steps are one unit of log odds. */
export const STEPS = 127 / 8;
