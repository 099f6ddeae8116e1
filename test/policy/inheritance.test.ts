// Roles that extend one another.
import { describe, expect, test } from "bun:test";
import { judge, load } from "./helpers.ts";

const rule = (id: string, more: object = {}) => ({ id, when: true, action: "alert", ...more });

function loaded(files: Readonly<Record<string, unknown>>, ...names: string[]) {
  const { policy, errors } = load(files, ...names);
  if (policy === undefined) throw new Error(JSON.stringify(errors));
  return policy;
}

function problems(files: Readonly<Record<string, unknown>>, ...names: string[]): string[] {
  return (load(files, ...names).errors ?? []).map(({ file, message, fix }) => `${file}: ${message} / ${fix}`);
}

describe("the order of rules", () => {
  test("own rules first, parents left to right, depth first, each once", () => {
    const policy = loaded({
      "/p/role.json": { role: "role", extends: ["left", "right"], rules: [rule("own")] },
      "/p/left.json": { role: "left", extends: ["root"], rules: [rule("left-1"), rule("left-2")] },
      "/p/right.json": { role: "right", extends: ["root"], rules: [rule("right")] },
      "/p/root.json": { role: "root", rules: [rule("root")] },
    });
    expect(policy.rules.map(({ id }) => id)).toEqual(["own", "left-1", "left-2", "root", "right"]);
    expect(policy.rules.map(({ ruleset }) => ruleset)).toEqual(["role", "left", "left", "root", "right"]);
  });

  test("several policies are one unnamed role that extends them", () => {
    const files = {
      "/p/a.json": { role: "a", extends: ["root"], rules: [rule("a")] },
      "/p/b.json": { role: "b", extends: ["root"], rules: [rule("b")], default: "alert" },
      "/p/root.json": { role: "root", rules: [rule("root")] },
    };
    const policy = loaded(files, "a", "/p/b.json");
    expect(policy.role).toBe("a+b");
    expect(policy.rules.map(({ id }) => id)).toEqual(["a", "root", "b"]);
    expect(policy.defaults.exec).toBe("alert");
  });

  test("one id twice is an error, wherever it stands", () => {
    expect(
      problems({
        "/p/role.json": { role: "role", extends: ["root"], rules: [rule("x")] },
        "/p/root.json": { role: "root", rules: [rule("x")] },
      }),
    ).toEqual([
      '/p/root.json: rule "x" is already in role "role" / give it another id, or change the inherited one under "override"',
    ]);
  });
});

describe("the default", () => {
  test("is the role's own, else that of the first parent that has one, else allow", () => {
    const files = (own: object) => ({
      "/p/role.json": { role: "role", extends: ["silent", "loud"], ...own },
      "/p/silent.json": { role: "silent", extends: ["deep"] },
      "/p/deep.json": { role: "deep", default: "kill" },
      "/p/loud.json": { role: "loud", default: "alert" },
    });
    expect(loaded(files({ default: "allow" })).defaults.exec).toBe("allow");
    const policy = loaded(files({}));
    expect(judge(policy, ["/usr/bin/id"])).toMatchObject({
      action: "kill",
      rule: "default",
      ruleset: "deep",
    });
    expect(loaded({ "/p/role.json": { role: "role" } }).defaults.exec).toBe("allow");
  });

  test("can be one action, or one for each kind of event", () => {
    const one = loaded({ "/p/role.json": { role: "role", default: "alert" } });
    const byKind = loaded({ "/p/role.json": { role: "role", default: { exec: "alert" } } });
    expect(byKind.defaults).toEqual({ exec: "alert", connect: "allow", send: "allow", listen: "allow" });
    expect(byKind.resolved).toEqual(one.resolved);
    expect(byKind.version).toBe(one.version);
    expect(judge(byKind, ["/usr/bin/id"]).action).toBe("alert");
  });
});

describe("the kinds that a rule is on", () => {
  test("are execs where it does not say, and stay so through inheritance and overrides", () => {
    const policy = loaded({
      "/p/role.json": { role: "role", extends: ["root"], override: { x: { action: "kill" } } },
      "/p/root.json": { role: "root", rules: [rule("x", { on: ["exec", "exec"] }), rule("y")] },
    });
    expect(policy.rules.map(({ id, on }) => [id, on])).toEqual([
      ["x", ["exec"]],
      ["y", ["exec"]],
    ]);
    expect(policy.resolved.rules.map((one) => Object.hasOwn(one, "on"))).toEqual([false, false]);
  });
});

describe("override", () => {
  const root = { role: "root", rules: [rule("x", { severity: "low" }), rule("y")] };

  test("changes action, severity, and adds exceptions", () => {
    const policy = loaded({
      "/p/role.json": {
        role: "role",
        extends: ["root"],
        override: { x: { action: "kill", severity: "critical", except: [{ under: ["cron"] }] } },
      },
      "/p/root.json": root,
    });
    expect(judge(policy, ["/usr/bin/id"])).toMatchObject({
      action: "kill",
      rule: "x",
      ruleset: "root",
      severity: "critical",
    });
    expect(judge(policy, ["/usr/sbin/cron", "/usr/bin/id"])).toMatchObject({ rule: "y" });
  });

  test("switches a rule off, and a nearer role switches it on again", () => {
    const files = {
      "/p/role.json": { role: "role", extends: ["middle"], override: { x: { enabled: true } } },
      "/p/middle.json": {
        role: "middle",
        extends: ["root"],
        override: { x: { enabled: false }, y: { enabled: false } },
      },
      "/p/root.json": root,
    };
    expect(loaded(files).rules.map(({ id }) => id)).toEqual(["x"]);
    expect(loaded(files, "middle").rules).toEqual([]);
  });

  test("of two parents the first has the last word", () => {
    const policy = loaded({
      "/p/role.json": { role: "role", extends: ["a", "b"] },
      "/p/a.json": { role: "a", extends: ["root"], override: { x: { action: "kill" } } },
      "/p/b.json": { role: "b", extends: ["root"], override: { x: { action: "allow", severity: "high" } } },
      "/p/root.json": root,
    });
    expect(policy.rules.find(({ id }) => id === "x")).toMatchObject({ action: "kill", severity: "high" });
  });

  test("of a rule that is not inherited is an error", () => {
    expect(
      problems({
        "/p/role.json": { role: "role", extends: ["root"], override: { xx: {} } },
        "/p/root.json": { role: "root", rules: [rule("xy")] },
      }),
    ).toEqual(['/p/role.json: no inherited rule "xx" to override / did you mean "xy"?']);
    expect(
      problems({
        "/p/role.json": { role: "role", rules: [rule("own")], override: { own: { action: "kill" } } },
      })[0],
    ).toContain("change the rule itself");
  });
});

describe("lists", () => {
  const root = {
    role: "root",
    lists: { names: ["a"] },
    rules: [
      { id: "x", when: { in: [{ var: "process.executable.name" }, { list: "names" }] }, action: "alert" },
    ],
  };
  const files = (lists: object) => ({
    "/p/role.json": { role: "role", extends: ["root"], lists },
    "/p/root.json": root,
  });

  test("an array replaces the inherited one, for inherited rules too", () => {
    const policy = loaded(files({ names: ["b"] }));
    expect(judge(policy, ["/bin/a"]).matched).toEqual([]);
    expect(judge(policy, ["/bin/b"]).matched).toEqual(["x"]);
  });

  test("append adds", () => {
    const policy = loaded(files({ names: { append: ["b"] } }));
    expect(judge(policy, ["/bin/a"]).matched).toEqual(["x"]);
    expect(judge(policy, ["/bin/b"]).matched).toEqual(["x"]);
  });

  test("two parents may both add to one list", () => {
    const policy = loaded({
      "/p/role.json": { role: "role", extends: ["a", "b"] },
      "/p/a.json": { role: "a", extends: ["root"], lists: { names: { append: ["b"] } } },
      "/p/b.json": { role: "b", extends: ["root"], lists: { names: { append: ["c"] } } },
      "/p/root.json": root,
    });
    expect(policy.resolved.lists.names).toEqual(["a", "c", "b"]);
  });

  test("two parents that mean different lists by one name are an error", () => {
    expect(
      problems({
        "/p/role.json": { role: "role", extends: ["a", "b"] },
        "/p/a.json": { role: "a", lists: { names: ["b"] } },
        "/p/b.json": { role: "b", lists: { names: ["c"] } },
      })[0],
    ).toContain('list "names" is also defined by role "b"');
  });

  test("adding to a list that is not inherited is an error", () => {
    expect(problems(files({ nam: { append: ["b"] } }))).toEqual([
      '/p/role.json: no inherited list "nam" to append to / did you mean "names"?',
    ]);
  });

  test("a list of the wrong type for its use is an error", () => {
    expect(problems(files({ names: [1, 2] }))[0]).toContain(
      '"process.executable.name" (text) is never in an array of numbers',
    );
  });
});

describe("where roles are found", () => {
  test("a role: beside the file that extends it, then the search path, then the embedded ones; a path: a file", () => {
    const beside = { role: "parent", rules: [rule("beside")] };
    const found = { role: "parent", rules: [rule("found")] };
    const role = { role: "role", extends: ["parent"] };
    expect(
      loaded({ "/x/role.json": role, "/x/parent.json": beside, "/p/parent.json": found }, "/x/role.json")
        .rules[0]?.id,
    ).toBe("beside");
    expect(loaded({ "/x/role.json": role, "/p/parent.json": found }, "/x/role.json").rules[0]?.id).toBe(
      "found",
    );
    expect(
      loaded(
        { "/x/role.json": { role: "role", extends: ["../y/other.json"] }, "/y/other.json": found },
        "/x/role.json",
      ).rules[0]?.id,
    ).toBe("found");
  });

  test("a parent that is nowhere is an error where it is named", () => {
    const { errors } = load({ "/p/role.json": '{ "role": "role",\n  "extends": ["bse"] }' });
    expect(errors).toMatchObject([
      { file: "/p/role.json", line: 2, column: 15, message: 'there is no role "bse"' },
    ]);
  });

  test("a policy that is nowhere is an error by its name", () => {
    expect(problems({}, "/none.json")).toEqual(["/none.json: there is no such file / undefined"]);
    expect(problems({}, "..")[0]).toContain("neither a role nor a file");
  });

  test("a role that extends itself is an error, at any distance", () => {
    expect(
      problems(
        { "/p/a.json": { role: "a", extends: ["b"] }, "/p/b.json": { role: "b", extends: ["a"] } },
        "a",
      )[0],
    ).toContain('"a" extends itself: a.json > b.json > a.json');
  });

  test("two files of one role are an error", () => {
    expect(
      problems({ "/p/a.json": { role: "a", extends: ["b"] }, "/p/b.json": { role: "a" } }, "a")[0],
    ).toContain('role "a" is also the one in /p/a.json');
  });
});

test("a resolved policy is itself a policy that decides the same", () => {
  const files = {
    "/p/role.json": {
      role: "role",
      extends: ["root"],
      override: { x: { action: "kill", except: [{ under: ["cron"] }] } },
      lists: { names: { append: ["b"] } },
    },
    "/p/root.json": {
      role: "root",
      lists: { names: ["a"] },
      rules: [
        rule("x", {
          when: { in: [{ var: "process.executable.name" }, { list: "names" }] },
          unknown: "match",
        }),
        rule("off", { enabled: false }),
      ],
    },
  };
  const policy = loaded(files);
  const again = loaded({ "/p/role.json": policy.resolved });
  expect(again.resolved).toEqual(policy.resolved);
  expect(again.version).toBe(policy.version);
  expect(judge(again, ["/bin/b"])).toEqual(judge(policy, ["/bin/b"]));
  expect(judge(again, ["/bin/b"])).toMatchObject({ action: "kill", rule: "x", ruleset: "root" });
});
