import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Exclusion,
  Exclusions,
  excludable,
  formatExclusions,
  hiddenBy,
  parseExclusions,
} from "../../src/baseline/exclusions.ts";
import { compileTreeGlob } from "../../src/policy/glob.ts";
import { entry, NOON } from "./samples.ts";

const anything = { user: undefined, scope: undefined, until: undefined, reason: "" };
const under = (tree: string, rest: Partial<Exclusion> = {}): Exclusion => ({ tree, ...anything, ...rest });
const hides = (exclusion: Exclusion, ...[exact, rest]: Parameters<typeof entry>): boolean =>
  new Exclusions([exclusion], compileTreeGlob).hides(excludable(entry(exact, rest)), NOON) !== undefined;
const parse = (text: string) => parseExclusions(text, compileTreeGlob);

describe("an exclusion", () => {
  test("hides everything under a place: for-rest's enter/enter", () => {
    expect(hides(under("/enter/**"), "/enter/enter/bash")).toBe(true);
    expect(hides(under("/enter/**"), "/cron/enter/bash")).toBe(false);
  });

  test("fits the tree or the exact tree", () => {
    expect(hides(under("/cron/sh"), "/cron/sh", { tree: "/cron/base" })).toBe(true);
    expect(hides(under("/cron/base"), "/cron/sh", { tree: "/cron/base" })).toBe(true);
  });

  test("leaves the /random prefix out, as policies do", () => {
    expect(hides(under("/cron/x"), "/cron/y", { tree: "/random/cron/x" })).toBe(true);
  });

  test("of a user hides what that user does, and root for him", () => {
    const ofUser = under("/sshd/**", { user: 1000 });
    expect(hides(ofUser, "/sshd/bash", { users: [0, 1000] })).toBe(true);
    expect(hides(ofUser, "/sshd/bash", { users: [0] })).toBe(false);
    expect(hides(ofUser, "/sshd/bash", { users: [0, 1000, 1001] })).toBe(false);
    expect(hides(ofUser, "/sshd/bash", { users: [] })).toBe(false);
  });

  test("of a scope hides nothing elsewhere", () => {
    const ofScope = under("/sh", { scope: "cron.service" });
    expect(hides(ofScope, "/sh", { scope: "cron.service" })).toBe(true);
    expect(hides(ofScope, "/sh", { scope: "container" })).toBe(false);
  });

  test("ends at its time", () => {
    expect(hides(under("/sh", { until: NOON + 1 }), "/sh")).toBe(true);
    expect(hides(under("/sh", { until: NOON }), "/sh")).toBe(false);
  });

  test("shows what it hides, each tree once", () => {
    const exclusions = new Exclusions([under("/a/**"), under("/a/b")], compileTreeGlob);
    const hidden = hiddenBy(exclusions, [entry("/a/b"), entry("/c")], NOON);
    expect(hidden.map((one) => [one.entry.exact, one.exclusion.tree])).toEqual([["/a/b", "/a/**"]]);
  });
});

describe("the file of exclusions", () => {
  test("is read as it was written", () => {
    const exclusion = fc.record({
      tree: fc.constantFrom("/sshd/**", "/enter/{a,b}"),
      user: fc.option(fc.nat(), { nil: undefined }),
      scope: fc.option(fc.constantFrom("-", "cron.service"), { nil: undefined }),
      until: fc.option(fc.integer({ min: 0, max: 4_000_000_000 }), { nil: undefined }),
      reason: fc.constantFrom("", "backup moves", "until the disk is here"),
    });
    fc.assert(
      fc.property(fc.array(exclusion), (list) => {
        expect(parse(formatExclusions(list))).toEqual({ ok: true, value: list });
      }),
    );
  });

  test("every mistake is told with its line", () => {
    const text = formatExclusions([under("/a"), under("b"), under("/**"), under("/c")]).replace(
      "/c\t-",
      "/c\tjoe",
    );
    const result = parse(text);
    expect(result.ok ? [] : result.errors).toEqual([
      { line: 4, message: expect.stringContaining("a tree begins with a slash") },
      { line: 5, message: "it fits every tree: name at least one label" },
      { line: 6, message: 'user "joe": expected a number, or - for any' },
    ]);
  });

  test("no text makes the parser throw", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(parse(text).ok).toBe(false);
        expect(typeof parse(`treewarden-exclusions 1\n${text}`).ok).toBe("boolean");
      }),
    );
  });
});
