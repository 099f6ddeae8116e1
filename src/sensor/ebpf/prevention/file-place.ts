// Whether a file lies where the host has it, for a process with other mounts than the host: a service with a /tmp of its own, or
// a container. Only then is it known which path the file has for the policy: exceptions are identified by their paths on the
// host, so a file that has another path there, or none, may be one.
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

/** systemd binds folders to themselves to write-protect them, some within others. */
const SELF_BINDS = 4;

/**
 * Jumps to `open` if the process of the task r6 has other mounts than the host, unless the struct file r9 lies on the file system
 * that is the root of both, and has the same path in both; and to `dies` if a user has made these mounts. Uses 32 bytes of stack from `scratch` on. Loses r0 to r5.
 */
export function openElsewhere(kernel: KernelLayout, maps: PreventionMaps, scratch: number): Code {
  const { task, nsproxy, mountNamespace, userNamespace, fs, mount, file } = kernel;
  const [hostRoot, root, current, directory] = [scratch, scratch + 8, scratch + 16, scratch + 24] as const;
  /** Jumps to `open` unless r4 and what is at `place` are the same. */
  const mustBe = (place: number): Code => [load(8, r1, fp, place), jumpIf(r4, "!=", r1, "open")];
  /** Sets r4 to the member of the struct mount at `place`. */
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
 * Sets `dst` to the directory that is the root of the host's pid 1. It is read each time, as it may become another one. Loses r0 to
 * r5.
 */
function hostRootDirectory({ task, fs, mount, pid, upid, pidNamespace }: KernelLayout, dst: Register): Code {
  // The first number of a process is that on the host.
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
 * Jumps to `open` unless the struct mount at `place` is `/` of its namespace: it has no parent, or is mounted on `/` of the
 * one that has none, which is the first one that the kernel has mounted. Overwrites `parent`.
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
