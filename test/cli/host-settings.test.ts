// What every command takes for this host's settings.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostBase, hostConfig } from "../../src/cli/host-settings.ts";
import { CommandError } from "../../src/cli/output.ts";
import { tryLock } from "../../src/linux/flock.ts";
import { writeBase } from "../../src/warden/base-file.ts";

let folder = "";
let config = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "host-settings-"));
  config = join(folder, "config.yaml");
  writeFileSync(config, "policies: [web]\nstate_directory: /srv/state\nbase:\n  paths: [/opt/site/tool]\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("the configuration of a command", () => {
  test("is the file's, with the command line's options in place of its settings", () => {
    expect(hostConfig({ config })).toMatchObject({ policies: ["web"], state_directory: "/srv/state" });
    const flags = { config, policy: ["database"], stateDir: "/srv/other" };
    expect(hostConfig(flags)).toMatchObject({ policies: ["database"], state_directory: "/srv/other" });
  });

  test("names a policy file of the command line with its whole path, and a role as it is", () => {
    const policy = ["shop.json", "./roles/web.json", "/etc/web.json", "web"];
    const here = process.cwd();
    expect(hostConfig({ config, policy }).policies).toEqual([
      `${here}/shop.json`,
      `${here}/roles/web.json`,
      "/etc/web.json",
      "web",
    ]);
  });

  test("holds in spite of an error in the section of an output, as for run, and of no other error", () => {
    const broken = join(folder, "broken.yaml");
    writeFileSync(broken, "state_directory: /srv/state\notlp:\n  endpoint: collector\n");
    expect(hostConfig({ config: broken }).state_directory).toBe("/srv/state");
    writeFileSync(broken, "state_directory: state\notlp:\n  endpoint: collector\n");
    expect(() => hostConfig({ config: broken })).toThrow(CommandError);
  });

  test("is refused with a relative state directory, or if the named file does not exist", () => {
    expect(() => hostConfig({ config, stateDir: "state" })).toThrow(CommandError);
    expect(() => hostConfig({ config: join(folder, "none.yaml") })).toThrow(CommandError);
  });
});

describe("the base list of a command", () => {
  const listed = (stateDir: string) => hostBase(hostConfig({ config, stateDir })).files.get("/opt/site/tool");

  test("is computed as run does if no warden runs, whatever an earlier warden has left", () => {
    const stateDir = join(folder, "idle");
    mkdirSync(stateDir);
    writeBase(stateDir, { files: new Map() });
    expect(listed(stateDir)).toBe("configured");
    expect(listed(join(folder, "none"))).toBe("configured");
  });

  test("is the one that the running warden has saved", () => {
    const stateDir = join(folder, "busy");
    mkdirSync(stateDir);
    writeBase(stateDir, { files: new Map([["/opt/site/tool", "of the warden"]]) });
    const lock = openSync(join(stateDir, "lock"), "w+");
    try {
      expect(tryLock(lock)).toBe(true);
      expect(listed(stateDir)).toBe("of the warden");
    } finally {
      closeSync(lock);
    }
  });
});
