// What closing says dies, the policy kills by an armed rule; what it excepts, the policy does not kill for certain.
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Baseline } from "../../src/baseline/baseline.ts";
import { comparedPath } from "../../src/baseline/compared-path.ts";
import { executableOf } from "../../src/baseline/executables.ts";
import { keyOf } from "../../src/baseline/key.ts";
import { ProgramsBelow } from "../../src/baseline/programs-below.ts";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { ancestryOfExec, type ExecPlace, lineageAfterExec } from "../../src/forest/exec-lineage.ts";
import type { Lineage } from "../../src/forest/lineage.ts";
import { type Closed, type Closing, ClosingCompiler, type MatchingFiles } from "../../src/policy/closing.ts";
import { type ClosableProcess, HypotheticalExec } from "../../src/policy/hypothetical-exec.ts";
import { decide, type Policy } from "../../src/policy/policy.ts";
import type { RuleStates } from "../../src/policy/rule-state.ts";
import type { ExecSubject } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import { entry } from "../baseline/samples.ts";
import { type LineageOfTest, policyOf } from "./helpers.ts";

const armed = (policy: Policy): RuleStates => ruleStatesOf(policy, () => true, noOverrides);
const service = (path: string, uid = 33) => ({
  "process.executable.path": path,
  "process.user.id": uid,
  "process.unit": `${path.slice(path.lastIndexOf("/") + 1)}.service`,
});
const nginx: LineageOfTest = [service("/usr/sbin/nginx")];

/** The last process of the lineage, between two execs. */
function processOf(lineage: LineageOfTest): ClosableProcess {
  const { kind: _, ...subject } = testSubject({ lineage });
  const isShared =
    subject.parent?.program.key === subject.runnable.key && subject.lineage.depth < lineage.length;
  const ancestry = isShared ? subject.lineage : subject.lineage.parent;
  const executor = { lineage: subject.lineage, ancestry, execed: true, linkGuessed: false };
  return { executor, subject };
}

/** A host where these programs were learned, each with the trees above it. */
function hostOf(learned: readonly LineageOfTest[]) {
  const baseline = new Baseline();
  const programs = new ProgramsBelow();
  for (const lineage of learned) {
    const { lineage: leaf, runnable, tree } = testSubject({ lineage });
    const key = keyOf(leaf, "-");
    const executable = executableOf(runnable.executable ?? "");
    if (key === undefined || executable === undefined) throw new Error("no program");
    const known = entry(tree.exact, { ...key, tree: tree.path, executables: [executable] });
    baseline.add(known);
    programs.add(known);
  }
  return { baseline, programs };
}

type Host = ReturnType<typeof hostOf>;
const nothingKnown = hostOf([]);

/** The programs that the host has. */
const files = [
  "/usr/bin/dash",
  "/usr/bin/python3.11",
  "/usr/bin/env",
  "/usr/bin/gzip",
  "/usr/bin/id",
  "/usr/bin/id-1.2",
  "/opt/app/1.2.3/bin/tool",
  "/opt/app/1.3.0/bin/tool",
  "/usr/sbin/nginx",
  "/tmp/dropped",
];
const LISTED_AT = 1_800_000_000_000_000_000n;

function listed(pattern: string): MatchingFiles {
  const isAlike = (path: string): boolean => comparedPath(identifyFile(path)) === pattern;
  return { paths: files.filter(isAlike), since: LISTED_AT };
}

function identifyFile(path: string): string {
  return identify({ ...unknownFacts, executable: path }).folded ?? path;
}

function inputsOf({ baseline, programs }: Host) {
  return {
    identify,
    knowledgeOf: (lineage: Lineage) => baseline.knowledge(lineage, "-", 0),
    scopeOf: () => "-",
    programs,
  };
}

function compilerOf(
  policy: Policy,
  host: Host = nothingKnown,
  states = armed(policy),
  filesOf: (pattern: string) => MatchingFiles | undefined = listed,
) {
  return new ClosingCompiler(policy, states, { ...inputsOf(host), filesOf });
}

/** A shell by `sh -c`, or with a script. */
function shellOf(run: string) {
  const args = run === "sh -c" ? ["sh", "-c", "id; x"] : ["sh", run];
  return { "process.executable.path": "/usr/bin/dash", "process.command_args": args };
}

const pathsOf = ({ exceptions }: Closed): readonly string[] => exceptions.map(({ path }) => path);

function closedOf(closing: Closing): Closed {
  if (!closing.closed) throw new Error(closing.why);
  return closing;
}

/** The exec of a program by the process, as the sensor would report it. */
function execOf(
  process: ClosableProcess,
  place: ExecPlace,
  facts: Partial<ExecSubject["facts"]>,
  { baseline }: Host = nothingKnown,
): ExecSubject {
  const all = { ...process.subject.facts, ...facts };
  const runnable = identify(all);
  const lineage = lineageAfterExec(process.executor, place, runnable, all.uid);
  if (lineage === undefined) throw new Error("too deep");
  const above = place === "own" ? process.executor.ancestry : process.executor.lineage;
  const parent = above ?? undefined;
  const knowledge = baseline.knowledge(lineage, "-", 0);
  const tree = treeOf(lineage);
  return { ...process.subject, kind: "exec", facts: all, runnable, lineage, tree, parent, knowledge };
}

const path = { var: "process.executable.path" };
const kill = (when: unknown, more: object = {}) => ({ id: "k", when, action: "kill", ...more });
const allow = (when: unknown, id = "a") => ({ id, when, action: "allow" });
const closing = (policy: Policy, lineage = nginx, place: ExecPlace = "child", host = nothingKnown) =>
  compilerOf(policy, host).closingOf(processOf(lineage), place);

const unknownDies = policyOf([
  kill({ and: [{ under: ["nginx"] }, { "==": [{ var: ["tree.known", true] }, false] }] }),
]);

describe("a service that may start nothing", () => {
  const policy = policyOf([kill({ under: ["nginx"] })]);

  test("is closed to every program, interpreters too", () => {
    const closed = closedOf(closing(policy));
    expect(closed).toEqual({
      closed: true,
      rule: "role/k",
      uid: undefined,
      carriersDie: true,
      exceptions: [],
      listedSince: undefined,
    });
  });

  test("is not closed in its own place: nothing above it has that name", () => {
    expect(closing(policy, nginx, "own").closed).toBe(false);
  });

  test("its worker is closed in both places", () => {
    const worker: LineageOfTest = [...nginx, service("/usr/bin/worker")];
    expect(closing(policy, worker, "own").closed).toBe(true);
    expect(closing(policy, worker, "child").closed).toBe(true);
  });

  test("other services are open", () => {
    expect(closing(policy, [service("/usr/sbin/cron")]).closed).toBe(false);
  });
});

describe("exceptions", () => {
  test("are the paths that the policy names", () => {
    const policy = policyOf([
      kill({ under: ["nginx"] }, { except: [{ in: [path, ["/usr/sbin/nginx", "/usr/bin/logger"]] }] }),
    ]);
    const closed = closedOf(closing(policy));
    expect(pathsOf(closed)).toEqual(["/usr/sbin/nginx", "/usr/bin/logger"]);
    expect(closed.listedSince).toBeUndefined();
  });

  test("are those of an allow rule, and not those of a rule that kills", () => {
    const evil = kill({ "==": [path, "/usr/bin/evil"] }, { id: "e" });
    const policy = policyOf([allow({ "==": [path, "/usr/bin/logger"] }), evil, kill({ under: ["nginx"] })]);
    expect(pathsOf(closedOf(closing(policy)))).toEqual(["/usr/bin/logger"]);
  });

  test("are what the baseline knows below the process", () => {
    const host = hostOf([nginx, [...nginx, "/usr/bin/gzip"], [service("/usr/sbin/cron"), "/usr/bin/id"]]);
    const closed = closedOf(closing(unknownDies, nginx, "child", host));
    expect(pathsOf(closed).toSorted()).toEqual(["/usr/bin/gzip", "/usr/sbin/nginx"]);
    expect(closed.listedSince).toBe(LISTED_AT);
    const gzip = closed.exceptions.find(({ path: each }) => each === "/usr/bin/gzip")?.after;
    expect(gzip?.subject.tree.exact).toBe("/nginx/gzip");
  });

  test("are all versions of what the baseline knows, in folders and by name", () => {
    const host = hostOf([nginx, [...nginx, "/opt/app/1.2.3/bin/tool"], [...nginx, "/usr/bin/id-2.0"]]);
    const closed = closedOf(closing(unknownDies, nginx, "child", host));
    expect(pathsOf(closed).toSorted()).toEqual([
      "/opt/app/1.2.3/bin/tool",
      "/opt/app/1.3.0/bin/tool",
      "/usr/bin/id",
      "/usr/bin/id-1.2",
      "/usr/sbin/nginx",
    ]);
  });

  test("are not what runs far above it and is known beside it", () => {
    const start: LineageOfTest = [shellOf("/etc/start"), service("/usr/sbin/cron")];
    const web: LineageOfTest = [...start, ...nginx];
    const host = hostOf([web, [...start, shellOf("/etc/job")], [...start, "/usr/bin/dash"]]);
    expect(pathsOf(closedOf(closing(unknownDies, web, "child", host)))).toEqual(["/usr/sbin/nginx"]);
  });

  test("are what runs itself again, also by a shell that was given its code by -c", () => {
    const web: LineageOfTest = [...nginx, shellOf("sh -c")];
    const closed = closedOf(closing(unknownDies, web, "child", hostOf([nginx])));
    expect(pathsOf(closed)).toEqual(["/usr/sbin/nginx"]);
  });

  test("lead to what the process may execute afterwards", () => {
    const policy = policyOf([kill({ under: ["nginx"] }, { except: [{ "==": [path, "/usr/bin/logger"] }] })]);
    const [logger] = closedOf(closing(policy)).exceptions;
    if (logger?.after === undefined) throw new Error("not known");
    expect(pathsOf(closedOf(compilerOf(policy).closingOf(logger.after, "own")))).toEqual(["/usr/bin/logger"]);
  });
});

describe("interpreters die", () => {
  const dies = (policy: Policy, host = nothingKnown): boolean =>
    closedOf(closing(policy, nginx, "child", host)).carriersDie;

  test("where the policy names other programs alone", () => {
    const except = (name: string) => ({ except: [{ "==": [{ var: name }, "/usr/bin/logger"] }] });
    expect(dies(policyOf([kill({ under: ["nginx"] }, except("process.executable.path"))]))).toBe(true);
    // The dynamic loader is another program, which may run this one.
    expect(dies(policyOf([kill({ under: ["nginx"] }, except("process.runnable.path"))]))).toBe(false);
  });

  test("where the baseline knows nothing that one runs", () => {
    const cron = [service("/usr/sbin/cron"), "/usr/bin/dash"];
    expect(dies(unknownDies, hostOf([nginx, [...nginx, "/usr/bin/gzip"], cron]))).toBe(true);
    expect(dies(unknownDies, hostOf([nginx, [...nginx, "/usr/bin/dash"]]))).toBe(false);
  });
});

describe("PostgreSQL with an archive command", () => {
  const postgres: LineageOfTest = [service("/usr/lib/postgresql/15/bin/postgres", 105)];
  const command = { contains: [{ var: "process.command_line" }, "cp pg_wal/"] };
  const policy = policyOf([
    kill(
      { under: ["postgres"] },
      {
        except: [{ and: [{ "==": [path, "/usr/bin/dash"] }, command] }, { "==": [path, "/usr/bin/cp"] }],
      },
    ),
  ]);

  test("its shell is an exception, whose arguments user space judges, and no other interpreter is", () => {
    const closed = closedOf(closing(policy, postgres));
    expect(pathsOf(closed)).toEqual(["/usr/bin/dash", "/usr/bin/cp"]);
    expect(closed.carriersDie).toBe(true);
  });

  test("whatever its shell runs, that starts nothing else in its place or below it", () => {
    const [shell] = closedOf(closing(policy, postgres)).exceptions;
    if (shell?.after === undefined) throw new Error("not known");
    for (const place of ["own", "child"] as const)
      expect(pathsOf(closedOf(compilerOf(policy).closingOf(shell.after, place)))).toEqual([
        "/usr/bin/dash",
        "/usr/bin/cp",
      ]);
  });
});

describe("nothing is closed", () => {
  const under = { under: ["nginx"] };
  const rulesBy: readonly (readonly [string, readonly object[]])[] = [
    [
      "where an allow may come first",
      [allow({ contains: [{ var: "process.command_line" }, "x"] }), kill(under)],
    ],
    ["by a rule on arguments", [kill({ and: [under, { in: ["x", { var: "process.command_args" }] }] })]],
    [
      "by a rule on the file's name",
      [kill({ and: [under, { "==": [{ var: "process.executable.name" }, "x"] }] })],
    ],
    ["by a rule on the terminal", [kill({ and: [under, { "!": { var: ["process.tty", ""] } }] })]],
    ["by an alert", [{ ...kill(under), action: "alert" }]],
  ];

  test.each(rulesBy)("%s", (_, rules) => {
    expect(closing(policyOf(rules)).closed).toBe(false);
  });

  test("by a rule that is not armed", () => {
    const compiler = compilerOf(policyOf([kill(under)]), nothingKnown, new Map());
    expect(compiler.isEmpty).toBe(true);
    expect(compiler.closingOf(processOf(nginx), "child").closed).toBe(false);
  });

  test("to a manager of sessions by what the baseline knows: its children get another scope", () => {
    const sshd = [service("/usr/sbin/sshd")];
    const policy = policyOf([kill({ "==": [{ var: ["tree.known", true] }, false] })]);
    expect(closing(policy, sshd, "child", hostOf([sshd])).closed).toBe(false);
  });

  test("until the files are listed that the baseline knows", () => {
    const host = hostOf([nginx, [...nginx, "/usr/bin/gzip"]]);
    const compiler = compilerOf(unknownDies, host, armed(unknownDies), () => undefined);
    expect(compiler.closingOf(processOf(nginx), "child")).toEqual({
      closed: false,
      why: "the files that the baseline knows below it are being listed",
    });
  });

  test("where the files that the baseline knows cannot be listed, or are too many", () => {
    const policy = policyOf([kill({ "==": [{ var: ["tree.known", true] }, false] })]);
    const host = hostOf([nginx, [...nginx, "/opt/app/1.2.3/bin/tool"]]);
    const why = (paths: readonly string[] | undefined): Closing => {
      const compiler = compilerOf(policy, host, armed(policy), () => ({ paths, since: LISTED_AT }));
      return compiler.closingOf(processOf(nginx), "child");
    };
    expect(why(undefined)).toEqual({
      closed: false,
      why: expect.stringContaining("whose files cannot be listed"),
    });
    expect(why(Array.from({ length: 129 }, (_, i) => `/opt/app/${i}/bin/tool`))).toEqual({
      closed: false,
      why: "more than 128 programs would have to be judged",
    });
  });

  const unknown = policyOf([kill({ "==": [{ var: ["tree.known", true] }, false] })]);

  test.each(["/usr/sbin/sshd", "/usr/bin/systemd-run", "memfd:runc_cloned:/proc/self/exe"])(
    "to %s by what is unknown: what it starts is known as part of another unit, or of a container",
    (manager) => {
      expect(closing(unknown, [service(manager)]).closed).toBe(false);
    },
  );

  test("in a container where something may run: paths are those of its image", () => {
    const policy = policyOf([kill({ under: ["nginx"] }, { except: [{ "==": [path, "/app/tool"] }] })]);
    const inContainer: LineageOfTest = [{ ...service("/usr/sbin/nginx"), "container.id": "a".repeat(64) }];
    expect(closing(policy, inContainer)).toEqual({
      closed: false,
      why: "it is in a container, whose image has its own files at the paths of what may run",
    });
    expect(closing(policyOf([kill({ under: ["nginx"] })]), inContainer).closed).toBe(true);
  });

  test("where a file that is in memory alone may run", () => {
    const policy = policyOf([kill({ under: ["nginx"] }, { except: [{ "==": [path, "memfd:jit"] }] })]);
    expect(closing(policy)).toEqual({
      closed: false,
      why: "memfd:jit may run, which is no file that the kernel could recognise",
    });
  });

  test("to a manager of services by a rule on the unit: its children get another one", () => {
    const policy = policyOf([kill({ "==": [{ var: ["process.unit", ""] }, "cron.service"] })]);
    expect(closing(policy, [service("/usr/sbin/cron")]).closed).toBe(false);
    expect(closing(policy, [{ ...service("/usr/bin/other"), "process.unit": "cron.service" }]).closed).toBe(
      true,
    );
  });
});

test("a rule on the user closes for that user alone", () => {
  const policy = policyOf([kill({ "==": [{ var: "process.user.id" }, 33] })]);
  expect(closedOf(closing(policy)).uid).toBe(33);
  expect(closing(policy, [service("/usr/sbin/nginx", 0)]).closed).toBe(false);
});

describe("for any policy", () => {
  const file = fc.constantFrom(...files);
  const certain = fc.oneof(
    fc.array(file, { minLength: 1, maxLength: 3 }).map((paths) => ({ in: [path, paths] })),
    file.map((each) => ({ "!=": [each, { var: "process.runnable.path" }] })),
    fc.constantFrom("nginx", "dash", "python3", "cron").map((name) => ({ under: [name] })),
    fc.constantFrom(0, 33).map((uid) => ({ "==": [{ var: "process.user.id" }, uid] })),
    fc
      .constantFrom("nginx.service", "cron.service")
      .map((unit) => ({ "==": [{ var: ["process.unit", ""] }, unit] })),
    fc.boolean().map((known) => ({ "===": [{ var: ["tree.known", true] }, known] })),
    fc
      .constantFrom("nginx", "cron")
      .map((name) => ({ "==": [{ var: "process.parent.executable.name" }, name] })),
    fc.constant({ "!": { var: ["process.script.path", ""] } }),
    fc.constant({ missing: ["process.unit", "process.tty"] }),
  );
  const open = fc.constantFrom(
    { in: ["-c", { var: "process.command_args" }] },
    { "==": [{ var: "process.executable.name" }, "id"] },
    { "==": [{ var: "process.executable.setuid" }, true] },
    { tree: ["/nginx/**"] },
    { starts_with: [path, "/usr/"] },
    { "==": [{ var: ["process.tty", ""] }, ""] },
    { contains: [{ var: ["process.script.path", ""] }, "/tmp/"] },
  );
  const condition = fc.letrec<{ node: object }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      { arbitrary: certain, weight: 4 },
      { arbitrary: open, weight: 1 },
      tie("node").map((part) => ({ "!": part })),
      fc.array(tie("node"), { minLength: 1, maxLength: 3 }).map((parts) => ({ and: parts })),
      fc.array(tie("node"), { minLength: 1, maxLength: 3 }).map((parts) => ({ or: parts })),
      fc.tuple(tie("node"), tie("node"), tie("node")).map((parts) => ({ if: parts })),
    ),
  })).node;
  const rule = fc.record({
    when: condition,
    action: fc.constantFrom("allow", "alert", "kill", "kill"),
    ...{ unknown: fc.constantFrom(undefined, undefined, "match") },
  });
  const policies = fc
    .tuple(fc.array(rule, { minLength: 1, maxLength: 4 }), fc.constantFrom("allow", "allow", "kill"))
    .map(([rules, byDefault]) =>
      policyOf(
        rules.map(({ unknown, ...each }, i) => ({ id: `r${i}`, ...each, ...(unknown && { unknown }) })),
        { default: byDefault },
      ),
    );
  const ancestors = fc.constantFrom(
    ...["/usr/sbin/nginx", "/usr/sbin/cron", "/usr/bin/dash", "/usr/bin/worker", "sh -c"],
  );
  const lineages = fc
    .array(fc.tuple(ancestors, fc.constantFrom(0, 33)), { minLength: 1, maxLength: 3 })
    .map(
      (all): LineageOfTest =>
        all.map(([program, uid]) => (program === "sh -c" ? shellOf(program) : service(program, uid))),
    );
  const hosts = fc
    .array(fc.tuple(lineages, file), { maxLength: 4 })
    .map((known) => hostOf(known.map(([above, leaf]): LineageOfTest => [...above, leaf])));
  const execs = fc.record({
    executable: fc.oneof(file, fc.constant("/usr/bin/never-named")),
    args: fc.constantFrom(["x"], ["x", "-c", "id"], ["x", "/tmp/script"], ["x", "/usr/sbin/nginx"]),
    script: fc.constantFrom(undefined, undefined, "/tmp/script"),
    tty: fc.constantFrom(null, "tty1", undefined),
    uid: fc.constantFrom(0, 33),
    executableSetuid: fc.boolean(),
  });
  /** What the kernel takes for a carrier is open in a set that does not let carriers die. */
  const isCarrier = ({ executable, script }: { executable: string; script: string | undefined }) =>
    script !== undefined || /\/(?:dash|python3\.11|env)$/.test(executable);

  test("what dies by it, the policy kills by an armed rule", () => {
    let died = 0;
    const places = fc.constantFrom<ExecPlace>("own", "child");
    const samples = fc.array(execs, { minLength: 8, maxLength: 8 });
    const property = fc.property(
      policies,
      lineages,
      hosts,
      places,
      samples,
      (policy, who, host, place, all) => {
        const process = processOf(who);
        const result = compilerOf(policy, host).closingOf(process, place);
        if (!result.closed) return;
        for (const exec of all) {
          if (result.uid !== undefined && result.uid !== exec.uid) continue;
          if (!result.carriersDie && isCarrier(exec)) continue;
          if (pathsOf(result).includes(exec.executable)) continue;
          const decision = decide(policy, execOf(process, place, exec, host), armed(policy));
          expect([exec, decision.action, decision.armed]).toEqual([exec, "kill", true]);
          died += 1;
        }
      },
    );
    fc.assert(property, { numRuns: 600 });
    expect(died).toBeGreaterThan(300);
  }, 60_000);

  test("what dies below a shell, the policy kills whatever the shell was given to run", () => {
    let died = 0;
    const places = fc.constantFrom<ExecPlace>("own", "child");
    const runs = fc.constantFrom(
      ["sh", "-c", "id"],
      ["sh", "/tmp/script"],
      ["sh", "/usr/sbin/nginx"],
      ["sh"],
    );
    const known = fc
      .array(fc.tuple(lineages, fc.constantFrom("none", "sh -c", "/tmp/script"), file), { maxLength: 4 })
      .map((all) =>
        hostOf(
          all.map(
            ([above, between, leaf]): LineageOfTest => [
              ...above,
              ...(between === "none" ? [] : [shellOf(between)]),
              leaf,
            ],
          ),
        ),
      );
    const property = fc.property(
      policies,
      lineages,
      known,
      fc.tuple(places, places),
      runs,
      fc.array(execs, { minLength: 8, maxLength: 8 }),
      (policy, who, host, [placeOfShell, place], args, all) => {
        const process = processOf(who);
        const [above] = [{ user: true, baseline: true }].map((asked) =>
          HypotheticalExec.of("/usr/bin/dash", process, placeOfShell, asked, inputsOf(host)),
        );
        const anyShell = above?.after(process, placeOfShell);
        if (anyShell === undefined) return;
        const result = compilerOf(policy, host).closingOf(anyShell, place);
        if (!result.closed) return;
        const { uid } = process.subject.facts;
        const exec = execOf(process, placeOfShell, { executable: "/usr/bin/dash", args, uid }, host);
        const { kind: _, ...subject } = exec;
        const ancestry = ancestryOfExec(process.executor, placeOfShell);
        const executor = { lineage: subject.lineage, ancestry, execed: true, linkGuessed: false };
        for (const next of all) {
          if (result.uid !== undefined && result.uid !== next.uid) continue;
          if (!result.carriersDie && isCarrier(next)) continue;
          if (pathsOf(result).includes(next.executable)) continue;
          const decision = decide(policy, execOf({ executor, subject }, place, next, host), armed(policy));
          expect([next, decision.action, decision.armed]).toEqual([next, "kill", true]);
          died += 1;
        }
      },
    );
    fc.assert(property, { numRuns: 600 });
    expect(died).toBeGreaterThan(300);
  }, 60_000);
});
