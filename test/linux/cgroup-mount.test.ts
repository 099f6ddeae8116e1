// Where the unified hierarchy of control groups is mounted, from lines of /proc/PID/mountinfo.
import { expect, test } from "bun:test";
import { unifiedMounts } from "../../src/linux/cgroup-mount.ts";

// Taken from Debian 12 with both versions mounted; the last two are made up.
const mountinfo = `22 29 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
31 22 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:29 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
40 29 0:28 /../.. /mnt/a\\040place rw,relatime master:1 propagate_from:2 - cgroup2 none rw
41 29 0:50 / /cgroup2 rw,relatime - ext4 /dev/cgroup2 rw
`;

test("every mount of the file system cgroup2 is found, with its path unescaped", () => {
  expect(unifiedMounts(mountinfo)).toEqual(["/sys/fs/cgroup/unified", "/mnt/a place"]);
});

test("a host without one has none", () => {
  expect(unifiedMounts("")).toEqual([]);
  expect(unifiedMounts(mountinfo.replaceAll("- cgroup2", "- cgroup"))).toEqual([]);
});
