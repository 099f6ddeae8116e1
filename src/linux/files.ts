// Replacing a file as a whole: a reader, and a run that follows a crash, finds the old content or the new one.
import { closeSync, constants, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** For its owner alone. */
const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
/** Nothing may lie there: neither what another user put there nor a link that leads elsewhere. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

/**
 * Puts `text` at `path` and makes missing folders for it. When it returns the text survives a loss of power (fsync(2) of
 * the file and of its folder), which may take as long as the disk is busy. Throws what the system says, and leaves the
 * old content then.
 */
export function writeFileAtomic(path: string, text: string, mode = PRIVATE_FILE): void {
  // Two processes that write one path must not write one file.
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
 * As `writeFileAtomic`, by the runtime's own threads, for a path that one process alone writes. With `survives: "crash"` the disk is not waited for: after a loss of
 * power the file may be empty.
 */
export async function writeFileAtomicLater(
  path: string,
  text: string,
  survives: "crash" | "power loss",
): Promise<void> {
  // What a crash left there is written over.
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
