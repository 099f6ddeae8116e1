import { expect, test } from "bun:test";
import { findUser, pickTransientUser } from "../../src/supervisor/reporter-user.ts";

const passwd = [
  "root:x:0:0:root:/root:/bin/bash",
  "nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin",
  "+nis::::::",
  "broken:x:12",
  "treewarden:x:997:996::/var/lib/treewarden:/usr/sbin/nologin",
  "",
].join("\n");

test("a user is found by its whole name", () => {
  expect(findUser(passwd, "treewarden")).toEqual({ uid: 997, gid: 996 });
  expect(findUser(passwd, "nobody")).toEqual({ uid: 65534, gid: 65533 });
  expect(findUser(passwd, "tree")).toBeUndefined();
});

test("an entry without numbers is not a user", () => {
  expect(findUser(passwd, "+nis")).toBeUndefined();
  expect(findUser(passwd, "broken")).toBeUndefined();
  expect(findUser(passwd, "")).toBeUndefined();
});

test("the transient user is a number of systemd's range that neither a user nor a process has", () => {
  const taken = new Set([61_184, 61_185]);
  expect(pickTransientUser(taken, undefined, 0)).toEqual({ uid: 61_186, gid: 61_186 });
  expect(pickTransientUser(new Set(), undefined, 4_335)).toEqual({ uid: 65_519, gid: 65_519 });
  expect(pickTransientUser(new Set([65_519]), undefined, 4_335)).toEqual({ uid: 61_184, gid: 61_184 });
});

test("the number of the last run is used again, unless somebody has got it meanwhile", () => {
  expect(pickTransientUser(new Set(), 62_000, 0)).toEqual({ uid: 62_000, gid: 62_000 });
  expect(pickTransientUser(new Set([62_000]), 62_000, 0)).toEqual({ uid: 61_184, gid: 61_184 });
});

test("a remembered number outside the range is not used: neither root's nor that of nobody", () => {
  for (const wrong of [0, 1000, 61_183, 65_520, 65_534, 1.5e9])
    expect(pickTransientUser(new Set(), wrong, 0)?.uid).toBe(61_184);
});

test("without a free number there is no user", () => {
  expect(pickTransientUser({ has: () => true }, 62_000, 0)).toBeUndefined();
});
