import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { openApk, parseChecksum, readInstalled } from "../../src/examiner/apk.ts";
import { Root } from "./root.ts";

const sha1 = (text: string) => createHash("sha1").update(text).digest();

/** As apk-tools 2.14 writes it. */
const installed = [
  "C:Q1xLd0000000000000000000000000=",
  "P:busybox",
  "V:1.36.1-r29",
  "A:x86_64",
  "F:bin",
  "R:busybox",
  "a:0:0:755",
  `Z:Q1${sha1("busybox").toString("base64")}`,
  "F:etc",
  "R:securetty",
  "Z:Q1mB95Hq2NUTZ599RDiSsj9w5FrOU=",
  "",
  "P:nginx",
  "V:1.26.2-r4",
  "F:usr/sbin",
  "R:nginx",
  "F:usr/bin",
  "R:nginx-tool",
  "",
].join("\n");

function alpine(): Root {
  const root = new Root();
  root.file("/lib/apk/db/installed", installed);
  return root;
}

describe("apk's list of installed packages", () => {
  test("gives every file with its package and checksum", () => {
    const files: unknown[] = [];
    readInstalled(installed, (...file) => files.push(file));
    expect(files).toEqual([
      ["busybox", "/bin/busybox", `Q1${sha1("busybox").toString("base64")}`],
      ["busybox", "/etc/securetty", "Q1mB95Hq2NUTZ599RDiSsj9w5FrOU="],
      ["nginx", "/usr/sbin/nginx", undefined],
      ["nginx", "/usr/bin/nginx-tool", undefined],
    ]);
  });

  test("may be arbitrary text", () => {
    const lines = fc.array(
      fc.tuple(fc.constantFrom("P:", "F:", "R:", "Z:", "", "C"), fc.string()).map((two) => two.join("")),
    );
    fc.assert(
      fc.property(lines, (text) => {
        readInstalled(text.join("\n"), (name) => expect(name).not.toBe(""));
      }),
    );
  });

  test("has checksums of two kinds; others are ignored", () => {
    expect(parseChecksum(`Q1${sha1("x").toString("base64")}`)).toEqual({
      algorithm: "sha1",
      hex: sha1("x").toString("hex"),
    });
    expect(parseChecksum("Q1AAAA")).toBeUndefined();
    expect(parseChecksum("Q3AAAA")).toBeUndefined();
  });
});

test("apk's database gives owner and digest of a path, and the base programs", () => {
  using root = alpine();
  const packages = openApk(root.path);
  expect(packages?.owner("/bin/busybox")).toEqual({
    package: "busybox",
    digest: { algorithm: "sha1", hex: sha1("busybox").toString("hex") },
    shipped: { algorithm: "sha1", hex: sha1("busybox").toString("hex") },
  });
  expect(packages?.owner("/usr/sbin/nginx")).toEqual({
    package: "nginx",
    digest: undefined,
    shipped: undefined,
  });
  expect(packages?.owner("/usr/bin/busybox")).toBeUndefined();
  expect([...(packages?.basePrograms().keys() ?? [])]).toEqual(["/bin/busybox"]);
  expect([...(packages?.programsOf(new Set(["nginx"])).keys() ?? [])]).toEqual(["/usr/bin/nginx-tool"]);
});
