// `treewarden policy` as a person or a script meets it.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "treewarden-policy-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
}

const command = new URL("./command.ts", import.meta.url).pathname;

function policy(...args: string[]) {
  return policyIn(undefined, ...args);
}

function policyIn(cwd: string | undefined, ...args: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, command, ...args], {
    env: { NO_COLOR: "1" },
    ...(cwd === undefined ? {} : { cwd }),
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

const shell = { id: "shell", when: { under: ["nginx"] }, action: "kill" };
const lineage = ["/usr/sbin/nginx", "/usr/bin/dash"];
const good = file("good.json", {
  role: "good",
  extends: ["base"],
  rules: [shell],
  tests: [{ name: "kills", lineage, expect: { action: "kill", rule: "shell" } }],
});
const failing = file("failing.json", {
  role: "failing",
  rules: [shell],
  tests: [{ name: "lets be", lineage, expect: { action: "allow" } }],
});
const broken = file(
  "broken.json",
  '{ "role": "broken",\n  "rules": [{ "id": "a", "when": { "and": [] }, "action": "kill" }] }',
);

describe("check", () => {
  test("says how many rules there are and exits with 0", () => {
    const { exitCode, stdout } = policy("check", good, "web");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/good\.json: \d+ rules, version [0-9a-f]{12}\nweb: \d+ rules/);
  });

  test("names file, line, column and fix of what is broken, and exits with 2", () => {
    const { exitCode, stdout, stderr } = policy("check", good, broken);
    expect(exitCode).toBe(2);
    expect(stdout).not.toContain("broken");
    expect(stderr).toContain(`${broken}:2:34: an empty "and"\n  hint: give it 1 or more arguments\n`);
  });

  test("as JSON it is one object a line", () => {
    const { exitCode, stdout } = policy("check", "--output", "json", good, broken);
    expect(exitCode).toBe(2);
    const [first, second] = stdout
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(first).toMatchObject({ policy: good, ok: true, role: "good" });
    expect(second).toMatchObject({ policy: broken, ok: false, errors: [{ line: 2, column: 34 }] });
  });

  test("a policy that is nowhere is a broken one", () => {
    expect(policy("check", join(folder, "none.json")).exitCode).toBe(2);
    expect(policy("check", "wep").stderr).toContain('did you mean "web"?');
    expect(policy("check", `${folder}/`).exitCode).toBe(2);
  });

  test("a role that is nowhere, whose file lies in the folder one stands in, was meant as that file", () => {
    const { exitCode, stderr } = policyIn(folder, "check", "good");
    expect(exitCode).toBe(2);
    expect(stderr).toContain('there is no role "good"\n  hint: did you mean ./good.json?\n');
    expect(policyIn(folder, "check", "./good.json").exitCode).toBe(0);
  });
});

describe("test", () => {
  test("exits with 0 if all pass", () => {
    const { exitCode, stdout } = policy("test", good);
    expect([exitCode, stdout]).toEqual([0, `pass ${good}: kills\n1 of 1 tests pass\n`]);
  });

  test("exits with 1 if one fails, and says what was decided instead", () => {
    const { exitCode, stdout } = policy("test", good, failing);
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      `FAIL ${failing}: lets be\n     expected allow, got kill by shell\n     tree /nginx/base\n`,
    );
    expect(stdout).toContain("1 of 2 tests pass");
  });

  test("exits with 2 if a policy is broken", () => {
    expect(policy("test", failing, broken).exitCode).toBe(2);
    // No test has run, so there is no result.
    expect(policy("test", broken)).toMatchObject({ exitCode: 2, stdout: "" });
  });

  test("the roles that come with treewarden pass", () => {
    expect(
      policy("test", "base", "web", "database", "bastion", "container-host", "baseline", "build", "mail")
        .exitCode,
    ).toBe(0);
  }, 30_000);
});

describe("lint", () => {
  const wide = file("wide.json", {
    role: "wide",
    rules: [{ id: "root", when: { "==": [{ var: "process.user.id" }, 0] }, action: "kill" }],
  });
  const finding = `${wide}:1:25: rule "root" kills without a bound on the lineage: it asks neither`;

  test("exits with 0 if nothing is found, as in the roles that come with treewarden", () => {
    const { exitCode, stdout, stderr } = policy("lint", good, "web");
    expect([exitCode, stdout, stderr]).toEqual([0, "2 policies without findings\n", ""]);
  });

  test("names file, line, column, reason and fix of each finding, and exits with 1", () => {
    const { exitCode, stderr } = policy("lint", wide);
    expect(exitCode).toBe(1);
    expect(stderr).toContain(finding);
    expect(stderr).toContain("  hint: say below what");
  });

  test("a broken policy is an error of its own, with exit code 2", () => {
    expect(policy("lint", wide, broken).exitCode).toBe(2);
  });

  test("check warns of the same and exits with 0", () => {
    const { exitCode, stderr } = policy("check", wide);
    expect([exitCode, stderr.includes(finding)]).toEqual([0, true]);
  });

  test("as JSON it is one object a line", () => {
    const { exitCode, stdout } = policy("lint", "--output", "json", wide);
    expect(exitCode).toBe(1);
    const result: unknown = JSON.parse(stdout);
    expect(result).toMatchObject({ policy: wide, ok: false, lint: [{ line: 1, column: 25 }] });
  });
});

describe("show", () => {
  test("writes a policy without parents that is itself a policy", () => {
    const { exitCode, stdout } = policy("show", good);
    expect(exitCode).toBe(0);
    const flat = file("flat.json", stdout);
    expect(policy("show", flat).stdout).toBe(stdout);
  });

  test("a broken policy is not shown", () => {
    const { exitCode, stdout } = policy("show", broken);
    expect([exitCode, stdout]).toEqual([2, ""]);
  });
});

describe("policy check --source", () => {
  const words = file("words.json", {
    role: "words",
    rules: [{ id: "it", when: { contains: [{ var: "process.command_line" }, "x"] }, action: "alert" }],
  });

  test("warns of rules that can never match under that source, and finds the policy fine", () => {
    const { exitCode, stdout, stderr } = policy("check", words, "--source", "acct");
    expect(exitCode).toBe(0);
    expect(stdout).toContain("1 rule, ");
    expect(stderr).toBe(
      "treewarden: words/it can never match: the source acct does not know process.command_line\n",
    );
  });

  test("has the warnings in its JSON", () => {
    const { stdout } = policy("check", words, "--source", "acct", "--output", "json");
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      warnings: ["words/it can never match: the source acct does not know process.command_line"],
    });
    expect(
      JSON.parse(policy("check", words, "--source", "ebpf", "--output", "json").stdout),
    ).not.toHaveProperty("warnings");
  });
});
