// Writes a package of Alpine anew with a higher version and the same content: later-apk.ts PACKAGE RESULT.
import { readFileSync, writeFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";

/** The first of several gzip streams: the next one begins with its own magic number and no name (RFC 1952). */
export function firstStream(bytes: Uint8Array): Uint8Array {
  const magic = Buffer.from([0x1f, 0x8b, 0x08, 0x00]);
  return bytes.subarray(0, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(magic, 4));
}

/**
 * The package with the version 9.something. The first stream is an archive with the description of the package; a
 * digit more would change the size of that file, which its header states.
 */
export function laterApk(apk: Uint8Array): Uint8Array {
  const control = firstStream(apk);
  const description = gunzipSync(control).toString("latin1");
  const later = description.replace(/^pkgver = \d/m, "pkgver = 9");
  if (later === description) throw new Error("the package must state its version");
  return Buffer.concat([gzipSync(Buffer.from(later, "latin1")), apk.subarray(control.length)]);
}

if (import.meta.main) {
  const [from = "", to = ""] = process.argv.slice(2);
  writeFileSync(to, laterApk(readFileSync(from)));
}
