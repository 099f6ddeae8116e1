// The links in /proc/PID/fd, a part of them at a time: a process may have a million descriptors, and reading all of their
// links takes the kernel a second.
import { bindLibc } from "../libc.ts";
import { systemCall } from "../system-calls.ts";
import { cString, decodeText } from "../text.ts";

const libc = bindLibc({
  openat: { args: ["i32", "ptr", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  readlinkat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
});
// glibc has getdents64 since 2.30, musl under another name.
const raw = bindLibc({ syscall: { args: ["i64", "i64", "ptr", "i64"], returns: "i64" } });

const SYS_getdents64 = systemCall("getdents64");
// fcntl.h
const AT_FDCWD = -100;
const O_DIRECTORY = process.arch === "arm64" ? 0x4000 : 0x1_0000;
const O_CLOEXEC = 0x8_0000;

/** struct linux_dirent64 (linux/dirent.h): inode, offset, length, type, name. */
const entry = { length: 16, name: 19 } as const;
/** Some 80 descriptors: 0.2 ms. */
const CHUNK_BYTES = 2_048;
/** `socket:[` and a 64-bit number. Longer links are cut, and name no socket. */
const LINK_BYTES = 40;

/** A link that is read whole; longer ones are cut. */
export const WHOLE_LINK_BYTES = 512;

const entries = new Uint8Array(new ArrayBuffer(CHUNK_BYTES));
const entriesView = new DataView(entries.buffer);
const link = new Uint8Array(new ArrayBuffer(WHOLE_LINK_BYTES));

export class DescriptorLinks implements Disposable {
  private fd: number;
  private readonly limit: number;

  /** Of a process that has ended, or may not be read, there are none. `limit`: longer links, in bytes, are left out. */
  constructor(pid: number, limit = LINK_BYTES) {
    this.limit = limit;
    this.fd = libc.openat(AT_FDCWD, cString(`/proc/${pid}/fd`), O_DIRECTORY | O_CLOEXEC);
  }

  /** The next links; undefined at the end. */
  next(): readonly string[] | undefined {
    if (this.fd < 0) return undefined;
    const got = Number(raw.syscall(SYS_getdents64, this.fd, entries, CHUNK_BYTES));
    if (got <= 0) return undefined;
    const links: string[] = [];
    for (let at = 0; at < got; at += entriesView.getUint16(at + entry.length, true)) {
      const name = entries.subarray(at + entry.name);
      const bytes = libc.readlinkat(this.fd, name, link, this.limit);
      if (bytes > 0 && bytes < this.limit) links.push(decodeText(link, 0, bytes));
    }
    return links;
  }

  [Symbol.dispose](): void {
    if (this.fd >= 0) libc.close(this.fd);
    this.fd = -1;
  }
}
