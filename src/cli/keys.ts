// Reads the keys that policies are signed with: Ed25519, in PEM files as openssl writes and reads them.
import type { KeyObject } from "node:crypto";
import { anyFile, OPEN_TO_OTHERS, readCheckedFile } from "../linux/root-file.ts";
import type { Verify } from "../policy/signature.ts";
import { fileRules, type ReadPurpose } from "./file-rules.ts";
import { filesOnDisk, type SettingFiles } from "./setting-files.ts";

/** Maximum size of a key file in bytes; an Ed25519 key in PEM takes about 120. */
const KEY_LIMIT = 65_536;

/** The problem of a key file, and how to fix it. */
export interface KeyProblem {
  readonly file: string;
  readonly message: string;
  readonly fix: string;
}

/** The crypto module, which is loaded only when keys are used because it takes megabytes. */
export function cryptography(): typeof import("node:crypto") {
  return process.getBuiltinModule("node:crypto");
}

export function readPublicKey(
  file: string,
  purpose: ReadPurpose,
  { read }: SettingFiles = filesOnDisk,
): KeyObject | KeyProblem {
  const fix = "make one with: treewarden policy keygen";
  const content = read(file, fileRules(purpose, KEY_LIMIT));
  if (!content.ok) return { file, message: content.problem.reason, fix: content.problem.fix ?? fix };
  const text = content.bytes.toString("latin1");
  if (text.includes("PRIVATE"))
    return { file, message: "is a private key", fix: "give the public one; keep this one off servers" };
  try {
    const key = cryptography().createPublicKey(text);
    if (key.asymmetricKeyType === "ed25519") return key;
    return { file, message: `is a key of another kind: ${key.asymmetricKeyType}`, fix };
  } catch {
    return { file, message: "is no public key in PEM", fix };
  }
}

export function readPrivateKey(file: string): KeyObject | KeyProblem {
  const fix = "make one with: treewarden policy keygen";
  const content = readCheckedFile(file, { ...anyFile(KEY_LIMIT), forbiddenMode: OPEN_TO_OTHERS });
  if (!content.ok) {
    const { kind, reason } = content.problem;
    if (kind === "wrong_mode") return { file, message: "others can read it", fix: `chmod 600 ${file}` };
    return { file, message: reason, fix };
  }
  try {
    const key = cryptography().createPrivateKey(content.bytes.toString("latin1"));
    if (key.asymmetricKeyType === "ed25519") return key;
    return { file, message: `is a key of another kind: ${key.asymmetricKeyType}`, fix };
  } catch {
    return { file, message: "is no private key in PEM, or has a passphrase", fix };
  }
}

/** A function that checks whether a signature was made with one of these keys. */
export function verifierOf(keys: readonly KeyObject[]): Verify {
  const { verify } = cryptography();
  return (statement, signature) => keys.some((key) => verify(null, statement, key, signature));
}
