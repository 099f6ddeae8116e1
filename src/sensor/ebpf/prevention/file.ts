// Reads what identifies a file. The exec program and the iterator over open files share this, so that both get the same numbers
// for the same file.
import {
  aluImm,
  type Code,
  fp,
  jumpIfImm,
  labelHere,
  load,
  movImm,
  type Register,
  r1,
  r2,
  r3,
  r4,
  store,
} from "../../../linux/bpf/assembler.ts";
import type { KernelLayout } from "../kernel.ts";
import { exceptionKey } from "./layout.ts";

/** include/linux/fs.h, since 6.13: the uppermost bit of the nanoseconds marks a time that has been queried. */
const CTIME_MASK = 0x7fff_ffff;

/**
 * Writes what identifies the struct file at `file` to the exception key on the stack at `place`, except for the set. Sets
 * r2 to the level of the user namespace of its file system, 0 for the host's, and leaves its inode in r1. Loses r3 and r4.
 */
export function readFileKey(
  { file: { inode: ofFile }, inode, superBlock, userNamespace }: KernelLayout,
  file: Register,
  place: number,
): Code {
  return [
    load(8, r1, file, ofFile),
    [load(8, r2, r1, inode.ino), store(8, fp, place + exceptionKey.inode, r2)],
    [load(4, r2, r1, inode.generation), store(4, fp, place + exceptionKey.generation, r2)],
    [load(8, r2, r1, inode.ctime), store(8, fp, place + exceptionKey.changed, r2)],
    [load(4, r2, r1, inode.ctimeNanoseconds), aluImm("and", r2, CTIME_MASK)],
    store(4, fp, place + exceptionKey.changedNanoseconds, r2),
    load(8, r3, r1, inode.sb),
    [load(4, r2, r3, superBlock.dev), store(4, fp, place + exceptionKey.device, r2)],
    [load(8, r2, r3, superBlock.magic), store(8, fp, place + exceptionKey.filesystem, r2)],
    load(8, r4, r3, superBlock.userNamespace),
    movImm(r2, -1),
    jumpIfImm(r4, "==", 0, "file system of nobody"),
    load(4, r2, r4, userNamespace.level),
    labelHere("file system of nobody"),
  ];
}
