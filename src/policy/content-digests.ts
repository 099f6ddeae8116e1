// The contents that a role permits: a file of sha256sum(1), or single digests in the policy itself.
import type { FileError } from "../baseline/baseline-file.ts";

/** Maximum number of digests of a policy with all that it extends. */
export const DIGESTS_LIMIT = 10_000;
/** Maximum size of a file in bytes: enough for DIGESTS_LIMIT lines with paths of 350 characters. */
export const DIGESTS_FILE_LIMIT = 4 << 20;
/** Maximum number of errors that are reported for one file. */
const ERRORS_LIMIT = 20;

/** `HEX  FILE` or `HEX *FILE`; in front a backslash if the name has escapes; and `SHA256 (FILE) = HEX` of `--tag`. */
const plain = /^\\?([0-9a-fA-F]{64}) [ *].+$/;
const tagged = /^\\?SHA256 \(.+\) = ([0-9a-fA-F]{64})$/;

/** Whether an item of `digests` is a digest itself rather than a file. */
export function isContentDigest(item: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(item);
}

export type ReadDigests =
  | { readonly ok: true; readonly digests: readonly string[] }
  | { readonly ok: false; readonly errors: readonly FileError[] };

/**
 * Reads a file as sha256sum(1) writes it. Empty lines and lines that begin with `#` are ignored, and so are
 * names. The digests are `sha256:` and 64 lower-case hexadecimal digits.
 */
export function readDigests(bytes: Uint8Array): ReadDigests {
  const digests = new Set<string>();
  const errors: FileError[] = [];
  const lines = Buffer.from(bytes).toString("latin1").split("\n");
  for (const [i, text] of lines.entries()) {
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    if (line === "" || line.startsWith("#")) continue;
    const hex = (plain.exec(line) ?? tagged.exec(line))?.[1];
    if (hex !== undefined) digests.add(`sha256:${hex.toLowerCase()}`);
    else
      errors.push({ line: i + 1, message: "must be a line of sha256sum: 64 hexadecimal digits, and a file" });
    if (errors.length >= ERRORS_LIMIT) break;
    if (digests.size > DIGESTS_LIMIT) {
      errors.push({ line: i + 1, message: `more than ${DIGESTS_LIMIT} digests` });
      break;
    }
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, digests: [...digests] };
}
