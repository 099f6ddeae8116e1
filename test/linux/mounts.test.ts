// Which mounts have changed, from two states of /proc/PID/mountinfo, and the kernel's event of it.
import { expect, test } from "bun:test";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { EPOLLPRI, Poll } from "../../src/linux/epoll.ts";
import { changedMountPoints, linesOf, MountWatch, mountPointOf } from "../../src/linux/mounts.ts";

// Taken from Debian 12.
const root = "29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro";
const shm = "31 24 0:26 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64";
const opt = "40 29 8:17 / /opt/my\\040shop rw,relatime shared:40 - ext4 /dev/sdb1 rw";

const changed = (before: readonly string[], after: readonly string[]): readonly string[] => [
  ...changedMountPoints(linesOf(before.join("\n")), linesOf(`${after.join("\n")}\n`)),
];

test("a file system that is mounted or unmounted changes its mount point alone", () => {
  expect(changed([root, shm], [root, shm, opt])).toEqual(["/opt/my shop"]);
  expect(changed([root, shm, opt], [root, shm])).toEqual(["/opt/my shop"]);
  expect(changed([root, shm], [shm, root])).toEqual([]);
});

test("another one in its place is seen, although the kernel uses the number of the mount again", () => {
  expect(changed([root, opt], [root, opt.replace("8:17", "8:33").replace("sdb1", "sdc1")])).toEqual([
    "/opt/my shop",
  ]);
});

test("a mount that is moved changes both places", () => {
  expect(changed([root, shm], [root, shm.replace("/dev/shm", "/run/shm")])).toEqual(["/dev/shm", "/run/shm"]);
});

test("a mount point is read back whatever is in its name", () => {
  const escaped = (path: string): string =>
    path.replaceAll(/[ \t\n\\]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, "0")}`);
  fc.assert(
    fc.property(fc.string(), (name) => {
      const path = `/${name}`;
      expect(mountPointOf(`40 29 8:17 / ${escaped(path)} rw - ext4 /dev/sdb1 rw`)).toBe(path);
    }),
  );
});

test("no text makes it fail", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => void changed([a], [b])));
});

test.skipIf(process.geteuid?.() !== 0)("the kernel reports a mount once, and nothing without one", () => {
  const folder = mkdtempSync(join(tmpdir(), "tw-mounts-"));
  using watch = new MountWatch();
  using poll = new Poll();
  poll.add(watch.fd, 7, EPOLLPRI);
  const mount = (...command: readonly string[]): void => {
    const { success, stderr } = Bun.spawnSync([...command, folder], { stderr: "pipe" });
    if (!success) throw new Error(stderr.toString());
  };
  try {
    expect(poll.wait(0)).toBe(0);
    mount("mount", "-t", "tmpfs", "tmpfs");
    try {
      expect([poll.wait(1_000), poll.tokens[0]]).toEqual([1, 7]);
      expect([...watch.takeChanges()]).toContain(folder);
    } finally {
      mount("umount");
    }
    expect(poll.wait(1_000)).toBe(1);
    expect([...watch.takeChanges()]).toContain(folder);
    expect([...watch.takeChanges()]).not.toContain(folder);
  } finally {
    rmdirSync(folder);
  }
});
