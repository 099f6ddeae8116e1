// memfd_create(2): files in memory without a path, sealed against changes once they are written.
import { writeSync } from "node:fs";
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, checked, EINVAL, errno, SystemCallError } from "./libc.ts";
import { encodeText } from "./text.ts";

const libc = bindLibc({
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
});

// linux/memfd.h
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_NOEXEC_SEAL = 8;
// linux/fcntl.h: F_LINUX_SPECIFIC_BASE + 9; seals against further seals, shrinking, growing and writing
const F_ADD_SEALS = 1033;
const ALL_SEALS = 1 | 2 | 4 | 8;

/** A close-on-exec descriptor of a read-only file that contains `text`. /proc/PID/fd shows `name`. */
export function createSealedFile(name: string, text: string): number {
  const fd = createMemoryFile(encodeText(`${name}\0`));
  try {
    const bytes = encodeText(text);
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    checked("fcntl F_ADD_SEALS", libc.fcntl(fd, F_ADD_SEALS, ALL_SEALS), name);
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
  return fd;
}

function createMemoryFile(name: Uint8Array): number {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // Since Linux 6.3 a flag must say that the file is not executable; older kernels do not know the flag.
  const fd = libc.memfd_create(name, flags | MFD_NOEXEC_SEAL);
  if (fd >= 0) return fd;
  const failure = errno();
  if (failure !== EINVAL) throw new SystemCallError("memfd_create", failure);
  return checked("memfd_create", libc.memfd_create(name, flags));
}
