// Text from the kernel is bytes. Inside treewarden it is a JavaScript string that loses nothing (what is not
// UTF-8 becomes lone surrogates U+DC80..U+DCFF, as PEP 383 has it); at every edge it is printed escaped.

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes `bytes[start, end)`; every byte that is not part of valid UTF-8 becomes one lone surrogate U+DC00 + byte. */
export function decodeText(bytes: Uint8Array, start = 0, end = bytes.length): string {
  const view = bytes.subarray(start, end);
  try {
    return strict.decode(view);
  } catch {
    return decodeLossless(view);
  }
}

function decodeLossless(bytes: Uint8Array): string {
  let text = "";
  let i = 0;
  while (i < bytes.length) {
    const length = sequenceLength(bytes, i);
    if (length === 0) {
      text += String.fromCharCode(0xdc00 + (bytes[i] ?? 0));
      i += 1;
    } else {
      text += strict.decode(bytes.subarray(i, i + length));
      i += length;
    }
  }
  return text;
}

/** Length in bytes of the valid UTF-8 sequence at `i`, 0 if there is none (table 3-7 of the Unicode standard). */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const lead = bytes[i] ?? 0;
  if (lead < 0x80) return 1;
  const want =
    lead >= 0xc2 && lead <= 0xdf
      ? 2
      : lead >= 0xe0 && lead <= 0xef
        ? 3
        : lead >= 0xf0 && lead <= 0xf4
          ? 4
          : 0;
  if (want === 0 || i + want > bytes.length) return 0;
  try {
    strict.decode(bytes.subarray(i, i + want));
    return want;
  } catch {
    return 0;
  }
}

/** The bytes that `decodeText` was given. */
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

// Not printable: C0, DEL, C1, line and paragraph separators, the bidirectional controls that reorder what a
// person reads, and lone surrogates (bytes that were not UTF-8).
const unprintable =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]/u;
const everyUnprintable = new RegExp(unprintable.source, "gu");

/**
 * Text as every output shows it: what is not printable becomes `\xNN`, one for each byte it had. A backslash stays
 * as it is, so this is for reading, not for undoing; labels, which must not be ambiguous, escape it as well.
 */
export function printable(text: string): string {
  return unprintable.test(text) ? text.replace(everyUnprintable, escapeCharacter) : text;
}

/** As `printable`, and a backslash becomes `\\`: no two different names give the same text. */
export function unambiguous(text: string): string {
  return text.includes("\\") ? printable(text.replaceAll("\\", "\\\\")) : printable(text);
}

function escapeCharacter(character: string): string {
  let escaped = "";
  for (const byte of encodeText(character)) escaped += `\\x${byte.toString(16).padStart(2, "0")}`;
  return escaped;
}
