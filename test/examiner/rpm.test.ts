import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import fc from "fast-check";
import { openRpm } from "../../src/examiner/rpm.ts";
import { parseRpmHeader } from "../../src/examiner/rpm-header.ts";
import { Root } from "./root.ts";

interface Tag {
  readonly tag: number;
  readonly values: readonly string[] | readonly number[];
  readonly type: 4 | 6 | 8;
}

/** A header as rpm stores it: number of entries and bytes of data, the entries, the data; big-endian. */
function header(tags: readonly Tag[]): Uint8Array {
  const parts: Buffer[] = [];
  const index = Buffer.alloc(tags.length * 16);
  let offset = 0;
  for (const [i, { tag, values, type }] of tags.entries()) {
    const data = Buffer.concat(
      values.map((value) => {
        if (typeof value === "string") return Buffer.from(`${value}\0`);
        const number = Buffer.alloc(4);
        number.writeUInt32BE(value);
        return number;
      }),
    );
    for (const [k, value] of [tag, type, offset, values.length].entries())
      index.writeUInt32BE(value, i * 16 + k * 4);
    parts.push(data);
    offset += data.length;
  }
  const start = Buffer.alloc(8);
  start.writeUInt32BE(tags.length, 0);
  start.writeUInt32BE(offset, 4);
  return new Uint8Array(Buffer.concat([start, index, ...parts]));
}

const digest = "ab".repeat(32);
const bash = header([
  { tag: 1000, type: 6, values: ["bash"] },
  { tag: 1035, type: 8, values: [digest, "", digest] },
  { tag: 1037, type: 4, values: [0, 0, 1] },
  { tag: 1116, type: 4, values: [0, 0, 1] },
  { tag: 1117, type: 8, values: ["bash", "sh", "skel"] },
  { tag: 1118, type: 8, values: ["/usr/bin/", "/etc/"] },
  { tag: 5011, type: 4, values: [8] },
]);

describe("a header of rpm's", () => {
  test("gives name, files and digests, and marks files that may be changed", () => {
    expect(parseRpmHeader(bash)).toEqual({
      name: "bash",
      digestAlgorithm: 8,
      files: [
        { path: "/usr/bin/bash", digest, changeable: false },
        { path: "/usr/bin/sh", digest: undefined, changeable: false },
        { path: "/etc/skel", digest, changeable: true },
      ],
    });
  });

  test("may be arbitrary bytes: the result is undefined or within their bounds", () => {
    const counts = fc
      .tuple(fc.nat(4), fc.nat(40))
      .map(([entries, data]) => [0, 0, 0, entries, 0, 0, 0, data]);
    const anything = fc.uint8Array({ minLength: 104, maxLength: 300 });
    fc.assert(
      fc.property(counts, anything, (start, bytes) => {
        // The two counts are plausible; otherwise nearly all of the bytes would be rejected at once.
        bytes.set(start);
        const parsed = parseRpmHeader(bytes);
        expect(parsed?.files.length ?? 0).toBeLessThanOrEqual(bytes.length);
        for (const { path, digest: hex } of parsed?.files ?? []) {
          expect(path.length).toBeLessThanOrEqual(bytes.length);
          expect(hex ?? "0").toMatch(/^[0-9a-f]+$/);
        }
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 7 }), (bytes) => expect(parseRpmHeader(bytes)).toBeUndefined()),
    );
  });

  test("may be damaged anywhere", () => {
    const spot = fc.tuple(fc.nat(bash.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(spot, { maxLength: 8 }), fc.nat(bash.length), (spots, length) => {
        const broken = bash.slice(0, length);
        for (const [at, value] of spots) if (at < length) broken[at] = value;
        const parsed = parseRpmHeader(broken);
        expect(parsed?.files.length ?? 0).toBeLessThanOrEqual(bash.length);
      }),
    );
  });
});

function fedora(): Root {
  const root = new Root();
  root.link("/bin", "usr/bin");
  mkdirSync(`${root.path}/usr/lib/sysimage/rpm`, { recursive: true });
  using database = new Database(`${root.path}/usr/lib/sysimage/rpm/rpmdb.sqlite`);
  database.run("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)");
  database.run("INSERT INTO Packages (blob) VALUES (?), (?)", [bash, new Uint8Array([1, 2, 3])]);
  return root;
}

test("rpm's database gives owner and digest of a path, and the base programs", () => {
  using root = fedora();
  const packages = openRpm(root.path);
  const shipped = { algorithm: "sha256", hex: digest } as const;
  const owned = { package: "bash", digest: shipped, shipped } as const;
  expect(packages?.owner("/usr/bin/bash")).toEqual(owned);
  expect(packages?.owner("/bin/bash")).toEqual(owned);
  expect(packages?.owner("/usr/bin/dash")).toBeUndefined();
  expect([...(packages?.basePrograms().keys() ?? [])]).toEqual(["/usr/bin/bash", "/usr/bin/sh"]);
  expect(packages?.isCurrent()).toBe(true);
  expect(packages?.isBusy()).toBe(false);
});

test("a file that is not a database is ignored", () => {
  using root = new Root();
  root.file("/var/lib/rpm/rpmdb.sqlite", "not SQLite");
  expect(openRpm(root.path)).toBeUndefined();
});
