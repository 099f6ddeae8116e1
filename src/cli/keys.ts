// Keys that policies are signed with: Ed25519, in the PEM files that openssl writes and reads.
import type { KeyObject } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import type { Verify } from "../policy/signature.ts";
import { messageOf } from "../vocabulary/errors.ts";

/** An Ed25519 key in PEM is some 120 bytes. */
const KEY_LIMIT = 65_536;

/** What is wrong with a key's file, and what to do about it. */
export interface KeyProblem {
  readonly file: string;
  readonly message: string;
  readonly fix: string;
}

/** Loaded where keys are used only: it takes megabytes. */
export function cryptography(): typeof import("node:crypto") {
  return process.getBuiltinModule("node:crypto");
}

interface KeyFile {
  readonly text: string;
  readonly uid: number;
  readonly mode: number;
}

function readKeyFile(path: string): KeyFile | string {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { uid, mode, size } = fstatSync(fd);
      if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > KEY_LIMIT) return "is no file with a key";
      return { text: readFileSync(fd, "latin1"), uid, mode };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return `cannot be read: ${messageOf(error)}`;
  }
}

/** `owned`: it must be root's and nobody else may be able to write it, because it says whom this host obeys. */
export function readPublicKey(file: string, owned: boolean): KeyObject | KeyProblem {
  const found = readKeyFile(file);
  const fix = "make one with: treewarden policy keygen";
  if (typeof found === "string") return { file, message: found, fix };
  if (owned && (found.uid !== 0 || (found.mode & 0o022) !== 0))
    return {
      file,
      message: "others than root can change it",
      fix: `chown root ${file} && chmod 644 ${file}`,
    };
  if (found.text.includes("PRIVATE"))
    return { file, message: "is a private key", fix: "give the public one; keep this one off servers" };
  try {
    const key = cryptography().createPublicKey(found.text);
    if (key.asymmetricKeyType === "ed25519") return key;
    return { file, message: `is a key of another kind: ${key.asymmetricKeyType}`, fix };
  } catch {
    return { file, message: "is no public key in PEM", fix };
  }
}

export function readPrivateKey(file: string): KeyObject | KeyProblem {
  const found = readKeyFile(file);
  const fix = "make one with: treewarden policy keygen";
  if (typeof found === "string") return { file, message: found, fix };
  if ((found.mode & 0o077) !== 0) return { file, message: "others can read it", fix: `chmod 600 ${file}` };
  try {
    const key = cryptography().createPrivateKey(found.text);
    if (key.asymmetricKeyType === "ed25519") return key;
    return { file, message: `is a key of another kind: ${key.asymmetricKeyType}`, fix };
  } catch {
    return { file, message: "is no private key in PEM, or has a passphrase", fix };
  }
}

/** Whether a signature was made with one of these keys. */
export function verifierOf(keys: readonly KeyObject[]): Verify {
  const { verify } = cryptography();
  return (statement, signature) => keys.some((key) => verify(null, statement, key, signature));
}
