// The files that captures are in. A capture holds arguments, so only its owner may read it; and what root writes must
// not go where somebody else's symbolic link leads.
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { codeOf } from "../../linux/system-error.ts";
import type { ByteSource } from "./frame.ts";

const MODE = 0o600;

/** A new file to append to. */
export class CaptureFile implements Disposable {
  private readonly fd: number;

  /**
   * Creates the file at `path`, or takes one that is there and empty. Throws if that is a link, is not empty or is
   * somebody else's, and as node:fs does.
   */
  constructor(path: string) {
    this.fd = openNew(path);
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
  }

  /** What was written is on the disk when this returns. */
  sync(): void {
    fsyncSync(this.fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

function openNew(path: string): number {
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
  try {
    return openSync(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, MODE);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  const fd = openSync(path, O_WRONLY | O_NOFOLLOW | constants.O_NONBLOCK);
  const { size, uid } = fstatSync(fd);
  if (fstatSync(fd).isFile() && size === 0 && uid === process.geteuid?.()) {
    fchmodSync(fd, MODE);
    return fd;
  }
  closeSync(fd);
  throw new Error(`${path} is there already and is not overwritten`);
}

/** A folder can be opened; reading it fails with an error that says so. */
function openRegular(path: string): number {
  const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;
  const fd = openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  const file = fstatSync(fd);
  if (file.isFile() || file.isDirectory()) return fd;
  closeSync(fd);
  throw new Error("it is not a regular file");
}

/** An existing file to read from its start. */
export class CaptureInput implements Disposable {
  private readonly fd: number;

  /** Throws as node:fs does, and for a named pipe or a device, which might never end. */
  constructor(path: string) {
    this.fd = openRegular(path);
  }

  readonly read: ByteSource = (target) => {
    let length = 0;
    while (length < target.length) {
      const got = readSync(this.fd, target, length, target.length - length, null);
      if (got === 0) break;
      length += got;
    }
    return length;
  };

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
