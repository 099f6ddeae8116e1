// The files that paths of the baseline stand for, and since when.
import { expect, test } from "bun:test";
import { ListedFiles } from "../../src/warden/listed-files.ts";

const PATTERN = "/opt/app/*/bin/tool";
const paths = ["/opt/app/1.2.3/bin/tool"];

function start() {
  const asked: string[][] = [];
  const clock = { now: 10n };
  const files = new ListedFiles({
    ask: (patterns) => asked.push([...patterns]),
    now: () => clock.now,
  });
  return { asked, clock, files };
}

test("a pattern is asked for once; files that come after the question are none of the answer", () => {
  const { asked, clock, files } = start();
  expect(files.get(PATTERN)).toBeUndefined();
  files.get(PATTERN);
  files.askWanted();
  files.get(PATTERN);
  files.askWanted();
  expect(asked).toEqual([[PATTERN]]);
  clock.now = 20n;
  expect(files.onListed([{ pattern: PATTERN, paths }])).toBe(true);
  expect(files.get(PATTERN)).toEqual({ paths, since: 10n });
});

test("what is forgotten is asked for again, and no answer to an earlier question is taken", () => {
  const { asked, files } = start();
  files.get(PATTERN);
  files.askWanted();
  files.forget();
  expect(files.onListed([{ pattern: PATTERN, paths }])).toBe(true);
  expect(files.get(PATTERN)).toBeUndefined();
  files.askWanted();
  expect(asked).toHaveLength(2);
});

test("while packages change, what is known is gone on with until the files are listed again", () => {
  const { asked, clock, files } = start();
  files.get(PATTERN);
  files.askWanted();
  files.onListed([{ pattern: PATTERN, paths }]);
  clock.now = 20n;
  files.refresh();
  expect(files.get(PATTERN)).toEqual({ paths, since: 10n });
  files.refresh();
  expect(files.get(PATTERN)).toEqual({ paths, since: 10n });
  files.askWanted();
  expect(asked).toHaveLength(2);
  files.onListed([{ pattern: PATTERN, paths: [] }]);
  expect(files.get(PATTERN)).toEqual({ paths: [], since: 20n });
});

test("while packages change, what was not asked for again stays known when other answers have come", () => {
  const { files } = start();
  const other = "/usr/lib/postgresql/*/bin/postgres";
  const known = (): readonly unknown[] => [PATTERN, other].map((pattern) => files.get(pattern)?.paths);
  known();
  files.askWanted();
  files.onListed([PATTERN, other].map((pattern) => ({ pattern, paths })));
  files.refresh();
  files.get(PATTERN);
  files.askWanted();
  expect(files.onListed([{ pattern: PATTERN, paths: [] }])).toBe(true);
  expect(known()).toEqual([[], paths]);
});

test("a mount has them listed again if it lies above any of them, in any version", () => {
  const { files } = start();
  files.get(PATTERN);
  files.askWanted();
  files.onListed([{ pattern: PATTERN, paths }]);
  const mounted = (folder: string): boolean => files.forgetBelow(new Set([folder]));
  expect([mounted("/home/a/fuse"), mounted("/opt/app/1.2.3/lib")]).toEqual([false, false]);
  expect(mounted("/opt/app/9.0.1")).toBe(true);
  expect(files.get(PATTERN)).toBeUndefined();
  files.askWanted();
  expect(mounted("/")).toBe(true);
});
