// The rescue user of the configuration, as a user id.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRescueUser, readUserNames } from "../../src/warden/user-names.ts";

let folder = "";
let passwd = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tw-users-"));
  passwd = join(folder, "passwd");
  writeFileSync(
    passwd,
    "root:x:0:0:root:/root:/bin/sh\nops:x:1500:1500::/home/ops:/bin/bash\nalias:x:1500:1500::/:/bin/sh\nbroken:x:\n",
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("is found by its name, or has the id that is given, also if no file knows it", () => {
  expect(readRescueUser({ rescue_user: "ops" }, passwd)).toEqual({ uid: 1500, problem: undefined });
  expect(readRescueUser({ rescue_user: "70000" }, passwd)).toEqual({ uid: 70_000, problem: undefined });
  expect(readRescueUser({ rescue_user: undefined }, passwd)).toEqual({ uid: undefined, problem: undefined });
});

test("that does not exist is a problem, and no user is spared instead", () => {
  for (const file of [passwd, join(folder, "missing")])
    expect(readRescueUser({ rescue_user: "nobody-here" }, file)).toEqual({
      uid: undefined,
      problem: "there is no rescue user nobody-here: its sessions are not spared",
    });
  expect(readRescueUser({ rescue_user: "broken" }, passwd).uid).toBeUndefined();
});

test("an id has the name that stands first", () => {
  const nameOf = readUserNames(passwd);
  expect([nameOf(1500), nameOf(0), nameOf(7)]).toEqual(["ops", "root", undefined]);
});
