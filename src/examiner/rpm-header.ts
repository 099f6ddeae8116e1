// Parses a package header of rpm's database (rpm's docs/manual/hregions.md and format.md): two counts, an index of
// entries, and the data that they point into, all big-endian. The bytes are not trusted.
import { decodeText } from "../linux/text.ts";

// lib/rpmtag.h
const tag = {
  name: 1000,
  fileFlags: 1037,
  fileDigests: 1035,
  directoryIndexes: 1116,
  baseNames: 1117,
  directoryNames: 1118,
  fileDigestAlgorithm: 5011,
} as const;
const INT32 = 4;
const STRING = 6;
const STRING_ARRAY = 8;
/** lib/rpmfiles.h: a configuration file, which may be changed, and a file that may be missing. */
const RPMFILE_CONFIG = 1;
const RPMFILE_GHOST = 64;

const INDEX_ENTRY = 16;
/** rpm's own limits (lib/header.c). */
const MAX_ENTRIES = 0xffff;
const MAX_BYTES = 256 << 20;

export interface RpmFile {
  readonly path: string;
  /** Lower-case hexadecimal; undefined if the file is not a regular file or may be changed. */
  readonly digest: string | undefined;
  /** A configuration file, or one that the package does not bring. */
  readonly changeable: boolean;
}

export interface RpmHeader {
  readonly name: string;
  /** OpenPGP's number of the hash algorithm (RFC 4880, 9.4); rpm's default is 1, MD5. */
  readonly digestAlgorithm: number;
  readonly files: readonly RpmFile[];
}

/** Undefined if the bytes are not a valid header. */
export function parseRpmHeader(bytes: Uint8Array): RpmHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) return undefined;
  const count = view.getUint32(0);
  const size = view.getUint32(4);
  const data = 8 + count * INDEX_ENTRY;
  if (count > MAX_ENTRIES || size > MAX_BYTES || data + size > bytes.length) return undefined;
  const end = data + size;
  const entries = new Map<number, { type: number; start: number; count: number }>();
  for (let offset = 8; offset < data; offset += INDEX_ENTRY) {
    const number = view.getUint32(offset);
    const start = data + view.getUint32(offset + 8);
    if (start <= end)
      entries.set(number, { type: view.getUint32(offset + 4), start, count: view.getUint32(offset + 12) });
  }
  const texts = (number: number): string[] => {
    const entry = entries.get(number);
    if (entry === undefined || (entry.type !== STRING && entry.type !== STRING_ARRAY)) return [];
    const strings: string[] = [];
    let offset = entry.start;
    while (strings.length < entry.count && offset < end) {
      const nul = bytes.indexOf(0, offset);
      if (nul === -1 || nul >= end) break;
      strings.push(decodeText(bytes, offset, nul));
      offset = nul + 1;
    }
    return strings;
  };
  const numbers = (number: number): number[] => {
    const entry = entries.get(number);
    if (entry === undefined || entry.type !== INT32) return [];
    const length = Math.min(entry.count, Math.floor((end - entry.start) / 4));
    return Array.from({ length }, (_, i) => view.getUint32(entry.start + i * 4));
  };
  const name = texts(tag.name)[0];
  if (name === undefined || name === "") return undefined;
  const directories = texts(tag.directoryNames);
  const indexes = numbers(tag.directoryIndexes);
  const digests = texts(tag.fileDigests);
  const flags = numbers(tag.fileFlags);
  const files = texts(tag.baseNames).map((base, i) => {
    const digest = digests[i] ?? "";
    const changeable = ((flags[i] ?? 0) & (RPMFILE_CONFIG | RPMFILE_GHOST)) !== 0;
    return {
      path: `${directories[indexes[i] ?? -1] ?? ""}${base}`,
      digest: /^[0-9a-f]{32,128}$/.test(digest) ? digest : undefined,
      changeable,
    };
  });
  return { name, digestAlgorithm: numbers(tag.fileDigestAlgorithm)[0] ?? 1, files };
}
