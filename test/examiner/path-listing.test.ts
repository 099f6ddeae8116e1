// Which files of a system a path of a baseline stands for.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { listPatterns } from "../../src/examiner/path-listing.ts";

/** Folders must be root's. */
const isRoot = process.geteuid?.() === 0;
if (!isRoot) console.log("skipped: only root can have folders that count as root's");

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tw-listing-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function put(...paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true, mode: 0o755 });
    writeFileSync(join(root, path), "");
  }
}

const list = (...patterns: readonly string[]) => listPatterns(patterns, root);

test.skipIf(!isRoot)("every version of it, by the names of folders and of the file", () => {
  put("/usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/16/bin/postgres");
  put("/usr/lib/postgresql/15/bin/psql", "/usr/bin/foo", "/usr/bin/foo-1.2", "/usr/bin/food");
  expect(list("/usr/lib/postgresql/*/bin/postgres", "/usr/bin/foo", "/usr/bin/none", "/gone/x")).toEqual([
    {
      pattern: "/usr/lib/postgresql/*/bin/postgres",
      paths: ["/usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/16/bin/postgres"],
    },
    { pattern: "/usr/bin/foo", paths: expect.arrayContaining(["/usr/bin/foo", "/usr/bin/foo-1.2"]) },
    { pattern: "/usr/bin/none", paths: [] },
    { pattern: "/gone/x", paths: [] },
  ]);
});

test.skipIf(!isRoot)("in folders of any name where one was folded: also of a name that looks random", () => {
  put(
    "/srv/releases/4f3c2a1/bin/app",
    "/srv/releases/xk2q9zvw8t/bin/app",
    "/srv/releases/xk2q9zvw8t/bin/other",
  );
  expect(list("/srv/releases/*/bin/app")[0]?.paths).toEqual([
    "/srv/releases/4f3c2a1/bin/app",
    "/srv/releases/xk2q9zvw8t/bin/app",
  ]);
});

test.skipIf(!isRoot)("by the path that the kernel knows, whether or not /bin is a folder of its own", () => {
  put("/usr/bin/gzip");
  symlinkSync("usr/bin", join(root, "bin"));
  symlinkSync("15", join(root, "usr/16"));
  expect(list("/usr/bin/gzip")).toEqual([{ pattern: "/usr/bin/gzip", paths: ["/usr/bin/gzip"] }]);
  rmSync(join(root, "bin"));
  put("/bin/gzip");
  expect(list("/usr/bin/gzip")[0]?.paths?.toSorted()).toEqual(["/bin/gzip", "/usr/bin/gzip"]);
});

test.skipIf(!isRoot)(
  "nothing where others than root decide what is there, or where there is too much",
  () => {
    put("/opt/shared/bin/tool", "/opt/owned/bin/tool", "/opt/fine/bin/tool");
    chmodSync(join(root, "opt/shared"), 0o777);
    chownSync(join(root, "opt/owned"), 61_020, 61_020);
    for (let i = 0; i < 40; i += 1) put(`/srv/app/${i}/bin/tool`);
    const patterns = ["/opt/shared/bin/tool", "/opt/owned/bin/tool", "/srv/app/*/bin/tool"];
    expect(list(...patterns)).toEqual(patterns.map((pattern) => ({ pattern })));
    expect(list("/opt/fine/bin/tool")[0]?.paths).toHaveLength(1);
  },
);
