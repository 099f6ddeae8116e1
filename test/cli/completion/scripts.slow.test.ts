// The scripts in real shells. What a shell would show is printed instead: bash has it in COMPREPLY, and in zsh functions
// with the names of its own print what they are given.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { completedCommands } from "../../../src/cli/completion/command-table.ts";
import { completionScript, type Shell, shells } from "../../../src/cli/completion/scripts.ts";
import { wholeProgram } from "../../../src/cli/program.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-completion-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  const commands = completedCommands(await wholeProgram());
  for (const shell of shells) writeFileSync(join(folder, shell), completionScript(shell, commands));
  writeFileSync(join(folder, "web.json"), "");
});

const drivers: Readonly<Record<Exclude<Shell, "fish">, string>> = {
  bash: `source ./bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _treewarden; printf '%s\\n' "\${COMPREPLY[@]}"`,
  zsh: `
    compadd() { shift; print -l -- "$@" }
    _files() { print -l -- * }
    _describe() { local entry; for entry in "\${(@P)2}"; do print -r -- "\${entry%%:*}"; done }
    source ./zsh; words=("$@"); CURRENT=$#; _treewarden`,
};

/** What the shell offers for the last of these words. bash leaves out what does not begin with it, zsh does so later. */
function offered(shell: "bash" | "zsh", ...words: readonly string[]): readonly string[] {
  const started = shell === "bash" ? ["bash", "--norc"] : ["zsh", "-f"];
  const { stdout, stderr, exitCode } = Bun.spawnSync(
    [...started, "-c", drivers[shell], shell, "treewarden", ...words],
    { cwd: folder },
  );
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBeLessThanOrEqual(1);
  const last = words.at(-1) ?? "";
  return stdout
    .toString()
    .split("\n")
    .filter((word) => word !== "" && word.startsWith(last));
}

for (const shell of ["bash", "zsh"] as const) {
  const isMissing = Bun.which(shell) === null;
  if (isMissing) console.log(`skipped: ${shell} is not installed`);
  describe.skipIf(isMissing)(shell, () => {
    test("a command, by its beginning", () => {
      expect(offered(shell, "comp")).toEqual(["completion"]);
      expect(offered(shell, "")).toContain("run");
    });

    test("a subcommand", () => {
      expect(offered(shell, "policy", "")).toEqual(expect.arrayContaining(["check", "lint", "test", "show"]));
      expect(offered(shell, "policy", "ch")).toEqual(["check"]);
    });

    test("the options of a command", () => {
      expect(offered(shell, "run", "--out")).toEqual(["--output"]);
      expect(offered(shell, "policy", "check", "--")).toContain("--source");
      expect(offered(shell, "policy", "check", "--")).not.toContain("--state-dir");
    });

    test("the values of an option", () => {
      expect(offered(shell, "run", "--all", "--output", "")).toEqual(["json", "pretty", "alerts", "none"]);
      expect(offered(shell, "run", "--config", "web")).toEqual(["web.json"]);
      expect(offered(shell, "run", "--for", "")).toEqual([]);
    });

    test("the arguments of a command", () => {
      expect(offered(shell, "schema", "")).toEqual(["policy", "config"]);
      expect(offered(shell, "policy", "check", "web")).toEqual(["web", "web.json"]);
    });
  });
}

test("bash: a value behind =", () => {
  expect(offered("bash", "run", "--output", "=", "al")).toEqual(["alerts"]);
});

// fish itself is not run: no Debian package of the tests needs it.
test("fish: a line for every command and option, with what it means", async () => {
  const script = readFileSync(join(folder, "fish"), "utf8");
  expect(script).toContain(`-n "__treewarden_at ''" -a run -d 'watch this host`);
  expect(script).toContain(`-n "__treewarden_at ' run'" -l output -x -a 'json pretty alerts none' -d`);
  for (const { place, options } of completedCommands(await wholeProgram()))
    for (const { flags } of options)
      expect(script).toContain(`-n "__treewarden_at '${place}'" -l ${flags[0]?.slice(2)} `);
});
