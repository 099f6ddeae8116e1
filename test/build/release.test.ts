// Parts of `npm run release` that need neither a build nor the network.
import { describe, expect, test } from "bun:test";
import { billOfMaterials, packageComponents } from "../../build/release/components.ts";
import { bundledPackages, lockFileText, parseLockFile, sha512Of } from "../../build/release/lock-file.ts";
import { useOwnLoader } from "../../build/release/own-loader.ts";
import { type ArchiveFile, tarArchive } from "../../build/release/tar.ts";

const integrity = `sha512-${Buffer.alloc(64, 1).toString("base64")}`;
const locked = (dependencies: Record<string, string> = {}, version = "1.0.0") => ({
  version,
  integrity,
  license: "MIT",
  dependencies,
});

describe("the lock file", () => {
  const text = JSON.stringify({
    lockfileVersion: 3,
    packages: {
      "": { dependencies: { a: "1" } },
      "node_modules/a": locked({ b: "2" }),
      "node_modules/a/node_modules/b": locked({ c: "1" }, "2.0.0"),
      "node_modules/b": locked({}, "1.0.0"),
      "node_modules/c": locked({ a: "1" }),
      "node_modules/tool": locked(),
    },
  });

  test("says what is bundled: what treewarden needs, each in the version that npm takes, and no tools", () => {
    const names = bundledPackages(parseLockFile(text)).map(({ name, version }) => `${name} ${version}`);
    expect(names).toEqual(["a 1.0.0", "b 2.0.0", "c 1.0.0"]);
  });

  test("of another version is refused", () => {
    expect(() => parseLockFile('{"lockfileVersion": 2, "packages": {}}')).toThrow();
  });

  test("of this repository pins the runtime of both processors", () => {
    const { all } = parseLockFile(lockFileText());
    for (const name of ["@oven/bun-linux-x64", "@oven/bun-linux-aarch64"])
      expect(
        all
          .filter((each) => each.name === name)
          .map(sha512Of)
          .join(),
      ).toMatch(/^[0-9a-f]{128}$/);
  });

  test("makes the same bill of materials each time, in which every reference leads to a component", () => {
    const components = packageComponents(parseLockFile(text));
    const bill = billOfMaterials("1.2.3", components, 1_800_000_000);
    expect(billOfMaterials("1.2.3", components, 1_800_000_000)).toBe(bill);
    const { dependencies, components: listed } = JSON.parse(bill);
    const references = new Set(listed.map((each: { "bom-ref": string }) => each["bom-ref"]));
    for (const { dependsOn } of dependencies)
      for (const each of dependsOn) expect(references).toContain(each);
  });
});

describe("an archive", () => {
  const file = (path: string, mode: number, content: ArchiveFile["content"]): ArchiveFile => ({
    path,
    mode,
    content,
  });
  const long = `${"folder/".repeat(20)}${"name".repeat(20)}`;
  const files = [
    file("b/run", 0o755, new TextEncoder().encode("x".repeat(1000))),
    file("a", 0o644, new Uint8Array()),
    file("b/link", 0o777, { link: "run" }),
    file(long, 0o600, new Uint8Array(512)),
  ];

  test("is what tar(1) reads: owners, modes, sizes, times and the folders above", () => {
    const { stdout, exitCode } = Bun.spawnSync(["tar", "--utc", "-tvf", "-"], {
      stdin: tarArchive(files, 1_800_000_000),
    });
    const lines = stdout.toString().split("\n");
    expect(exitCode).toBe(0);
    expect(lines).toContain("-rw-r--r-- root/root         0 2027-01-15 08:00 a");
    expect(lines).toContain("drwxr-xr-x root/root         0 2027-01-15 08:00 b/");
    expect(lines).toContain("lrwxrwxrwx root/root         0 2027-01-15 08:00 b/link -> run");
    expect(lines).toContain("-rwxr-xr-x root/root      1000 2027-01-15 08:00 b/run");
    expect(lines).toContain(`-rw------- root/root       512 2027-01-15 08:00 ${long}`);
  });

  test("does not depend on the order in which its files are given", () => {
    expect(Buffer.compare(tarArchive(files, 1), tarArchive(files.toReversed(), 1))).toBe(0);
  });

  test("refuses a path that does not fit", () => {
    expect(() => tarArchive([file("x".repeat(101), 0o644, new Uint8Array())], 1)).toThrow("too long");
  });
});

test("a file that is no executable of treewarden's gets no loader", () => {
  const loader = { loader: "/opt/treewarden/lib/ld.so", libraries: "/opt/treewarden/lib" };
  expect(() => useOwnLoader(new Uint8Array(4096), loader)).toThrow(RangeError);
});
