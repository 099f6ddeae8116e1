// Opens the files that a process runs, through its directory in /proc: its executable, and a script as the process would
// find it. They are opened with O_PATH, which reads nothing and has no effect on the file, and only as far as the kernel
// has them in memory, so that no file system can block the caller.
import { bindLibc, checked } from "../libc.ts";
import { systemCall } from "../system-calls.ts";
import { cString } from "../text.ts";
import { makeDevice } from "./read.ts";

const libc = bindLibc({
  openat: { args: ["i32", "ptr", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
});
// glibc has no openat2 before 2.42.
const raw = bindLibc({ syscall: { args: ["i64", "i64", "ptr", "ptr", "i64"], returns: "i64" } });

const SYS_openat2 = systemCall("openat2");
// fcntl.h
const AT_FDCWD = -100;
const O_CLOEXEC = 0x8_0000;
const O_PATH = 0x20_0000;
const AT_EMPTY_PATH = 0x1000;
/** linux/fcntl.h: uses cached attributes, so that a dead network file system cannot block the call. */
const AT_STATX_DONT_SYNC = 0x4000;
/** linux/stat.h: type, mode, nlink, uid, gid, atime, mtime, ctime, ino, size, blocks. */
const STATX_BASIC_STATS = 0x7ff;
// linux/stat.h
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
// linux/openat2.h. RESOLVE_CACHED is Linux 5.12; an older kernel refuses the call with EINVAL.
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const RESOLVE_CACHED = 0x20;

/** A file and the state of its content. Equal states have equal content, see `sameContent`. */
export interface FileState {
  /** st_dev and st_ino as stat(2) gives them. */
  readonly device: number;
  readonly inode: number;
  readonly size: number;
  /** Time of the last write, and of the last change of the inode: ns since 1970, as exact as a number can be (256 ns). */
  readonly modified: number;
  readonly changed: number;
}

/** Whether both are states of one file that was not changed between them. */
export function isSameFileState(a: FileState, b: FileState): boolean {
  return a.changed === b.changed && a.inode === b.inode && a.device === b.device && sameContent(a, b);
}

/** Whether a file was not written to between two of its states. A writer that also resets its times is not noticed. */
export function sameContent(a: FileState, b: FileState): boolean {
  return a.size === b.size && a.modified === b.modified;
}

/** A file that is open with O_PATH, and its state. The descriptor belongs to the caller. */
export interface OpenedFile {
  readonly fd: number;
  readonly state: FileState;
}

const nothing = cString("");
const proc = checked("openat", libc.openat(AT_FDCWD, cString("/proc"), O_PATH | O_CLOEXEC), "/proc");
// struct statx of linux/stat.h.
const statxBuffer = new Uint8Array(new ArrayBuffer(256));
const statxView = new DataView(statxBuffer.buffer);
// struct open_how of linux/openat2.h: flags, mode, resolve.
const how = BigUint64Array.of(
  BigInt(O_PATH | O_CLOEXEC),
  0n,
  BigInt(RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT | RESOLVE_CACHED),
);

/** The executable of process `pid`; undefined if the process has ended. */
export function openExecutable(pid: number): OpenedFile | undefined {
  return opened(libc.openat(proc, cString(`${pid}/exe`), O_PATH | O_CLOEXEC));
}

/**
 * The file at an absolute `path` (a C string) as process `pid` would find it. Undefined if the process has ended, if
 * there is no regular file, if the kernel does not have the path in memory, and on kernels before Linux 5.12.
 */
export function openInRootOf(pid: number, path: Uint8Array): OpenedFile | undefined {
  const root = libc.openat(proc, cString(`${pid}/root`), O_PATH | O_CLOEXEC);
  if (root < 0) return undefined;
  const fd = Number(raw.syscall(SYS_openat2, root, path, how, how.byteLength));
  libc.close(root);
  return opened(fd);
}

/** What `fd` refers to; undefined if that is no regular file. */
function opened(fd: number): OpenedFile | undefined {
  if (fd < 0) return undefined;
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  const isRegular =
    libc.statx(fd, nothing, flags, STATX_BASIC_STATS, statxBuffer) === 0 &&
    (statxView.getUint16(28, true) & S_IFMT) === S_IFREG;
  if (isRegular) return { fd, state: stateRead() };
  libc.close(fd);
  return undefined;
}

function stateRead(): FileState {
  return {
    device: makeDevice(statxView.getUint32(136, true), statxView.getUint32(140, true)),
    inode: wordAt(32),
    size: wordAt(40),
    modified: timeAt(112),
    changed: timeAt(96),
  };
}

function wordAt(offset: number): number {
  return statxView.getUint32(offset, true) + statxView.getUint32(offset + 4, true) * 2 ** 32;
}

/** struct statx_timestamp: seconds, then nanoseconds. The seconds in nanoseconds are exact as a number. */
function timeAt(offset: number): number {
  const seconds = statxView.getUint32(offset, true) + statxView.getInt32(offset + 4, true) * 2 ** 32;
  return seconds * 1e9 + statxView.getUint32(offset + 8, true);
}
