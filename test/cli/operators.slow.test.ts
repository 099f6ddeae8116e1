// What operators ran into when they met the commands for the first time, each run as a command.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const main = join(import.meta.dir, "../../src/main.ts");
const isRoot = process.geteuid?.() === 0;
let folder = "";
let config = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "operators-"));
  chmodSync(folder, 0o755);
  config = join(folder, "config.yaml");
  const role = (name: string) => ({
    role: name,
    rules: [{ id: "everything", when: true, action: "alert" }],
    default: "allow",
  });
  writeFileSync(join(folder, "mine.json"), JSON.stringify(role("mine")));
  writeFileSync(config, `policies: [${folder}/mine.json]\nstate_directory: ${folder}/elsewhere\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function treewarden(words: readonly string[], before: readonly string[] = []): Answer {
  const run = Bun.spawnSync([...before, process.execPath, main, ...words]);
  return { code: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}

test("explain judges by the policies that the configuration names, as run does", () => {
  const { code, out } = treewarden(["explain", "--exe", "/usr/bin/true", "--config", config]);
  expect([code, out]).toEqual([0, expect.stringContaining("mine/everything")]);
});

test.each([
  ["--output pretty before the pid", ["--output", "pretty", String(process.pid)]],
  ["--output=pretty", ["--output=pretty", String(process.pid)]],
  ["--config before the pid", ["--config", "CONFIG", String(process.pid)]],
  ["--state-dir before the pid", ["--state-dir", "/nonexistent", String(process.pid)]],
])("explain takes its options anywhere: %s", (_, words) => {
  const given = words.map((word) => (word === "CONFIG" ? config : word));
  const { code, out } = treewarden(["explain", ...given]);
  expect([code, out]).toEqual([0, expect.stringContaining("tree")]);
});

describe("the state directory is that of the configuration", () => {
  test("for events", () => {
    const { code, err } = treewarden(["events", "--config", config]);
    expect([code, err]).toEqual([
      2,
      expect.stringContaining(`there is no journal at ${folder}/elsewhere/report`),
    ]);
  });

  test("for status, reload and the orders", () => {
    for (const words of [["status"], ["reload"]])
      expect([words, ...Object.values(treewarden([...words, "--config", config]))].join(" ")).toContain(
        `no treewarden runs on ${folder}/elsewhere`,
      );
  });

  test("and one that is named and does not exist is reported by ps", () => {
    const { code, err } = treewarden(["ps", "--state-dir", "/nonexistent"]);
    expect([code, err]).toEqual([0, expect.stringContaining("there is no state directory /nonexistent")]);
  });
});

test.skipIf(!isRoot)(
  "doctor reports to another user that /proc cannot be read, and names no option that it lacks",
  () => {
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const { out, err } = treewarden(["doctor"], nobody);
    expect(out + err).toMatch(/missing +\/proc +the programs of other users cannot be read/);
    expect(out + err).not.toContain("--state-dir");
  },
);

describe("an error says what must be, once", () => {
  test("a number where an address must be", () => {
    const wrong = join(folder, "wrong.yaml");
    writeFileSync(wrong, "metrics: { listen: 9501 }\n");
    const { code, err } = treewarden(["run", "--check", "--config", wrong]);
    expect([code, err]).toEqual([
      2,
      expect.stringContaining("metrics.listen must be ADDRESS:PORT or off, not 9501"),
    ]);
  });

  test("a policy that is not there is named once, and one rule is not `1 rules`", () => {
    const { code, err } = treewarden(["policy", "check", "./nope.json"]);
    expect(code).toBe(2);
    expect(err.split("nope.json")).toHaveLength(2);
    expect(treewarden(["policy", "check", join(folder, "mine.json")]).out).toContain(": 1 rule, ");
  });

  test("a variable that is no variable of rules is not mistaken for the name of an event", () => {
    const when = { ">": [{ var: "event.time" }, 1] };
    writeFileSync(
      join(folder, "time.json"),
      JSON.stringify({ role: "time", rules: [{ id: "late", when, action: "alert" }], default: "allow" }),
    );
    const { code, err } = treewarden(["policy", "check", join(folder, "time.json")]);
    expect([code, err]).toEqual([2, expect.stringContaining('"event.time"')]);
    expect(err).not.toContain("event.name");
  });
});
