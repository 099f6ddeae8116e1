import { describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { findDigest, openDpkg, parseDiversions, parsePackageStatus } from "../../src/examiner/dpkg.ts";
import { debian, md5 } from "./root.ts";

describe("dpkg's status", () => {
  test("lists the installed packages with priority and essential", () => {
    using root = debian();
    const text = readFileSync(`${root.path}/var/lib/dpkg/status`, "utf8");
    expect(parsePackageStatus(text)).toEqual([
      { name: "coreutils", priority: "required", essential: true },
      { name: "site-tool", priority: "optional", essential: false },
    ]);
  });

  test("may be arbitrary text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const { name } of parsePackageStatus(text)) expect(name).not.toBe("");
        parseDiversions(text);
        findDigest(text, () => false);
      }),
    );
  });
});

describe("the owner of a path", () => {
  test("is found by the merged path and by the path in the list", () => {
    using root = debian();
    const packages = openDpkg(root.path);
    const digest = { algorithm: "md5", hex: md5("ls") } as const;
    const owned = { package: "coreutils", digest, shipped: digest } as const;
    expect(packages?.owner("/usr/bin/ls")).toEqual(owned);
    expect(packages?.owner("/bin/ls")).toEqual(owned);
  });

  test("is the diverting package, and the diverted package at the new path", () => {
    using root = debian();
    const packages = openDpkg(root.path);
    expect(packages?.owner("/usr/bin/cat")?.package).toBe("site-tool");
    expect(packages?.owner("/usr/bin/cat")?.digest?.hex).toBe(md5("cat of site-tool"));
    expect(packages?.owner("/usr/bin/cat.distrib")?.package).toBe("coreutils");
    expect(packages?.owner("/usr/bin/cat.distrib")?.digest?.hex).toBe(md5("cat"));
  });

  test("is undefined if no installed package lists it", () => {
    using root = debian();
    expect(openDpkg(root.path)?.owner("/usr/bin/stranger")).toBeUndefined();
    expect(openDpkg(root.path)?.owner("/opt/bin/ls")).toBeUndefined();
  });

  test("is different for /bin and /usr/bin where they are not merged", () => {
    using root = debian();
    rmSync(`${root.path}/bin`);
    root.file("/bin/ls", "ls");
    const packages = openDpkg(root.path);
    expect(packages?.owner("/bin/ls")?.package).toBe("coreutils");
    expect(packages?.owner("/usr/bin/ls")).toBeUndefined();
  });
});

describe("base programs", () => {
  test("are those of essential, required, important and standard packages, without sbin", () => {
    using root = debian();
    expect([...(openDpkg(root.path)?.basePrograms() ?? [])]).toEqual([
      ["/bin/ls", "coreutils, essential"],
      ["/usr/bin/cat.distrib", "coreutils, essential"],
    ]);
  });

  test("include those of configured packages", () => {
    using root = debian();
    expect([...(openDpkg(root.path)?.programsOf(new Set(["site-tool"])) ?? [])]).toEqual([
      ["/usr/bin/cat", "site-tool, configured"],
    ]);
  });
});

test("a database is not current after a write", () => {
  using root = debian();
  const packages = openDpkg(root.path);
  expect(packages?.isCurrent()).toBe(true);
  writeFileSync(`${root.path}/var/lib/dpkg/status`, "Package: other\nStatus: install ok installed\n");
  expect(packages?.isCurrent()).toBe(false);
});

test("an empty status file, as on other systems, is no database", () => {
  using root = debian();
  writeFileSync(`${root.path}/var/lib/dpkg/status`, "");
  expect(openDpkg(root.path)).toBeUndefined();
});
