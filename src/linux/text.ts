// Text from the kernel is bytes. Inside treewarden it is a JavaScript string without loss: bytes that are not UTF-8
// become lone surrogates U+DC80..U+DCFF, as in PEP 383. Every output escapes it.

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Unlike a TextDecoder it needs no view of the bytes, which takes longer to make than a short text to decode. */
const decodeLeniently = Buffer.prototype.toString;
const REPLACEMENT = "\ufffd";

/** Decodes `bytes[start, end)`; every byte that is not part of valid UTF-8 becomes one lone surrogate U+DC00 + byte. */
export function decodeText(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const text: string = decodeLeniently.call(bytes, "utf8", start, end);
  // It stands for bytes that are not UTF-8, or the text has this character.
  return text.includes(REPLACEMENT) ? decodeLossless(bytes.subarray(start, end)) : text;
}

function decodeLossless(bytes: Uint8Array): string {
  let text = "";
  let i = 0;
  while (i < bytes.length) {
    const valid = endOfValid(bytes, i);
    if (valid > i) {
      text += strict.decode(bytes.subarray(i, valid));
      i = valid;
    } else {
      text += String.fromCharCode(0xdc00 + (bytes[i] ?? 0));
      i += 1;
    }
  }
  return text;
}

/** Where the valid UTF-8 that begins at `start` ends; `start` if there is none. */
function endOfValid(bytes: Uint8Array, start: number): number {
  let i = start;
  for (let length = sequenceLength(bytes, i); length > 0; length = sequenceLength(bytes, i)) i += length;
  return i;
}

/**
 * Length in bytes of the valid UTF-8 sequence at `i`, 0 if there is none (table 3-7 of the Unicode standard). The
 * decoder is not used, because its exceptions cost microseconds a byte, and users choose the bytes by running programs.
 */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const lead = bytes[i] ?? 0xff;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const second = bytes[i + 1] ?? 0;
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  if (lead < 0xe0) return 2;
  if (!continues(bytes[i + 2])) return 0;
  if (lead < 0xf0) return 3;
  return continues(bytes[i + 3]) ? 4 : 0;
}

function continues(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Encodes a string of `decodeText` into the original bytes. */
export function encodeText(text: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(text)) return new TextEncoder().encode(text);
  const parts: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code >= 0xdc80 && code <= 0xdcff) parts.push(code - 0xdc00);
    else parts.push(...new TextEncoder().encode(character));
  }
  return Uint8Array.from(parts);
}

/**
 * `text` as a C string, ended by a NUL byte. Throws a RangeError if it contains one: the kernel would see less of it.
 */
export function cString(text: string): Uint8Array {
  const bytes = encodeText(text);
  if (bytes.includes(0)) throw new RangeError("a NUL byte cannot be passed to the kernel");
  const terminated = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  terminated.set(bytes);
  return terminated;
}

// Not printable: C0, DEL, C1, line and paragraph separators, the bidirectional controls that reorder what a
// person reads, and lone surrogates (bytes that were not UTF-8).
const unprintable =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]/u;
/** Matches nearly every text, and takes a quarter of the time of the full check. */
const plain = /^[ -~]*$/;
/** The same without a backslash. */
const plainUnescaped = /^[ -[\]-~]*$/;
const everyUnprintable = new RegExp(unprintable.source, "gu");

/**
 * Escapes text for output: every byte of a character that is not printable becomes `\xNN`. A backslash stays as it is,
 * so the result cannot be decoded again; labels must not be ambiguous and use the function below.
 */
export function printable(text: string): string {
  return !plain.test(text) && unprintable.test(text) ? text.replace(everyUnprintable, escapeCharacter) : text;
}

/** As `printable`, and a backslash becomes `\\`: no two different names give the same text. */
export function unambiguous(text: string): string {
  if (plainUnescaped.test(text)) return text;
  return text.includes("\\") ? printable(text.replaceAll("\\", "\\\\")) : printable(text);
}

const escapeSequence = /\\(?:\\|x([0-9a-f]{2}))/g;
const encoder = new TextEncoder();

/**
 * The text that `unambiguous` was given. Undefined if `text` cannot come from it: it has a character that is not
 * printable, or a backslash that begins no escape.
 */
export function undoUnambiguous(text: string): string | undefined {
  if (plainUnescaped.test(text)) return text;
  if (!plain.test(text) && unprintable.test(text)) return undefined;
  if (!text.includes("\\")) return text;
  const bytes = new Uint8Array(text.length * 3);
  let length = 0;
  let end = 0;
  const addLiteral = (literal: string): boolean => {
    length += encoder.encodeInto(literal, bytes.subarray(length)).written;
    return !literal.includes("\\");
  };
  for (const match of text.matchAll(escapeSequence)) {
    if (!addLiteral(text.slice(end, match.index))) return undefined;
    bytes[length++] = match[1] === undefined ? 0x5c : Number.parseInt(match[1], 16);
    end = match.index + match[0].length;
  }
  return addLiteral(text.slice(end)) ? decodeText(bytes, 0, length) : undefined;
}

function escapeCharacter(character: string): string {
  let escaped = "";
  for (const byte of encodeText(character)) escaped += `\\x${byte.toString(16).padStart(2, "0")}`;
  return escaped;
}
