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
import { globCompilers } from "../../src/policy/glob.ts";
import { entry, NOON } from "./samples.ts";

const anything = {
  user: undefined,
  scope: undefined,
  until: undefined,
  reason: "",
  bootEnd: undefined,
  change: undefined,
};
const under = (tree: string, rest: Partial<Exclusion> = {}): Exclusion => ({ tree, ...anything, ...rest });
const hides = (exclusion: Exclusion, ...[exact, rest]: Parameters<typeof entry>): boolean =>
  new Exclusions([exclusion], globCompilers).hides(excludable(entry(exact, rest)), NOON) !== undefined;
const parse = (text: string) => parseExclusions(text, globCompilers);

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
    const exclusions = new Exclusions([under("/a/**"), under("/a/b")], globCompilers);
    const hidden = hiddenBy(exclusions, [entry("/a/b"), entry("/c")], NOON);
    expect(hidden.map((one) => [one.entry.exact, one.exclusion.tree])).toEqual([["/a/b", "/a/**"]]);
  });
});

describe("the file of exclusions", () => {
  test("is read as it was written", () => {
    const second = fc.integer({ min: 0, max: 4_000_000_000 });
    const common = {
      user: fc.option(fc.nat(), { nil: undefined }),
      scope: fc.option(fc.constantFrom("-", "cron.service"), { nil: undefined }),
      reason: fc.constantFrom("", "backup moves", "until the disk is here"),
      bootEnd: fc.option(fc.record({ boot: fc.uuid(), boottime: second, length: second }), {
        nil: undefined,
      }),
    };
    const pattern = fc.record({
      ...common,
      tree: fc.constantFrom("/sshd/**", "/enter/{a,b}"),
      until: fc.option(second, { nil: undefined }),
      change: fc.constant(undefined),
    });
    const window = fc.record({
      ...common,
      tree: fc.constant("/**"),
      until: second,
      change: fc.record({
        id: fc.constantFrom("CHG-7", "2026-01-31:deploy", "a"),
        under: fc.constantFrom("ansible-playbook", "/opt/deploy/**", "a b"),
      }),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(pattern, window)), (list) => {
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
      { line: 5, message: "it matches every tree: name at least one label" },
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
