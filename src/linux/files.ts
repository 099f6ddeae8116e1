// Replaces files atomically: a reader, and a run after a crash, finds either the old or the new content.
import { closeSync, constants, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** Only the owner may read and write. */
const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
/** Fails if the path exists, so neither another user's file nor a link is followed. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

/**
 * Replaces the content of `path` by `text`, and creates missing folders. When it returns, the text survives a loss of
 * power (fsync(2) of the file and its folder), which may take as long as the disk is busy. If it throws the system's
 * error, the old content stays.
 */
export function writeFileAtomic(path: string, text: string, mode = PRIVATE_FILE): void {
  // The name of the temporary file must be unique, because two processes may replace the same path.
  const aside = `${path}.${process.pid}.new`;
  mkdirSync(dirname(path), { recursive: true, mode: PRIVATE_FOLDER });
  rmSync(aside, { force: true });
  try {
    withDescriptor(openSync(aside, NEW_FILE, mode), (fd) => {
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
      fsyncSync(fd);
    });
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  }
  withDescriptor(openSync(dirname(path), constants.O_RDONLY), fsyncSync);
}

function withDescriptor(fd: number, use: (fd: number) => void): void {
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * As `writeFileAtomic`, but on the runtime's threads, and for a path that only one process writes. With
 * `survives: "crash"` it does not wait for the disk: after a loss of power the file may be empty.
 */
export async function writeFileAtomicLater(
  path: string,
  text: string,
  survives: "crash" | "power loss",
): Promise<void> {
  // The temporary file of a crashed run is overwritten.
  const aside = `${path}.new`;
  await mkdir(dirname(path), { recursive: true, mode: PRIVATE_FOLDER });
  {
    await using file = await open(aside, "w", PRIVATE_FILE);
    await file.writeFile(text);
    if (survives === "power loss") await file.sync();
  }
  await rename(aside, path);
  if (survives === "crash") return;
  await using folder = await open(dirname(path), constants.O_RDONLY);
  await folder.sync();
}
