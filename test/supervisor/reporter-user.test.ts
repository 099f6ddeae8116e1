import { expect, test } from "bun:test";
import { findUser } from "../../src/supervisor/reporter-user.ts";

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
