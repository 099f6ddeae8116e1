// The C library through bun:ffi: symbols, errno, and the error that carries a failed call's name.
import { dlopen, type FFIFunction, read } from "bun:ffi";
import { constants } from "node:os";

const errnoLocation = { __errno_location: { args: [], returns: "ptr" } } as const;

/** The C library's soname: glibc's, else musl's. Both are already loaded by the runtime, so no path is searched. */
function soname(): string {
  try {
    // dlopen of Bun 1.4.5 refuses an empty list of symbols, so one symbol is bound.
    dlopen("libc.so.6", errnoLocation).close();
    return "libc.so.6";
  } catch {
    return process.arch === "arm64" ? "libc.musl-aarch64.so.1" : "libc.musl-x86_64.so.1";
  }
}

const library = soname();

/** The C library is musl, not glibc. */
export const isMusl = library.includes("musl");

/** Binds functions of the C library. Throws if one is missing. */
export function bindLibc<const Fns extends Record<string, FFIFunction>>(functions: Fns) {
  return dlopen(library, functions).symbols;
}

const location = bindLibc(errnoLocation);

/** errno of the calling thread; only meaningful right after a failed call, before anything else runs. */
export function errno(): number {
  const address = location.__errno_location();
  return address === null ? 0 : read.i32(address, 0);
}

const names = new Map<number, string>(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

/** The symbolic name of an errno value, for example `EPERM`. */
export function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}

/** A failed system call: its name, its errno, and what it was applied to. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  readonly call: string;
  readonly errno: number;

  constructor(call: string, number: number, subject?: string) {
    super(`${call}${subject === undefined ? "" : ` ${subject}`}: ${errnoName(number)}`);
    this.call = call;
    this.errno = number;
  }
}

/** Returns `result`, or throws a SystemCallError that names `call` if `result` is negative. */
export function checked(call: string, result: number, subject?: string): number {
  if (result < 0) throw new SystemCallError(call, errno(), subject);
  return result;
}

export const EINTR = constants.errno.EINTR;
export const EAGAIN = constants.errno.EAGAIN;
export const ENOENT = constants.errno.ENOENT;
export const ESRCH = constants.errno.ESRCH;
export const EPIPE = constants.errno.EPIPE;
export const EPERM = constants.errno.EPERM;
export const EINVAL = constants.errno.EINVAL;
export const ENOBUFS = constants.errno.ENOBUFS;
export const EBUSY = constants.errno.EBUSY;
export const ETIMEDOUT = constants.errno.ETIMEDOUT;
export const ENOSYS = constants.errno.ENOSYS;
export const EINPROGRESS = constants.errno.EINPROGRESS;
