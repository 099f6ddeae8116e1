// Reads one process's folder in /proc through one descriptor and one set of buffers. The descriptor refers to the
// process for which it was opened: once that has ended every read fails, even if its pid was reused.
import { closeDescriptor } from "../descriptor.ts";
import { bindLibc, checked, errno } from "../libc.ts";
import { cString } from "../text.ts";

const libc = bindLibc({
  openat: { args: ["i32", "ptr", "i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  readlinkat: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "i32"], returns: "i32" },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
});

// fcntl.h
const AT_FDCWD = -100;
const O_DIRECTORY = process.arch === "arm64" ? 0x4000 : 0x1_0000;
const O_CLOEXEC = 0x8_0000;
const O_PATH = 0x20_0000;
const AT_EMPTY_PATH = 0x1000;
/** linux/fcntl.h: uses cached attributes, so that a dead network file system cannot block the call. */
const AT_STATX_DONT_SYNC = 0x4000;
/** linux/stat.h: type, mode, nlink, uid, gid, atime, mtime, ctime, ino, size, blocks. */
const STATX_BASIC_STATS = 0x7ff;

/** linux/nsfs.h: a descriptor of the user namespace that owns a namespace. */
const NS_GET_USERNS = 0xb701;

/** The entries of /proc/PID that treewarden reads, as C strings; created once, so that a read creates no path. */
export const procEntry = {
  self: cString(""),
  cmdline: cString("cmdline"),
  exe: cString("exe"),
  stat: cString("stat"),
  status: cString("status"),
  statm: cString("statm"),
  cgroup: cString("cgroup"),
  cwd: cString("cwd"),
  loginuid: cString("loginuid"),
  sessionid: cString("sessionid"),
  mountNamespace: cString("ns/mnt"),
  pidNamespace: cString("ns/pid"),
  userNamespace: cString("ns/user"),
  environ: cString("environ"),
  maps: cString("maps"),
  tcp: cString("net/tcp"),
  tcp6: cString("net/tcp6"),
  udp: cString("net/udp"),
  udp6: cString("net/udp6"),
} as const;
export type ProcEntry = (typeof procEntry)[keyof typeof procEntry];

/** Size of the longest decimal pid (PID_MAX_LIMIT is 4 Mi) with its NUL. */
const PID_BYTES = 8;

/**
 * Reads the folder of one process at a time. `read` and `link` store their bytes in `data`, `look` fills the fields
 * below it. A negative result is -errno (-ESRCH, -ENOENT: the process has ended; -EACCES: not permitted).
 */
export class ProcessFolder implements Disposable {
  readonly data: Uint8Array;
  /** After `look`: the file's owner. */
  get uid(): number {
    return this.statxView.getUint32(20, true);
  }
  get gid(): number {
    return this.statxView.getUint32(24, true);
  }
  get mode(): number {
    return this.statxView.getUint16(28, true);
  }
  get inode(): number {
    return this.statxView.getUint32(32, true) + this.statxView.getUint32(36, true) * 2 ** 32;
  }
  /** Nanoseconds since 1970 of the last change of the file's inode. */
  get ctime(): number {
    const seconds = this.statxView.getUint32(96, true) + this.statxView.getInt32(100, true) * 2 ** 32;
    return seconds * 1e9 + this.statxView.getUint32(104, true);
  }
  /** st_dev as stat(2) gives it. */
  get device(): number {
    return makeDevice(this.statxView.getUint32(136, true), this.statxView.getUint32(140, true));
  }

  private readonly root: number;
  private readonly name = new Uint8Array(new ArrayBuffer(PID_BYTES));
  // struct statx of linux/stat.h.
  private readonly statxBuffer = new Uint8Array(new ArrayBuffer(256));
  private readonly statxView = new DataView(this.statxBuffer.buffer);
  private fd = -1;

  /** `capacity`: size in bytes of the longest file that is read whole. `root`: mount point of proc(5). */
  constructor(capacity: number, root = "/proc") {
    this.data = new Uint8Array(new ArrayBuffer(capacity));
    this.root = checked(
      "openat",
      libc.openat(AT_FDCWD, cString(root), O_PATH | O_DIRECTORY | O_CLOEXEC),
      root,
    );
  }

  /** Opens the folder of `pid` and closes the previous one. Returns 0 or -errno. */
  open(pid: number): number {
    this.close();
    writePid(this.name, pid);
    const fd = libc.openat(this.root, this.name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno();
    this.fd = fd;
    return 0;
  }

  /** Reads the start of a file, up to `limit` bytes or the size of `data`. Returns the number of bytes, or -errno. */
  read(file: ProcEntry, limit = this.data.length): number {
    const fd = this.openEntry(file);
    if (fd < 0) return fd;
    const got = libc.read(fd, this.data, limit);
    const failure = got < 0 ? -errno() : 0;
    libc.close(fd);
    return got < 0 ? failure : got;
  }

  /** A descriptor of a file, which belongs to the caller, or -errno. */
  openEntry(file: ProcEntry): number {
    const fd = libc.openat(this.fd, file, O_CLOEXEC);
    return fd < 0 ? -errno() : fd;
  }

  /** Reads the target of a link. Returns the number of bytes, or -errno. */
  link(file: ProcEntry): number {
    const got = libc.readlinkat(this.fd, file, this.data, this.data.length);
    return got < 0 ? -errno() : got;
  }

  /**
   * statx(2) of `file`, following links; `entry.self` is the folder, which the effective user owns. Returns 0 or
   * -errno.
   */
  look(file: ProcEntry): number {
    const flags = file.length === 1 ? AT_EMPTY_PATH | AT_STATX_DONT_SYNC : AT_STATX_DONT_SYNC;
    return libc.statx(this.fd, file, flags, STATX_BASIC_STATS, this.statxBuffer) < 0 ? -errno() : 0;
  }

  /** The inode of the user namespace that owns the namespace `file`; -errno on failure. */
  ownerOf(file: ProcEntry): number {
    const fd = this.openEntry(file);
    if (fd < 0) return fd;
    const owner = libc.ioctl(fd, NS_GET_USERNS, 0);
    const failure = owner < 0 ? -errno() : 0;
    libc.close(fd);
    if (owner < 0) return failure;
    const seen = libc.statx(owner, procEntry.self, AT_EMPTY_PATH, STATX_BASIC_STATS, this.statxBuffer);
    const result = seen < 0 ? -errno() : this.inode;
    libc.close(owner);
    return result;
  }

  /** Closes the open folder. */
  close(): void {
    if (this.fd >= 0) libc.close(this.fd);
    this.fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
    closeDescriptor(this.root);
  }
}

function writePid(name: Uint8Array, pid: number): void {
  let digits = 1;
  for (let rest = pid; rest >= 10 && digits < PID_BYTES - 1; rest = Math.floor(rest / 10)) digits += 1;
  name[digits] = 0;
  let rest = pid;
  for (let at = digits - 1; at >= 0; at -= 1) {
    name[at] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

/** A device number as stat(2) gives it (gnu_dev_makedev of sys/sysmacros.h). */
export function makeDevice(major: number, minor: number): number {
  const low = (minor & 0xff) + (major & 0xfff) * 2 ** 8;
  return low + Math.floor(minor / 2 ** 8) * 2 ** 20 + Math.floor(major / 2 ** 12) * 2 ** 44;
}
