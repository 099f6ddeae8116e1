// The configuration file of a command: which one is read, and what is reported about one that is not.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isConfigurationChanged, readConfig, readConfigFile } from "../../src/cli/configuration.ts";
import type { ReadPurpose } from "../../src/cli/file-rules.ts";
import { CommandError } from "../../src/cli/output.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "configuration-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** The error's message and hint; empty if the file was read. */
function refusal(path: string, reading: ReadPurpose): string {
  try {
    readConfig(path, reading);
    return "";
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return `${error.message}; ${error.hint}`.replaceAll(folder, "F");
  }
}

describe.each<ReadPurpose>(["to decide", "to show"])("a configuration %s", (reading) => {
  test("is never waited for, and never read without end", () => {
    const pipe = join(folder, `pipe of ${reading}`);
    Bun.spawnSync(["mkfifo", pipe]);
    expect(refusal(pipe, reading)).toContain("it is not a regular file");
    const endless = join(folder, `endless for ${reading}`);
    symlinkSync("/dev/zero", endless);
    expect(refusal(endless, reading)).toContain("it is not a regular file");
    const large = file("large.yaml", "");
    truncateSync(large, 1 << 30);
    expect(refusal(large, reading)).toContain("it is larger than 65536 bytes");
  });
});

test.skipIf(process.geteuid?.() !== 0)(
  "only a configuration of root's decides; anybody's can be tried",
  () => {
    const path = file("hers.yaml", "policies: [web]\n");
    chownSync(path, 65_534, 65_534);
    expect(refusal(path, "to decide")).toBe(
      "cannot read the configuration F/hers.yaml: it belongs to user 65534, not to root; chown root F/hers.yaml",
    );
    expect(refusal(path, "to show")).toBe("");
    chownSync(path, 0, 0);
    chmodSync(path, 0o666);
    expect(refusal(path, "to decide")).toContain("it can be written by others: its mode is 0666; chmod go-w");
    expect(refusal(path, "to show")).toBe("");
  },
);

test.skipIf(process.geteuid?.() !== 0)(
  "a configuration that this user must not read is a matter of rights",
  () => {
    chmodSync(folder, 0o755);
    const path = file("secret.yaml", "policies: [web]\n");
    chmodSync(path, 0o600);
    const main = join(import.meta.dir, "../../src/main.ts");
    const command = ["/proc/self/exe", main, "ps", "--config", path];
    const { exitCode, stderr } = Bun.spawnSync(command, { env: {}, uid: 65_534, gid: 65_534 });
    expect([exitCode, stderr.toString()]).toEqual([3, expect.stringContaining("hint: run it with sudo")]);
  },
);

test("of many errors the first are shown, and how many more there are", () => {
  const answer = refusal(file("wrong.yaml", "a: *b [\n".repeat(100)), "to show");
  expect(answer.split("\n")).toHaveLength(21);
  expect(answer).toMatch(/\n\d+ more errors in F\/wrong.yaml;/);
});

test.each(["\u001b[31mfoo: 1\n\u009b2J: 2\n", '? { "\u001b[31mfoo": [1] }\n: 2\n'])(
  "what a file holds cannot move the terminal of who reads the error: %j",
  (content) => {
    const path = file("escape.yaml", content);
    const command = [process.execPath, join(import.meta.dir, "../../src/main.ts"), "ps", "--config", path];
    const { exitCode, stderr } = Bun.spawnSync(command, { env: {} });
    expect(exitCode).toBe(2);
    const text = stderr.toString();
    expect(text).toContain("foo");
    expect(text).toMatch(/^[ -~\n]+$/);
    expect(text.split("\n").every((line) => /^(?:$|treewarden: | {2}hint: )/.test(line))).toBe(true);
  },
);

test("a configuration has changed if the warden's own file has another content now, and only then", () => {
  const path = file("of-run.yaml", "policies: [web]\n");
  const { digest = null } = readConfigFile(path, "to decide");
  const read = { file: path, digest, since: 0 };
  expect(isConfigurationChanged(read)).toBe(false);
  writeFileSync(path, "policies: [database]\n");
  expect(isConfigurationChanged(read)).toBe(true);
  rmSync(path);
  expect(isConfigurationChanged(read)).toBe(true);
});
