// Which executables a baseline takes for the same: what upgrades and new images change, and what an attack does.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Baseline } from "../../src/baseline/baseline.ts";
import { comparedPath } from "../../src/baseline/compared-path.ts";
import { type BaselineEntry, diffEntries, mergeEntries } from "../../src/baseline/entry.ts";
import { EXECUTABLES_LIMIT, executableOf, joinExecutables } from "../../src/baseline/executables.ts";
import { baselinePath } from "../../src/baseline/key.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import type { RunnableFacts } from "../../src/fingerprint/runnable.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { type Lineage, Lineages } from "../../src/forest/lineage.ts";
import { entry, NOON } from "./samples.ts";

/** The words of a command line, the executable first. */
type Run = readonly [executable: string, ...args: string[]];

const container = `/system.slice/docker-${"c".repeat(64)}.scope`;
const image = "container/registry.example/app";

function leafOf([executable, ...args]: Run, facts: Partial<RunnableFacts> = {}): Lineage {
  const unknown = { executableMemfd: false, filename: undefined, script: undefined, cwd: "/" };
  const program = identify({ executable, ...unknown, args: [executable, ...args], ...facts });
  const isContained = facts.cgroup === container;
  const spec = { earlier: [], uid: 0, complete: true, init: false, elided: null };
  return new Lineages().intern(null, {
    ...spec,
    program,
    container: isContained ? "c".repeat(64) : null,
  });
}

interface Where {
  readonly scope: string;
  readonly facts: Partial<RunnableFacts>;
}
const host: Where = { scope: "app.service", facts: {} };
const inImage: Where = { scope: image, facts: { cgroup: container } };

function learned(run: Run, { scope, facts }: Where, packaged?: null): BaselineEntry {
  const leaf = leafOf(run, facts);
  const { exact, habit, path: tree, complete } = treeOf(leaf);
  const executable = executableOf(run[0], { package: packaged });
  const executables = executable === undefined ? [] : [executable];
  return entry(exact, { scope, habit, tree, path: baselinePath(leaf.program) ?? "", complete, executables });
}

function baselineOf(...entries: readonly BaselineEntry[]): Baseline {
  const baseline = new Baseline();
  for (const one of entries) baseline.add(one);
  return baseline;
}

/** Whether `seen` is known after `known` was learned, as the warden and as the commands answer it. */
function isKnown(known: Run, seen: Run, where: Where): boolean | undefined {
  const baseline = baselineOf(learned(known, where));
  const answer = baseline.knowledge(leafOf(seen, where.facts), where.scope, NOON).known;
  expect(baseline.knows(learned(seen, where))).toBe(answer === true);
  const difference = diffEntries([learned(known, where)], [learned(seen, where)]);
  if (answer === false) expect([difference.added.length, difference.removed.length]).toEqual([1, 1]);
  return answer === null ? undefined : answer;
}

const job = "/srv/app/job";
const nix = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz";

describe("no alarm, in either direction", () => {
  const cases: readonly (readonly [string, Run, Run])[] = [
    ["Debian 11 to 12: /bin becomes a part of /usr", ["/bin/cat"], ["/usr/bin/cat"]],
    ["likewise a script's shell", ["/bin/dash", job], ["/usr/bin/dash", job]],
    ["another shell as /bin/sh", ["/usr/bin/dash", job], ["/usr/bin/bash", job]],
    ["python 3.11 to 3.12", ["/usr/bin/python3.11", job], ["/usr/bin/python3.12", job]],
    [
      "likewise in pyenv",
      ["/opt/pyenv/versions/3.11.4/bin/python3.11", job],
      ["/opt/pyenv/versions/3.12.1/bin/python3.12", job],
    ],
    ["mawk to gawk", ["/usr/bin/mawk", "-f", job], ["/usr/bin/gawk", "-f", job]],
    [
      "JDK 17 to 21 with a jar",
      ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "-jar", job],
      ["/usr/lib/jvm/java-21-openjdk-amd64/bin/java", "-jar", job],
    ],
    [
      "likewise with a class",
      ["/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "-cp", "x", "App"],
      ["/usr/lib/jvm/java-1.21.0-openjdk-amd64/bin/java", "-cp", "x", "App"],
    ],
    [
      "a JDK of Red Hat's",
      ["/usr/lib/jvm/java-17-openjdk-17.0.9.0.9-2.el9.x86_64/bin/java", "-jar", job],
      ["/usr/lib/jvm/java-21-openjdk-21.0.1.0.12-3.el9.x86_64/bin/java", "-jar", job],
    ],
    [
      "a patch of Temurin",
      ["/opt/temurin-17.0.9+9/bin/java", "-jar", job],
      ["/opt/temurin-17.0.10+7/bin/java", "-jar", job],
    ],
    [
      "jdk-17.0.9+9 to jdk-21",
      ["/opt/jdk-17.0.9+9/bin/java", "-jar", job],
      ["/opt/jdk-21/bin/java", "-jar", job],
    ],
    [
      "a version with no separator",
      ["/usr/lib/jvm/zulu17/bin/java", "-jar", job],
      ["/usr/lib/jvm/zulu21/bin/java", "-jar", job],
    ],
    [
      "Java 8",
      ["/opt/jvm/jdk1.8.0_392/bin/java", "-jar", job],
      ["/opt/jvm/jdk1.8.0_402/bin/java", "-jar", job],
    ],
    ["PostgreSQL 15 to 16", ["/usr/lib/postgresql/15/bin/postgres"], ["/usr/lib/postgresql/16/bin/postgres"]],
    [
      "a release by its commit",
      ["/usr/bin/dash", "/srv/app/releases/4f3c2a1/run"],
      ["/usr/bin/dash", "/srv/app/releases/77b01ce/run"],
    ],
    [
      "a commit that has decimal digits only",
      ["/srv/app/releases/4f3c2a1/app"],
      ["/srv/app/releases/2925904/app"],
    ],
    [
      "a whole commit",
      ["/srv/app/releases/4f3c2a1/app"],
      [`/srv/app/releases/${"4f3c2a1b05".repeat(4)}/app`],
    ],
    ["bash of Nix", [`${nix}-bash-5.2-p15/bin/bash`, job], [`${nix}-bash-5.2-p21/bin/bash`, job]],
    ["tools of a kernel", ["/usr/lib/linux-tools-6.1.0-18/perf"], ["/usr/lib/linux-tools-6.1.0-21/perf"]],
  ];
  for (const [what, before, after] of cases)
    test(what, () => {
      expect(isKnown(before, after, host)).toBe(true);
      expect(isKnown(after, before, host)).toBe(true);
    });

  const bases: readonly (readonly [string, Run, Run])[] = [
    [
      "a script's shell",
      ["/usr/bin/dash", "/docker-entrypoint.sh"],
      ["/bin/busybox", "sh", "/docker-entrypoint.sh"],
    ],
    [
      "env of a script",
      ["/usr/bin/env", "python3", "/app/run.py"],
      ["/bin/busybox", "env", "python3", "/app/run.py"],
    ],
    [
      "an interpreter of the image's",
      ["/usr/local/bin/python3.11", "/app/run.py"],
      ["/usr/bin/python3.12", "/app/run.py"],
    ],
  ];
  for (const [what, before, after] of bases)
    test(`an image's change of base: ${what}`, () => {
      expect(isKnown(before, after, inImage)).toBe(true);
      expect(isKnown(after, before, inImage)).toBe(true);
    });
});

describe("caught", () => {
  const cases: readonly (readonly [string, Run, Run])[] = [
    ["an ELF file in a script's place", ["/usr/bin/dash", job], [job]],
    ["a script in an ELF file's place", [job], ["/usr/bin/dash", job]],
    ["a script in the place of a shell", ["/usr/bin/bash"], ["/usr/bin/dash", "/usr/bin/bash"]],
    [
      "the loader with a known program",
      ["/usr/bin/gzip"],
      ["/usr/lib64/ld-linux-x86-64.so.2", "/usr/bin/gzip"],
    ],
    ["an interpreter that no package has put there", ["/usr/bin/dash", job], ["/opt/x/bash", job]],
    ["likewise below /usr", ["/usr/bin/dash", job], ["/usr/lib/x/dash", job]],
    ["and in /usr/local", ["/usr/bin/python3.11", job], ["/usr/local/bin/python3.11", job]],
    ["an interpreter of another family", ["/usr/bin/dash", job], ["/usr/bin/python3.11", job]],
    ["a program by a wrapper that was learned without", ["/usr/bin/gzip"], ["/usr/bin/env", "/usr/bin/gzip"]],
  ];
  for (const [what, before, after] of cases)
    test(what, () => {
      expect(isKnown(before, after, host)).toBe(false);
      // By nothing but the executable.
      const unread = baselineOf({ ...learned(before, host), executables: [] });
      expect(unread.knowledge(leafOf(after), host.scope, NOON).known).toBe(true);
    });

  const others: readonly (readonly [string, Run, Run])[] = [
    [
      "the loader with a library before it: it is the program",
      ["/usr/bin/gzip"],
      ["/usr/lib64/ld-linux-x86-64.so.2", "--preload", "/opt/x.so", "/usr/bin/gzip"],
    ],
    [
      "another program of the same directory",
      ["/usr/lib/postgresql/15/bin/postgres"],
      ["/usr/lib/postgresql/15/bin/psql"],
    ],
  ];
  for (const [what, before, after] of others)
    test(what, () => expect(isKnown(before, after, host)).toBe(false));

  test("an interpreter that a user can write: it is the program, whatever its arguments are", () => {
    const baseline = baselineOf(learned(["/usr/bin/dash", job], host));
    const copy = leafOf(["/home/u/dash", job], { executableTrusted: false });
    expect(copy.program.path).toBe("/home/u/dash");
    expect(baseline.knowledge(copy, host.scope, NOON).known).toBe(false);
  });

  test("in a container: an interpreter in a directory of data", () => {
    expect(isKnown(["/usr/bin/dash", job], ["/tmp/dash", job], inImage)).toBe(false);
    expect(isKnown(["/usr/bin/dash", job], [job], inImage)).toBe(false);
  });

  test("below a user's mounts no interpreter is trusted", () => {
    const where = { scope: "user@.service", facts: { userMounts: true } };
    expect(isKnown(["/usr/bin/dash", job], ["/usr/bin/bash", job], where)).toBe(false);
    expect(isKnown(["/usr/bin/dash", job], ["/usr/bin/dash", job], where)).toBe(true);
  });
});

describe("an entry", () => {
  const byShell: Run = ["/usr/bin/dash", job];

  test("without executables is known with any: the executable decides nothing", () => {
    const old = { ...learned(byShell, host), executables: [] };
    const baseline = baselineOf(old);
    for (const seen of [byShell, [job]] as const)
      expect(baseline.knowledge(leafOf(seen), host.scope, NOON).known).toBe(true);
  });

  test("that another file has with executables is known with these", () => {
    const old = { ...learned(byShell, host), executables: [] };
    for (const files of [
      [old, learned(byShell, host)],
      [learned(byShell, host), old],
      mergeEntries([[old], [learned(byShell, host)]], true),
    ]) {
      const baseline = baselineOf(...files);
      expect(baseline.knowledge(leafOf(byShell), host.scope, NOON).known).toBe(true);
      expect(baseline.knowledge(leafOf([job]), host.scope, NOON).known).toBe(false);
    }
  });

  test("of an unpackaged interpreter is known with that one alone", () => {
    const baseline = baselineOf(learned(byShell, host, null));
    expect(baseline.knowledge(leafOf(byShell), host.scope, NOON).known).toBe(true);
    expect(baseline.knowledge(leafOf(["/usr/bin/bash", job]), host.scope, NOON).known).toBe(false);
  });

  test("is asked by habit: what another habit of the same script ran is not its own", () => {
    const other = { ...learned([job], host), habit: "/cron/job", exact: "/cron/job" };
    const baseline = baselineOf(learned(byShell, host), other);
    expect(baseline.knowledge(leafOf([job]), host.scope, NOON).known).toBe(false);
  });

  test("that was accepted with a further executable is known with both", () => {
    const [merged, ...others] = mergeEntries([[learned(byShell, host)], [learned([job], host)]], false);
    if (merged === undefined) throw new Error("no entry");
    expect(others).toEqual([]);
    const baseline = baselineOf(merged);
    for (const seen of [byShell, [job]] as const)
      expect(baseline.knowledge(leafOf(seen), host.scope, NOON).known).toBe(true);
    expect(baseline.knowledge(leafOf(["/opt/x/bash", job]), host.scope, NOON).known).toBe(false);
  });

  test("keeps one executable of each path before it keeps further contents of one", () => {
    const sha = (n: number) => `sha256:${String(n).padStart(64, "0")}`;
    const contents = Array.from({ length: EXECUTABLES_LIMIT }, (_, n) =>
      executableOf("/a", { digest: sha(n) }),
    );
    const all = [...contents, executableOf("/b")].flatMap((one) => one ?? []);
    const kept = joinExecutables(all, []);
    expect(kept.length).toBe(EXECUTABLES_LIMIT);
    expect(new Set(kept.map(({ path }) => path))).toEqual(new Set(["/a", "/b"]));
  });

  test("a path that was folded alike is one entry, with the least path", () => {
    const [merged, ...others] = mergeEntries(
      [[learned(["/usr/bin/cat"], host)], [learned(["/bin/cat"], host)]],
      true,
    );
    expect([merged?.path, merged?.hosts, others.length]).toEqual(["/bin/cat", 2, 0]);
  });
});

describe("a compared path", () => {
  const element = fc.oneof(
    fc.constantFrom(
      "usr",
      "bin",
      "lib",
      "15",
      "v2",
      "java-17-openjdk",
      "4f3c2a1",
      "jdkx17",
      "random",
      "a-1-v2",
      "*",
      "..",
    ),
    fc.string({ minLength: 1, maxLength: 12 }).map((text) => text.replaceAll("/", "_")),
    fc.stringMatching(/^[a-f0-9._+vpx-]{1,12}$/),
  );
  const path = fc
    .tuple(fc.constantFrom("", "userns:"), fc.array(element, { minLength: 1, maxLength: 6 }))
    .map(([prefix, elements]) => `${prefix}/${elements.join("/")}`);

  test("stays when it is folded again", () => {
    fc.assert(
      fc.property(path, (any) => expect(comparedPath(comparedPath(any))).toBe(comparedPath(any))),
      { numRuns: 5_000 },
    );
  });

  test("never makes a user's program equal to another user's", () => {
    expect(comparedPath("/home/web-2/bin/job")).not.toBe(comparedPath("/home/web-1/bin/job"));
    expect(comparedPath("/home/1002/bin/job")).not.toBe(comparedPath("/home/1001/bin/job"));
    expect(comparedPath("/run/user/1000/bin/job")).not.toBe(comparedPath("/run/user/0/bin/job"));
    expect(comparedPath("/home/web/node-20/bin/node")).toBe(comparedPath("/home/web/node-22/bin/node"));
  });

  test("never makes two programs of one directory equal", () => {
    fc.assert(
      fc.property(path, element, element, (directory, a, b) => {
        fc.pre(a !== b);
        expect(comparedPath(`${directory}/${a}`)).not.toBe(comparedPath(`${directory}/${b}`));
      }),
      { numRuns: 5_000 },
    );
    expect(comparedPath("/usr/bin/dash")).not.toBe(comparedPath("/usr/bin/ls"));
  });
});
