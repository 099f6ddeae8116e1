// Entries for the tests of this room: by hand, and by chance within what an entry may be.
import fc from "fast-check";
import { type Entry, USERS_LIMIT } from "../../src/baseline/entry.ts";
import { unambiguous } from "../../src/linux/text.ts";

export const NOON = Date.UTC(2026, 0, 31, 12) / 1000;

export function entry(exact: string, rest: Partial<Entry> = {}): Entry {
  return {
    scope: "-",
    exact,
    path: `/usr/bin/${exact.slice(exact.lastIndexOf("/") + 1)}`,
    tree: exact,
    complete: true,
    first: NOON,
    last: NOON,
    count: 1,
    users: [0],
    hosts: 1,
    package: undefined,
    digest: undefined,
    arguments: undefined,
    ...rest,
  };
}

const name = fc
  .oneof(
    fc.constantFrom("sh", "nginx", "cron", "bash"),
    fc.string({ unit: "binary", minLength: 1, maxLength: 8 }),
  )
  .map((text) => unambiguous(text).replaceAll("/", "\\x2f"));
const tree = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => `/${names.join("/")}`);
const seconds = fc.integer({ min: 0, max: 4_000_000_000 });

/** Any entry, its keys few enough that some meet. */
export const anyEntry: fc.Arbitrary<Entry> = fc
  .record({
    scope: fc.constantFrom("-", "nginx.service", "container/registry/nginx"),
    exact: tree,
    path: fc.oneof(fc.constant("/usr/bin/sh"), tree),
    tree,
    complete: fc.boolean(),
    times: fc.tuple(seconds, seconds),
    count: fc.nat(),
    users: fc.uniqueArray(fc.nat({ max: 0xffff_ffff }), { maxLength: USERS_LIMIT }),
    hosts: fc.integer({ min: 1, max: 100 }),
    package: fc.option(fc.constantFrom("nginx", "dash"), { nil: undefined }),
    digest: fc.option(fc.constantFrom(`sha256:${"a".repeat(64)}`, `sha256:${"0".repeat(64)}`), {
      nil: undefined,
    }),
    arguments: fc.option(fc.constantFrom("sh -c x", '""'), { nil: undefined }),
  })
  .map(({ times, users, ...rest }) => ({
    ...rest,
    first: Math.min(...times),
    last: Math.max(...times),
    users: [...users].sort((a, b) => a - b),
  }));
