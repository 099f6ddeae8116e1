// The contents with which a runnable is learned, and how a learning run finds them.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { contentPath } from "../../src/baseline/content-path.ts";
import {
  CONTENTS_LIMIT,
  type Contents,
  contentsText,
  hasNewContent,
  joinContents,
  parseContents,
} from "../../src/baseline/contents.ts";
import { SeenContents } from "../../src/baseline/seen-contents.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { anyContents } from "./samples.ts";

const digest = (number: number): string => `sha256:${String(number).padStart(64, "0")}`;
const found = (number: number) => ({ digest: digest(number), packaged: false });

describe("the contents of an entry", () => {
  test("are read as they were written", () => {
    fc.assert(
      fc.property(anyContents, (contents) => {
        expect(parseContents(contentsText(contents))).toEqual(contents);
      }),
    );
  });

  test("of any other text are refused", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const contents = parseContents(text);
        if (contents !== undefined) expect(contentsText(contents)).toBe(text);
      }),
    );
    const many = Array.from({ length: CONTENTS_LIMIT + 1 }, (_, i) => digest(i)).join(",");
    for (const text of [
      "",
      ",",
      digest(1).toUpperCase(),
      `${digest(2)},${digest(1)}`,
      `${digest(1)},${digest(1)}`,
      many,
    ])
      expect(parseContents(text)).toBeUndefined();
  });

  test("joined do not depend on the order, and have what either has", () => {
    fc.assert(
      fc.property(anyContents, anyContents, anyContents, (a, b, c) => {
        expect(joinContents(a, b)).toEqual(joinContents(b, a));
        expect(joinContents(joinContents(a, b), c)).toEqual(joinContents(a, joinContents(b, c)));
        expect(joinContents(a, a)).toEqual(a);
        expect(hasNewContent(a, joinContents(a, b))).toBe(false);
      }),
    );
  });

  test("that are more than an entry holds vary", () => {
    const full: Contents = Array.from({ length: CONTENTS_LIMIT }, (_, i) => digest(i));
    expect(joinContents(full, [digest(0)])).toEqual(full);
    expect(joinContents(full, [digest(99)])).toBe("varies");
  });
});

describe("the contents of a path are compared", () => {
  const pathOf = (executable: string): string | undefined =>
    contentPath(
      identify({
        executable,
        executableMemfd: false,
        filename: undefined,
        script: undefined,
        args: [executable],
        cwd: "/",
      }),
    )?.path;

  test.each(["/usr/local/bin/backup.sh", "/opt/agent/agentd", "/bin/own-tool", "/etc/cron.daily/report"])(
    "if it is the same at each run: %s",
    (path) => {
      expect(pathOf(path)).toBe(path);
    },
  );

  test.each([
    "/tmp/deploy.sh",
    "/var/tmp/work/step.sh",
    "/dev/shm/x",
    "/srv/app/tmp/cache/run.sh",
    "/opt/tool-1.2.3/bin/tool",
    "/opt/app/releases/4f3c2a1/run.sh",
    "/opt/app/15/run.sh",
    "/home/u/job-20260131.sh",
    "memfd:x",
  ])("not if another file at each run is ordinary there: %s", (path) => {
    expect(pathOf(path)).toBeUndefined();
  });
});

describe("a learning run", () => {
  function contentsAfter(numbers: readonly number[], isLearning = true): Contents | undefined {
    const seen = new SeenContents<string>();
    seen.of("/opt/x")?.users.push("tree");
    for (const number of numbers) seen.found("/opt/x", found(number), isLearning);
    return seen.contentsOf("/opt/x");
  }

  test("learns a content, and a second one", () => {
    expect(contentsAfter([])).toBe("unknown");
    expect(contentsAfter([1, 1])).toEqual([digest(1)]);
    expect(contentsAfter([2, 1, 2])).toEqual([digest(1), digest(2)]);
  });

  test("marks a path with a third content as one that varies", () => {
    expect(contentsAfter([1, 2, 3])).toBe("varies");
    expect(contentsAfter([1, 2, 3, 1])).toBe("varies");
  });

  test("that has ended learns nothing more: a later content is proposed by itself", () => {
    expect(contentsAfter([1, 2, 3], false)).toEqual([digest(1)]);
  });

  test("looks at a path at each exec; outside of a learning run once", () => {
    const seen = new SeenContents<string>();
    expect(seen.wants("/opt/x", true)).toBe(false);
    seen.of("/opt/x");
    expect([true, true, false, false, true].map((isLearning) => seen.wants("/opt/x", isLearning))).toEqual([
      true,
      true,
      true,
      false,
      true,
    ]);
  });

  test("reports a path's trees when something is new, and only then", () => {
    const seen = new SeenContents<string>();
    seen.of("/opt/x")?.users.push("a", "b");
    expect(seen.found("/opt/x", { digest: undefined, packaged: true }, true)).toEqual(["a", "b"]);
    expect(seen.contentsOf("/opt/x")).toBe("packaged");
    expect(seen.found("/opt/x", { digest: undefined, packaged: true }, true)).toEqual([]);
    expect(seen.found("/opt/x", { digest: undefined, packaged: false }, true)).toEqual([]);
    expect(seen.found("/opt/x", found(1), true)).toEqual(["a", "b"]);
    expect(seen.contentsOf("/opt/x")).toEqual([digest(1)]);
    expect(seen.found("/opt/other", found(1), true)).toEqual([]);
  });
});
