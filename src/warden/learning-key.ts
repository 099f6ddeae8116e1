// The key of the warden's seals on learned trees (src/baseline/learned-seal.ts), in a file that only root can read.
import { join } from "node:path";
import { LEARNING_KEY } from "../baseline/file-names.ts";
import { SEAL_KEY_BYTES } from "../baseline/learned-seal.ts";
import { type FileProblem, OPEN_TO_OTHERS, readCheckedFile, stateFile } from "../linux/root-file.ts";

/** In bytes: the key as hexadecimal digits, and a line feed. */
const FILE_LIMIT = 2 * SEAL_KEY_BYTES + 1;

/** Reads the key; otherwise says why there is none. */
export function readLearningKey(stateDirectory: string): Uint8Array | FileProblem {
  const rules = { ...stateFile(FILE_LIMIT), forbiddenMode: OPEN_TO_OTHERS };
  const content = readCheckedFile(join(stateDirectory, LEARNING_KEY), rules);
  if (!content.ok) return content.problem;
  const [, digits] = /^([0-9a-f]{64})\n$/.exec(content.bytes.toString("latin1")) ?? [];
  return digits === undefined ? { kind: "not_regular", reason: "is not a key" } : Buffer.from(digits, "hex");
}

/** A new key, and the file in which it is kept. */
export function newLearningKey(stateDirectory: string): {
  readonly key: Uint8Array;
  readonly path: string;
  readonly text: string;
} {
  const key = crypto.getRandomValues(new Uint8Array(SEAL_KEY_BYTES));
  return { key, path: join(stateDirectory, LEARNING_KEY), text: `${Buffer.from(key).toString("hex")}\n` };
}
