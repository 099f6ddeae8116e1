// A gzip file made of parts that were compressed before, in any order: what has not changed since the last answer is not
// compressed again. RFC 1951 and 1952: a deflate stream may end at a byte without its last block, so that another one can
// follow; together they are one member, which every client can read. Made with the runtime's own functions, because
// node:zlib, whose streams can be flushed, takes 0.7 MB.

export interface GzipPart {
  /** Raw deflate, without a last block. */
  readonly deflated: Uint8Array;
  /** Of the text: its length in bytes, its CRC-32, and by what the CRC of the text before it is multiplied. */
  readonly length: number;
  readonly crc: number;
  readonly shift: number;
}

/** Magic number, deflate, no flags, no time, fastest, unknown system. */
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255);
/** A last block without content, CRC-32 and length. */
const LAST_BLOCK = Uint8Array.of(3, 0);
const TRAILER_LENGTH = 8;

/** The names of series repeat so much that the fastest level leaves a tenth of them, or less. */
const LEVEL = 1;
/** The bit of a block's header that says that it is the last one. */
const LAST = 1;
/**
 * An empty stored block: three zero bits, zeros up to the end of the byte, a length of 0 and its complement. Where the
 * block before it leaves three bits of its last byte or more, they are its header; else the header needs a byte more.
 */
const EMPTY_BLOCKS = [Uint8Array.of(0, 0, 255, 255), Uint8Array.of(0, 0, 0, 255, 255)];

export function gzipPart(text: string): GzipPart {
  const bytes = Buffer.from(text);
  const deflated = deflateOpen(bytes);
  return { deflated, length: bytes.length, crc: Bun.hash.crc32(bytes), shift: powerOf8(bytes.length) };
}

/** Raw deflate that ends at a byte and without a last block. */
function deflateOpen(bytes: Buffer<ArrayBuffer>): Uint8Array {
  const stream = Bun.deflateSync(bytes, { level: LEVEL });
  // Only where the first block is the last one is it known which bit to clear. A small text has no other.
  if (((stream[0] ?? 0) & LAST) === 0) {
    const half = bytes.length >>> 1;
    return Buffer.concat([deflateOpen(bytes.subarray(0, half)), deflateOpen(bytes.subarray(half))]);
  }
  for (const empty of EMPTY_BLOCKS) {
    const closed = Buffer.concat([stream, empty, LAST_BLOCK]);
    closed[0] = (stream[0] ?? 0) & ~LAST;
    if (inflatedLength(closed) === bytes.length) return closed.subarray(0, -LAST_BLOCK.length);
  }
  throw new Error("a deflate stream could not be left open");
}

/** Undefined if it is not a deflate stream. With the wrong empty block it never is: length and complement differ. */
function inflatedLength(stream: Buffer<ArrayBuffer>): number | undefined {
  try {
    return Bun.inflateSync(stream).length;
  } catch {
    return undefined;
  }
}

/** The parts, one after the other. */
export function gzipOf(parts: readonly GzipPart[]): Uint8Array<ArrayBuffer> {
  let size = HEADER.length + LAST_BLOCK.length + TRAILER_LENGTH;
  let length = 0;
  let crc = 0;
  for (const part of parts) {
    size += part.deflated.length;
    length += part.length;
    crc = multiply(part.shift, crc) ^ part.crc;
  }
  const file = new Uint8Array(size);
  file.set(HEADER);
  let at = HEADER.length;
  for (const { deflated } of parts) {
    file.set(deflated, at);
    at += deflated.length;
  }
  file.set(LAST_BLOCK, at);
  const trailer = new DataView(file.buffer, size - TRAILER_LENGTH);
  trailer.setUint32(0, crc >>> 0, true);
  trailer.setUint32(4, length >>> 0, true);
  return file;
}

// Two CRCs are combined as zlib's crc32_combine(3) does: a text that follows another one of n bytes multiplies the CRC of
// that by x^(8n), modulo the polynomial of CRC-32. The highest bit is the coefficient of x^0.

const POLYNOMIAL = 0xedb88320;
const ONE = 0x8000_0000;

function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor;
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL;
  }
  return product >>> 0;
}

/** x^(2^n) for n from 3 on: x^8, x^16... */
const squares: readonly number[] = (() => {
  const list = [ONE >>> 8];
  while (list.length < 32) list.push(multiply(list.at(-1) ?? 0, list.at(-1) ?? 0));
  return list;
})();

/** x^(8n). */
function powerOf8(n: number): number {
  let power = ONE;
  for (let rest = n, i = 0; rest > 0; rest >>>= 1, i += 1)
    if ((rest & 1) === 1) power = multiply(squares[i] ?? 0, power);
  return power;
}
