// Whether the content of a file is the host's: what root owns and nobody else can write.

/** S_IWGRP and S_IWOTH of linux/stat.h. With an access list the group's bits hold its mask, so that covers it too. */
const WRITABLE_BY_OTHERS = 0o022;

/** `uid` and `mode`: the file's st_uid, as the host's user namespace has it, and st_mode. */
export function isTrustedFile(uid: number, mode: number): boolean {
  return uid === 0 && (mode & WRITABLE_BY_OTHERS) === 0;
}
