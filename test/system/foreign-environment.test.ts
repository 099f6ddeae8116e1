// Whoever starts treewarden, also as root, cannot make it run or write anything else by variables of the runtime or by
// files in the working directory.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, newFolder } from "./treewarden.ts";

let folder = "";
/** A script that leaves a mark if anything runs it. */
let script = "";

beforeAll(() => {
  folder = newFolder();
  script = join(folder, "foreign.js");
  writeFileSync(script, `require("fs").writeFileSync(${JSON.stringify(join(folder, "mark"))}, "ran");`);
  writeFileSync(join(folder, "role.json"), JSON.stringify({ role: "r", rules: [], default: "allow" }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly output: string;
  /** What is in the working directory afterwards. */
  readonly files: readonly string[];
}

let runs = 0;

/** Runs treewarden in a folder of its own with `files` in it. */
function run(
  args: readonly string[],
  env: Record<string, string>,
  files: Record<string, string> = {},
): Outcome {
  runs += 1;
  const cwd = join(folder, `run-${runs}`);
  mkdirSync(cwd);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const { exitCode, stdout, stderr } = Bun.spawnSync([binary, ...args], { cwd, env, stdin: "ignore" });
  return { code: exitCode, output: `${stdout}${stderr}`, files: readdirSync(cwd).sort() };
}

/**
 * Every word in the executable that looks like a variable of the runtime. Words follow each other without a gap, so each
 * is also tried up to where the next one, or something in small letters, begins.
 */
function variablesInBinary(): readonly string[] {
  const words = readFileSync(binary, "latin1").match(/(?:BUN_|JSC_|NODE)[A-Za-z0-9_]{1,60}/g) ?? [];
  const parts = words.flatMap((word) => word.split(/(?<=.)(?=BUN_|JSC_|NODE_)/));
  const capitals = parts.flatMap((word) => /^[A-Z0-9_]+(?=[a-z])/.exec(word) ?? []);
  return [...new Set([...parts, ...capitals])].sort();
}

const commands = (): readonly (readonly string[])[] => [
  ["version"],
  ["policy", "check", join(folder, "role.json")],
];

describe("nothing in the environment changes what treewarden does", () => {
  test("BUN_OPTIONS runs no script before it, BUN_BE_BUN makes it no interpreter", () => {
    const [version = []] = commands();
    const plain = run(version, {});
    expect(plain.code).toBe(0);
    expect(run(version, { BUN_OPTIONS: `--preload ${script}` })).toEqual(plain);
    expect(run(version, { BUN_BE_BUN: "1" })).toEqual(plain);
    const asInterpreter = run(["-e", "console.log('foreign code')"], { BUN_BE_BUN: "1" });
    expect(asInterpreter.code).toBe(2);
    expect(asInterpreter.output).not.toContain("foreign code\n");
    expect(readdirSync(folder)).not.toContain("mark");
  });

  test("no variable that the executable contains has an effect, whatever it says", () => {
    const names = variablesInBinary();
    // The names that were known to have an effect are among those that are tried.
    for (const name of ["BUN_OPTIONS", "BUN_BE_BUN", "BUN_BYTECODE_ORDER_OUT", "NODE_EXTRA_CA_CERTS"])
      expect(names).toContain(name);
    const options = ["useJITDump", "jitDumpDirectory", "functionOverrides", "useJIT", "dumpOptions", "logGC"];
    const tried = [...names, ...options.map((option) => `BUN_JSC_${option}`)];
    for (const command of commands()) {
      const plain = run(command, {});
      expect(plain.code).toBe(0);
      for (const value of [`--preload ${script}`, script, "1", "2", join(folder, "written")]) {
        const all = Object.fromEntries(tried.map((name) => [name, value]));
        expect(run(command, all)).toEqual(plain);
      }
    }
    const left = readdirSync(folder).filter((name) => !name.startsWith("run-"));
    expect(left.sort()).toEqual(["foreign.js", "role.json"]);
  });

  test("nor does each of the most dangerous ones alone", () => {
    const written = join(folder, "written");
    for (const [name, value] of Object.entries({
      BUN_BYTECODE_ORDER_OUT: written,
      BUN_INSPECT: `unix://${written}`,
      BUN_INSPECT_PRELOAD: script,
      BUN_JSC_functionOverrides: script,
      BUN_JSC_dumpOptions: "2",
      BUN_CONFIG_FILE: script,
      BUN_TCC_OPTIONS: "-v",
      NODE_OPTIONS: `--require ${script}`,
      NODE_PATH: folder,
    })) {
      for (const command of commands()) expect(run(command, { [name]: value })).toEqual(run(command, {}));
    }
    expect(readdirSync(folder)).not.toContain("written");
    expect(readdirSync(folder)).not.toContain("mark");
  });

  test("nor do a bunfig.toml and a .env in the working directory", () => {
    const files = {
      "bunfig.toml": `preload = [${JSON.stringify(script)}]\n`,
      ".env": "NO_COLOR=1\nBUN_BE_BUN=1\n",
    };
    for (const command of commands()) {
      const plain = run(command, {});
      expect(run(command, {}, files)).toEqual({ ...plain, files: [".env", "bunfig.toml"] });
    }
    expect(readdirSync(folder)).not.toContain("mark");
  });
});
