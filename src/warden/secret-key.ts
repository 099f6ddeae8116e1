// The keys of the warden's seals, each in a file of the state directory that only root can read: the one on learned trees
// (src/baseline/learned-seal.ts) and the one on the records of the journal (src/report/journal-chain.ts).
import { join } from "node:path";
import { type FileProblem, OPEN_TO_OTHERS, readCheckedFile, stateFile } from "../linux/root-file.ts";
import { SEAL_KEY_BYTES } from "../vocabulary/seal.ts";

/** In bytes: the key as hexadecimal digits, and a line feed. */
const FILE_LIMIT = 2 * SEAL_KEY_BYTES + 1;

/** Reads the key in the file `name` of the state directory; otherwise says why there is none. */
export function readSecretKey(stateDirectory: string, name: string): Uint8Array | FileProblem {
  const rules = { ...stateFile(FILE_LIMIT), forbiddenMode: OPEN_TO_OTHERS };
  const content = readCheckedFile(join(stateDirectory, name), rules);
  if (!content.ok) return content.problem;
  const [, digits] = /^([0-9a-f]{64})\n$/.exec(content.bytes.toString("latin1")) ?? [];
  return digits === undefined ? { kind: "not_regular", reason: "is not a key" } : Buffer.from(digits, "hex");
}

/** A new key, and the file in which it is kept. */
export function newSecretKey(
  stateDirectory: string,
  name: string,
): { readonly key: Uint8Array; readonly path: string; readonly text: string } {
  const key = crypto.getRandomValues(new Uint8Array(SEAL_KEY_BYTES));
  return { key, path: join(stateDirectory, name), text: `${Buffer.from(key).toString("hex")}\n` };
}
