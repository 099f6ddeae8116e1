// Notices that a file was replaced, or an entry of a folder: some ten times as fast as the runtime's stat(2), whose result is
// an object.
import { bindLibc, ENOENT, errno, SystemCallError } from "./libc.ts";
import { cString } from "./text.ts";

const libc = bindLibc({ statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" } });

// fcntl.h
const AT_FDCWD = -100;
// linux/stat.h
const STATX_MTIME = 0x40;
const STATX_INO = 0x100;
/** struct statx of linux/stat.h, in words of 32 bits: stx_ino, stx_mtime and stx_dev. */
const WORDS = [8, 9, 28, 29, 30, 34, 35] as const;
const STATX_WORDS = 64;

export class FileVersion {
  private readonly path: string;
  private readonly name: Uint8Array;
  private readonly found = new Uint32Array(new ArrayBuffer(4 * STATX_WORDS));
  private readonly last = new Uint32Array(STATX_WORDS);
  private text = "";

  constructor(path: string) {
    this.path = path;
    this.name = cString(path);
  }

  /**
   * Another text once the file was replaced or written to; of a folder, once an entry was. Empty if there is none. Throws a
   * SystemCallError if that cannot be known.
   */
  get current(): string {
    const { found, last } = this;
    if (libc.statx(AT_FDCWD, this.name, 0, STATX_INO | STATX_MTIME, found) !== 0) {
      const failure = errno();
      if (failure !== ENOENT) throw new SystemCallError("statx", failure, this.path);
      this.text = "";
      return "";
    }
    if (this.text !== "" && WORDS.every((word) => found[word] === last[word])) return this.text;
    last.set(found);
    this.text = WORDS.map((word) => found[word]).join(":");
    return this.text;
  }
}
