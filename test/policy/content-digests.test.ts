// The contents that a role permits, in files of sha256sum(1).
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DIGESTS_LIMIT, readDigests } from "../../src/policy/content-digests.ts";
import { formatPolicyError } from "../../src/policy/document.ts";
import { filesOf, loadPolicies } from "../../src/policy/load.ts";

const hex = "0123456789abcdef".repeat(4);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const hexes = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((digest) => Buffer.from(digest).toString("hex"));
const names = fc.string({ minLength: 1 }).filter((name) => !/[\n\r\\]/.test(name));

describe("a file of digests", () => {
  test("is what sha256sum writes: text, binary, with --tag, and with escaped names", () => {
    const lines = [
      `${hex}  /opt/a b.sh`,
      `${hex.replace("0", "1")} *./b`,
      `SHA256 (c (1).sh) = ${hex.replace("0", "2")}`,
      `\\${hex.replace("0", "3")}  two\\nlines`,
      "# by hand",
      "",
      `${hex.toUpperCase()}  again`,
    ];
    const digests = ["0", "1", "2", "3"].map((first) => `sha256:${hex.replace("0", first)}`);
    expect(readDigests(bytes(`${lines.join("\n")}\n`))).toEqual({ ok: true, digests });
    expect(readDigests(bytes(lines.join("\r\n")))).toEqual({ ok: true, digests });
  });

  test("gives each digest once, whatever the names are", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(hexes, names), { maxLength: 20 }), (list) => {
        const text = list.map(([digest, name]) => `${digest}  ${name}\n`).join("");
        const expected = [...new Set(list.map(([digest]) => `sha256:${digest}`))];
        expect(readDigests(bytes(text))).toEqual({ ok: true, digests: expected });
      }),
    );
  });

  test("of arbitrary bytes is read or refused with lines, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (content) => {
        const result = readDigests(content);
        if (result.ok) for (const digest of result.digests) expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
        else for (const { line } of result.errors) expect(line).toBeGreaterThan(0);
      }),
    );
  });

  test("that is too long, or not one, is refused with the line", () => {
    const wrong = readDigests(bytes(`${hex}  a\nhello\n${hex.slice(1)}  b\n${hex}\n`));
    expect(wrong.ok ? [] : wrong.errors.map(({ line }) => line)).toEqual([2, 3, 4]);
    const many = Array.from({ length: DIGESTS_LIMIT + 1 }, (_, i) => `${String(i).padStart(64, "0")}  x`);
    expect(readDigests(bytes(many.join("\n"))).ok).toBe(false);
  });
});

describe("the digests of a role", () => {
  const load = (files: Readonly<Record<string, string>>) =>
    loadPolicies(["/p/web.json"], {
      read: (path) => (files[path] === undefined ? undefined : bytes(files[path])),
      embedded: new Map(),
      searchPath: [],
    });
  const errorsOf = (files: Readonly<Record<string, string>>): string[] =>
    (load(files).errors ?? []).map(formatPolicyError);

  test("are those of its files, of its own list, and of what it extends", () => {
    const loaded = load({
      "/p/web.json": `{ "role": "web", "extends": ["shop"], "digests": ["a.sha256", "sha256:${hex}"] }`,
      "/p/shop.json": '{ "role": "shop", "digests": ["/ship/b.sha256"] }',
      "/p/a.sha256": `${hex.replace("0", "1")}  a.sh\n`,
      "/ship/b.sha256": `${hex.replace("0", "2")}  b.sh\n`,
    });
    const digests = ["0", "1", "2"].map((first) => `sha256:${hex.replace("0", first)}`);
    expect([...(loaded.policy?.digests ?? [])].sort()).toEqual(digests);
    expect(loaded.policy?.resolved.digests).toEqual(digests);
    const signed = loaded.role === undefined ? [] : filesOf(loaded.role);
    expect(signed.map(({ kind, role }) => `${kind} ${role}`)).toEqual([
      "policy web",
      "digests web",
      "policy shop",
      "digests shop",
    ]);
  });

  test("are a part of the policy's version", () => {
    const versionOf = (first: string): string | undefined =>
      load({ "/p/web.json": '{ "role": "web", "digests": ["a"] }', "/p/a": `${hex.replace("0", first)}  a` })
        .policy?.version;
    expect(versionOf("1")).toBe(String(versionOf("1")));
    expect(versionOf("1")).not.toBe(versionOf("2"));
  });

  test("a file that is missing or wrong is an error with its place", () => {
    expect(errorsOf({ "/p/web.json": '{ "role": "web",\n  "digests": ["gone"] }' })).toEqual([
      "/p/web.json:2:15: there is no /p/gone",
    ]);
    expect(
      errorsOf({ "/p/web.json": '{ "role": "web", "digests": ["a"] }', "/p/a": `${hex}  a\nwhat\n` }),
    ).toEqual(["/p/a:2:1: must be a line of sha256sum: 64 hexadecimal digits, and a file"]);
  });
});
