// Entries for the tests of this room: by hand, and by chance within what an entry may be.
import fc from "fast-check";
import { CONTENTS_LIMIT, type Contents } from "../../src/baseline/contents.ts";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { type Executable, executableOf, joinExecutables } from "../../src/baseline/executables.ts";
import { USERS_LIMIT } from "../../src/baseline/users.ts";
import { unambiguous } from "../../src/linux/text.ts";

export const NOON = Date.UTC(2026, 0, 31, 12) / 1000;
/** The id of a learning run. */
export const RUN = "7".repeat(32);

export function entry(exact: string, rest: Partial<BaselineEntry> = {}): BaselineEntry {
  return {
    scope: "-",
    exact,
    habit: exact,
    beforeHabits: false,
    path: `/usr/bin/${exact.slice(exact.lastIndexOf("/") + 1)}`,
    tree: exact,
    complete: true,
    fromMain: false,
    first: NOON,
    last: NOON,
    count: 1,
    users: [0],
    hosts: 1,
    executables: [],
    contents: "unknown",
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

const path = fc.oneof(
  fc.constantFrom("/usr/bin/sh", "memfd:a,b c", "/opt/a,!,-"),
  fc.string({ unit: "binary", maxLength: 8 }).map((text) => `/${text}`),
);

/** Any executable, some of the same path. */
export const anyExecutable: fc.Arbitrary<Executable> = fc
  .record({
    path,
    package: fc.oneof(
      fc.constantFrom("nginx", "dash", "-", "a,b!", null, undefined),
      fc.string({ unit: "binary", maxLength: 4 }),
    ),
    modified: fc.boolean(),
    digest: fc.constantFrom(`sha256:${"a".repeat(64)}`, `sha256:${"0".repeat(64)}`, undefined),
  })
  .map(
    ({ path, ...known }) =>
      executableOf(path, known) ?? { path: "/", modified: false, package: undefined, digest: undefined },
  );

/** Any contents, of few digests. */
export const anyContents: fc.Arbitrary<Contents> = fc.oneof(
  fc.constantFrom<Contents>("unknown", "packaged", "varies"),
  fc
    .uniqueArray(fc.nat({ max: 40 }), { minLength: 1, maxLength: CONTENTS_LIMIT })
    .map((numbers) => numbers.map((number) => `sha256:${String(number).padStart(64, "0")}`).sort()),
);

/** Any entry, its keys few enough that some meet. */
export const anyEntry: fc.Arbitrary<BaselineEntry> = fc
  .record({
    scope: fc.constantFrom("-", "nginx.service", "container/registry/nginx"),
    exact: tree,
    habit: fc.option(tree, { nil: undefined }),
    beforeHabits: fc.boolean(),
    path: fc.oneof(fc.constant("/usr/bin/sh"), tree),
    tree,
    lineage: fc.constantFrom("complete", "incomplete", "main"),
    times: fc.tuple(seconds, seconds),
    count: fc.nat(),
    users: fc.uniqueArray(fc.nat({ max: 0xffff_ffff }), { maxLength: USERS_LIMIT }),
    hosts: fc.integer({ min: 1, max: 100 }),
    executables: fc.array(anyExecutable, { maxLength: 2 }).map((list) => joinExecutables(list, [])),
    contents: anyContents,
    arguments: fc.option(fc.constantFrom("sh -c x", '""'), { nil: undefined }),
  })
  .map(({ times, users, lineage, habit, ...rest }) => ({
    ...rest,
    habit: rest.beforeHabits ? rest.exact : (habit ?? rest.exact),
    complete: lineage === "complete",
    fromMain: lineage === "main",
    first: Math.min(...times),
    last: Math.max(...times),
    users: [...users].sort((a, b) => a - b),
  }));
