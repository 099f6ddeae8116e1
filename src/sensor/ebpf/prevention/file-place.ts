// Decides whether a file has the same path on the host as for the process that runs it, where that process has other mounts than
// the host: a service with a /tmp of its own, or a container. Exceptions are paths, and are identified as the host sees them. A
// file that has another path on the host, or none, may therefore be an exception for the policy although it is none by its
// identity, and must be left to user space.
import {
  aluImm,
  type Code,
  fp,
  jump32IfImm,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMapValue,
  type Register,
  r1,
  r2,
  r4,
  r6,
  r9,
  store,
} from "../../../linux/bpf/assembler.ts";
import { follow } from "../code.ts";
import { type KernelLayout, UPID_BYTES } from "../kernel.ts";
import type { PreventionMaps } from "./entries.ts";
import { preventionPage } from "./layout.ts";

/** The most mounts between a file and the root. systemd binds folders to themselves to write-protect them, some within others. */
const SELF_BINDS = 4;

/**
 * If the process of the task r6 has other mounts than the host: jumps to `dies` if a user has made them in a user namespace,
 * and to `open` unless the struct file r9 lies on the file system that is the root of both and has the same path in both. Goes
 * on otherwise. Uses 32 bytes of stack from `scratch` on. Loses r0 to r5.
 */
export function openElsewhere(kernel: KernelLayout, maps: PreventionMaps, scratch: number): Code {
  const { task, nsproxy, mountNamespace, userNamespace, fs, mount, file } = kernel;
  const [hostRoot, root, current, directory] = [scratch, scratch + 8, scratch + 16, scratch + 24] as const;
  /** Jumps to `open` unless r4 equals the 8 bytes on the stack at `place`. */
  const mustBe = (place: number): Code => [load(8, r1, fp, place), jumpIf(r4, "!=", r1, "open")];
  /** Sets r4 to the member at `offset` of the struct mount whose address is on the stack at `place`. */
  const memberOf = (place: number, offset: number): Code => [load(8, r4, fp, place), follow(r4, r4, offset)];
  return [
    [load(8, r1, r6, task.nsproxy), load(8, r1, r1, nsproxy.mnt), load(4, r1, r1, mountNamespace.inum)],
    [loadMapValue(r2, maps.page, preventionPage.hostMounts), load(4, r2, r2, 0)],
    jumpIf(r1, "==", r2, "the host's place"),
    // From mounts of his own any user can run a file of the host's by a descriptor.
    [load(8, r1, r6, task.nsproxy), load(8, r1, r1, nsproxy.mnt)],
    [load(8, r1, r1, mountNamespace.userNamespace), jumpIfImm(r1, "==", 0, "dies")],
    [load(4, r1, r1, userNamespace.level), jump32IfImm(r1, "!=", 0, "dies")],

    [hostRootDirectory(kernel, r4), store(8, fp, hostRoot, r4)],
    // The process has the same root directory, and no other one by chroot(2).
    [load(8, r4, r6, task.fs), store(8, fp, current, r4)],
    [follow(r4, r4, fs.rootDentry), mustBe(hostRoot)],
    [memberOf(current, fs.rootMount), aluImm("sub", r4, mount.vfs), store(8, fp, root, r4)],
    [memberOf(root, mount.root), mustBe(hostRoot)],
    atTop(mount, root, current),

    // Each mount on the way from the file to the root is a folder that is bound to itself: it changes no path.
    [load(8, r4, r9, file.mnt), aluImm("sub", r4, mount.vfs), store(8, fp, current, r4)],
    Array.from({ length: SELF_BINDS }, () => [
      [load(8, r1, fp, root), jumpIf(r4, "==", r1, "the host's place")],
      [memberOf(current, mount.root), store(8, fp, directory, r4)],
      [memberOf(current, mount.mountpoint), mustBe(directory)],
      [memberOf(current, mount.parent), store(8, fp, current, r4)],
    ]),
    mustBe(root),
    labelHere("the host's place"),
  ];
}

/**
 * Sets `dst` to the dentry that is the root directory of the host's pid 1. It is read at each exec, because pid 1 may change it
 * (pivot_root). Loses r0 to r5.
 */
function hostRootDirectory({ task, fs, mount, pid, upid, pidNamespace }: KernelLayout, dst: Register): Code {
  // The first of the numbers of a process is its pid in the host's pid namespace.
  const hostsNamespace = pid.numbers + 0 * UPID_BYTES + upid.namespace;
  return [
    load(8, dst, r6, task.threadPid),
    follow(dst, dst, hostsNamespace),
    follow(dst, dst, pidNamespace.init),
    follow(dst, dst, task.fs),
    follow(dst, dst, fs.rootMount),
    follow(dst, dst, mount.root - mount.vfs),
  ];
}

/**
 * Jumps to `open` unless the struct mount whose address is at `place` is `/` of its namespace. It is if it has no parent (the
 * kernel makes such a mount its own parent), or if it is mounted on `/` of the mount without a parent, which is the kernel's
 * first one. Overwrites `parent`.
 */
function atTop(mount: KernelLayout["mount"], place: number, parent: number): Code {
  return [
    [load(8, r4, fp, place), follow(r4, r4, mount.parent), store(8, fp, parent, r4)],
    [load(8, r1, fp, place), jumpIf(r4, "==", r1, "topmost")],
    [follow(r4, r4, mount.parent), load(8, r1, fp, parent), jumpIf(r4, "!=", r1, "open")],
    [load(8, r4, fp, parent), follow(r4, r4, mount.root), store(8, fp, parent, r4)],
    [load(8, r4, fp, place), follow(r4, r4, mount.mountpoint)],
    [load(8, r1, fp, parent), jumpIf(r4, "!=", r1, "open")],
    labelHere("topmost"),
  ];
}
