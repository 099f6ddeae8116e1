// Lists of networks in files of their own, which another program may write: `"lists": { "feed": { "file": "feed.txt" } }`.
import type { FileError } from "../baseline/baseline-file.ts";
import { shownValue } from "../vocabulary/error-text.ts";
import { parseNetwork } from "../vocabulary/ip-network.ts";
import type { Steps } from "../vocabulary/steps.ts";

/** The most networks of a file, as of a list in the policy itself. */
const NETWORKS_LIMIT = 10_000;
/** Maximum size of a file in bytes: enough for NETWORKS_LIMIT lines of IPv4 networks with a comment each. */
export const LIST_FILE_LIMIT = 1 << 20;
/** Lines that are read in one step: some 0.2 ms. */
const LINES_PER_STEP = 256;
/** Maximum number of errors that are reported for one file. */
const ERRORS_LIMIT = 20;

export type ReadList =
  | { readonly ok: true; readonly items: readonly string[] }
  | { readonly ok: false; readonly errors: readonly FileError[] };

/** Reads a network or an address from each line. What follows a `#` or a `;` is a comment; empty lines are ignored. */
export function* readingListFile(bytes: Uint8Array): Steps<ReadList> {
  const items = new Set<string>();
  const errors: FileError[] = [];
  const lines = Buffer.from(bytes).toString("latin1").split("\n");
  for (const [i, text] of lines.entries()) {
    if (i % LINES_PER_STEP === 0) yield;
    const item = text.replace(/[#;].*/s, "").trim();
    if (item === "") continue;
    if (parseNetwork(item) !== undefined) items.add(item);
    else
      errors.push({ line: i + 1, message: `must be a network such as 10.0.0.0/8, not ${shownValue(item)}` });
    if (items.size > NETWORKS_LIMIT)
      errors.push({ line: i + 1, message: `more than ${NETWORKS_LIMIT} networks` });
    if (errors.length >= ERRORS_LIMIT || items.size > NETWORKS_LIMIT) break;
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, items: [...items] };
}
