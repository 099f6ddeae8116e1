// A package's header as rpm keeps it in its database (rpm's docs/manual/hregions.md and format.md): two numbers, an
// index of entries, and the data they point into; all of it big-endian. The bytes may be anything.
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
/** lib/rpmfiles.h: a file that its owner may change, and one that need not be there. */
const RPMFILE_CONFIG = 1;
const RPMFILE_GHOST = 64;

const INDEX_ENTRY = 16;
/** rpm's own limits (lib/header.c). */
const MOST_ENTRIES = 0xffff;
const MOST_BYTES = 256 << 20;

export interface RpmFile {
  readonly path: string;
  /** Lower case hexadecimal; undefined for what is no regular file or may be changed. */
  readonly digest: string | undefined;
}

export interface RpmHeader {
  readonly name: string;
  /** OpenPGP's number of the hash (RFC 4880, 9.4); rpm's default is MD5. */
  readonly digestAlgorithm: number;
  readonly files: readonly RpmFile[];
}

/** undefined if the bytes are no header. */
export function parseRpmHeader(bytes: Uint8Array): RpmHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) return undefined;
  const count = view.getUint32(0);
  const size = view.getUint32(4);
  const data = 8 + count * INDEX_ENTRY;
  if (count > MOST_ENTRIES || size > MOST_BYTES || data + size > bytes.length) return undefined;
  const end = data + size;
  const entries = new Map<number, { type: number; start: number; count: number }>();
  for (let at = 8; at < data; at += INDEX_ENTRY) {
    const number = view.getUint32(at);
    const start = data + view.getUint32(at + 8);
    if (start <= end)
      entries.set(number, { type: view.getUint32(at + 4), start, count: view.getUint32(at + 12) });
  }
  const texts = (number: number): string[] => {
    const entry = entries.get(number);
    if (entry === undefined || (entry.type !== STRING && entry.type !== STRING_ARRAY)) return [];
    const found: string[] = [];
    let at = entry.start;
    while (found.length < entry.count && at < end) {
      const nul = bytes.indexOf(0, at);
      if (nul === -1 || nul >= end) break;
      found.push(decodeText(bytes, at, nul));
      at = nul + 1;
    }
    return found;
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
      digest: changeable || !/^[0-9a-f]{32,128}$/.test(digest) ? undefined : digest,
    };
  });
  return { name, digestAlgorithm: numbers(tag.fileDigestAlgorithm)[0] ?? 1, files };
}
