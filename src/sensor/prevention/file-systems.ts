// File systems by `s_magic` of their super block (linux/magic.h, and the file systems' own headers).

/**
 * Local file systems on which device, inode, generation and ctime name one content of one file for as long as it is
 * mounted. Not overlay, whose inodes may be numbered anew; not images such as squashfs and erofs, whose numbers and times
 * another image on the same device may have, too.
 */
const identifying: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x5846_5342, // xfs
  0x9123_683e, // btrfs
  0xf2f5_2010, // f2fs
  0x0102_1994, // tmpfs
]);

/** Whether a file system with this magic keeps identities of files. */
export function keepsIdentities(filesystem: number): boolean {
  return identifying.has(filesystem);
}

/** File systems whose content comes from another host, or from a process. */
export const remoteFileSystems: readonly number[] = [
  0x6573_5546, // FUSE, and virtiofs
  0x6969, // NFS
  0xff53_4d42, // CIFS
  0xfe53_4d42, // SMB2
  0x517b, // SMB
  0x0102_1997, // 9P
  0x00c3_6400, // Ceph
  0x5346_414f, // AFS
  0x6b41_4653, // kAFS
  0x7375_7245, // Coda
  0x0bd0_0bd0, // Lustre
  0x4750_4653, // GPFS
  0x1983_0326, // BeeGFS
  0x786f_4256, // VirtualBox
  0xbacb_acbc, // VMware
];
