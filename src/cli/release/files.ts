// The files of a release in a folder, and their digests.
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../vocabulary/errors.ts";
import { CommandError, exitCodes } from "../output.ts";
import { RELEASE_SIGNATURE } from "./statement.ts";

/** An executable is larger than what a process should hold in memory at once. */
const CHUNK = 1 << 20;

/** The names of everything in a folder but the signature, sorted. Throws a CommandError if the folder cannot be read. */
export function releaseFileNames(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name !== RELEASE_SIGNATURE)
      .sort();
  } catch (error) {
    throw new CommandError(exitCodes.usage, `cannot read ${folder}: ${messageOf(error)}`);
  }
}

/** `sha256:` and the digest of a regular file; undefined if it is something else, such as a symbolic link. */
export function releaseFileDigest(folder: string, name: string): string | undefined {
  let fd: number;
  try {
    // A pipe in the folder must not block.
    fd = openSync(join(folder, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    if (!fstatSync(fd).isFile()) return undefined;
    const hasher = new Bun.CryptoHasher("sha256");
    const chunk = new Uint8Array(new ArrayBuffer(CHUNK));
    for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk))
      hasher.update(chunk.subarray(0, count));
    return `sha256:${hasher.digest("hex")}`;
  } finally {
    closeSync(fd);
  }
}
