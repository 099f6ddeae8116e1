import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { argumentsText, beginningOf } from "../../src/baseline/arguments.ts";
import {
  type BaselineFile,
  formatBaseline,
  parseBaseline,
  readBaseline,
} from "../../src/baseline/baseline-file.ts";
import type { Contents } from "../../src/baseline/contents.ts";
import { mergeEntries } from "../../src/baseline/entry.ts";
import { executableOf, joinExecutables } from "../../src/baseline/executables.ts";
import { decodeText } from "../../src/linux/text.ts";
import { anyEntry, entry, NOON } from "./samples.ts";

const header = { role: "web", hosts: ["web1"], created: NOON, learnedFrom: NOON - 86_400, learnedTo: NOON };

function bytesOf(file: BaselineFile): Uint8Array {
  return new TextEncoder().encode(formatBaseline(file));
}

function errorsOf(text: string, edited = false) {
  const result = parseBaseline(new TextEncoder().encode(text), edited);
  return result.ok ? [] : result.errors;
}

const small: BaselineFile = {
  header,
  entries: [
    entry("/sshd/bash", { users: [0, 1000] }),
    entry("/cron/sh", { path: "/usr/bin/dash", tree: "/cron/base" }),
  ],
};

describe("the file of a baseline", () => {
  test("is text with one sorted tree a line", () => {
    const lines = formatBaseline(small).split("\n");
    expect(lines[0]).toBe("treewarden-baseline 3");
    expect(lines.slice(-3)).toEqual([
      "-\t/cron/sh\t=\t/usr/bin/dash\t/cron/base\tcomplete\t2026-01-31T12:00:00Z\t2026-01-31T12:00:00Z\t1\t0\t1\t-\t-\t-",
      "-\t/sshd/bash\t=\t/usr/bin/bash\t=\tcomplete\t2026-01-31T12:00:00Z\t2026-01-31T12:00:00Z\t1\t0,1000\t1\t-\t-\t-",
      "",
    ]);
  });

  test("whatever is written is read again as it was", () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 20 }), (list) => {
        const entries = mergeEntries([list], false);
        expect(parseBaseline(bytesOf({ header, entries }))).toEqual({ ok: true, value: { header, entries } });
      }),
    );
  });

  test("tells what a tree runs: path, package and digest", () => {
    const digest = `sha256:${"ab".repeat(32)}`;
    const executables = joinExecutables(
      [
        { path: "/opt/a b", package: null },
        { path: "/usr/sbin/nginx", package: "nginx", modified: true, digest },
        { path: "/usr/sbin/nginx", package: "nginx" },
        { path: "memfd:x" },
      ].flatMap(({ path, ...known }) => executableOf(path, known) ?? []),
      [],
    );
    const [line] = formatBaseline({ header, entries: [entry("/a", { executables })] })
      .split("\n")
      .slice(-2);
    expect(line?.split("\t")[11]).toBe(
      `/opt/a\\x20b,!,- /usr/sbin/nginx,nginx!,${digest} /usr/sbin/nginx,nginx,- memfd:x,-,-`,
    );
  });

  test("tells with which contents its runnable was learned", () => {
    const digests = [1, 2].map((number) => `sha256:${String(number).repeat(64)}`);
    const columnOf = (contents: Contents): string | undefined =>
      formatBaseline({ header, entries: [entry("/a", { contents })] })
        .split("\n")
        .at(-2)
        ?.split("\t")[12];
    expect(columnOf(digests)).toBe(digests.join(","));
    expect(columnOf("varies")).toBe("varies");
    expect(columnOf("packaged")).toBe("packaged");
    expect(columnOf("unknown")).toBe("-");
  });

  test("of an older format is read: its trees have no habit, and its incomplete ones stand for themselves", () => {
    const second = formatBaseline(small)
      .replace("treewarden-baseline 3", "treewarden-baseline 2")
      .replace(/^digest.*\n/m, "")
      .replaceAll(/^(-\t[^\t]+\t)=\t/gm, "$1")
      .replaceAll(/\t-\t-\t-$/gm, "\t-\t-");
    const first = second
      .replace("treewarden-baseline 2", "treewarden-baseline 1")
      .replaceAll(/\t-\t-$/gm, "\t-\t-\t-");
    const old = small.entries.map((each) => ({ ...each, beforeHabits: true }));
    const value = { header, entries: mergeEntries([old], false) };
    for (const text of [second, first])
      expect(parseBaseline(Buffer.from(text), true)).toEqual({ ok: true, value });
    expect(errorsOf(first.replaceAll(/\t-\t-\t-$/gm, "\t-\t-"), true)[0]?.message).toContain("columns");
    // What is kept of it, by a merge or by review, still says that its habits are not known.
    expect(parseBaseline(bytesOf(value))).toEqual({ ok: true, value });
  });

  test("does not depend on the order of its entries", () => {
    const turned = { header, entries: [...small.entries].reverse() };
    expect(formatBaseline(turned)).toBe(formatBaseline(small));
  });

  test("no bytes make the parser throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(parseBaseline(bytes).ok).toBe(false);
      }),
    );
  });

  test("any single changed byte of the entries refuses the file before an entry is handed over", () => {
    const bytes = bytesOf(small);
    const body = Buffer.from(bytes).indexOf("\n\n") + 2;
    fc.assert(
      fc.property(
        fc.integer({ min: body, max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, by) => {
          const broken = bytes.slice();
          broken[at] = (broken[at] ?? 0) ^ by;
          let handed = 0;
          const result = readBaseline(broken, () => {
            handed += 1;
          });
          expect(result.ok).toBe(false);
          expect(handed).toBe(0);
        },
      ),
    );
  });

  test("a file cut short is refused", () => {
    const bytes = bytesOf(small);
    for (let end = 0; end < bytes.length; end++) expect(parseBaseline(bytes.subarray(0, end)).ok).toBe(false);
  });

  test("without its digest it is taken only as one that was edited", () => {
    const edited = formatBaseline(small)
      .split("\n")
      .filter((line) => !line.startsWith("digest") && !line.startsWith("-\t/cron"))
      .join("\n");
    expect(errorsOf(edited)).toEqual([{ line: 8, message: 'the header has no line "digest"' }]);
    expect(errorsOf(edited, true)).toEqual([]);
  });

  test("a mistake is told with its line", () => {
    const wrong = (from: string, to: string) =>
      errorsOf(
        formatBaseline(small)
          .replace(/^digest.*\n/m, "")
          .replace(from, to),
        true,
      );
    expect(wrong("complete", "whole")).toEqual([
      { line: 9, message: 'lineage "whole": expected complete, incomplete or incomplete,main' },
    ]);
    expect(wrong("/sshd/bash", "sshd/bash")).toEqual([
      { line: 10, message: "the exact tree must begin with a slash" },
    ]);
    expect(wrong("role web", "rule web")[0]).toEqual({
      line: 2,
      message: '"rule": the header has role, host, created, learned, entries and digest',
    });
    expect(errorsOf("treewarden-baseline 4\n")).toEqual([
      { line: 1, message: "format 4 is not known: only 1, 2, 3 are" },
    ]);
    expect(errorsOf("#!/bin/sh\n")[0]?.line).toBe(1);
  });

  test("a date that there is not is refused", () => {
    const text = formatBaseline(small).replace("created 2026-01-31", "created 2026-02-31");
    expect(errorsOf(text)[0]?.message).toContain("created: expected a time");
  });
});

describe("a sample of arguments", () => {
  test("is one text without a tab or line feed, whatever the arguments hold", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 50 }), (list) => {
        const text = argumentsText(list.map((bytes) => decodeText(bytes)));
        expect(text.length).toBeLessThanOrEqual(256);
        expect(text).not.toMatch(/[\t\n\r]/);
        expect(text.isWellFormed()).toBe(true);
      }),
    );
  });

  test("different short arguments are different texts", () => {
    const texts = [[], [""], ['""'], ["-"], ["a b"], ["a", "b"], ["a\\x20b"], ["a", "", "b"]].map(
      argumentsText,
    );
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts[4]).toBe("a\\x20b");
  });

  test("is made of a beginning that has no word in part, however long the arguments are", () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,40}$/), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(fc.array(words, { maxLength: 20 }), (lists) => {
        const all = new Set(lists.flat());
        const beginning = beginningOf(lists.map((list) => list.join(" ")));
        for (const word of beginning.flatMap((arg) => arg.replace(/\.\.\.$/, "").split(" ")))
          expect(word === "" || all.has(word)).toBe(true);
        expect(beginning.join(" ").length).toBeLessThanOrEqual(520);
      }),
    );
    expect(beginningOf(["sh", "-c", "a".repeat(4096)])).toEqual(["sh", "-c", "..."]);
    expect(beginningOf(["sh", "-c", "short"])).toEqual(["sh", "-c", "short"]);
  });
});
