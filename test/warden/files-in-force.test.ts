// What is kept of the configuration and policies in force, and what a reload says about it.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultConfig } from "../../src/config/config.ts";
import { settings } from "../../src/config/settings.ts";
import { Totals } from "../../src/report/totals.ts";
import { writeNow } from "../../src/warden/atomic-file-writer.ts";
import { FilesInForce } from "../../src/warden/files-in-force.ts";
import {
  configInForce,
  formatLastGood,
  type LastGood,
  lastGoodPath,
  readLastGood,
  reloadedSettings,
} from "../../src/warden/last-good.ts";

const kept: LastGood = {
  run: "tw-1",
  sinceMs: 1_790_000_000_000,
  origin: { file: "/etc/treewarden/config.yaml", digest: "sha256:00", why: null },
  policies: ["web"],
  files: [["/etc/treewarden/config.yaml", "YTogYgo="]],
  problems: [],
  config: defaultConfig(),
};

function within(work: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "last-good-"));
  try {
    work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function filesInForce(stateDirectory: string, startConfig = kept.config): FilesInForce {
  const inputs = {
    stateDirectory,
    startConfig,
    totals: new Totals(),
    writeFile: writeNow,
    recordChange: () => undefined,
  };
  return new FilesInForce(inputs, kept);
}

test("a reload puts into force what the table of settings says", () => {
  const names = Object.entries(settings).filter(([, { takesEffect }]) => takesEffect !== "restart");
  expect(new Set(names.map(([name]) => name.split(".")[0] ?? ""))).toEqual(new Set(reloadedSettings));
});

describe("what was last in force", () => {
  test("is read as it was kept", () =>
    within((folder) => {
      filesInForce(folder);
      expect(readLastGood(folder)).toEqual(JSON.parse(JSON.stringify(kept)));
    }));

  test("stays when the files on disk are refused, with the reasons", () =>
    within((folder) => {
      filesInForce(folder).refuse(["a typo"]);
      expect(readLastGood(folder)).toMatchObject({ files: kept.files, problems: ["a typo"] });
    }));

  test.each([
    ["nothing", ""],
    ["no JSON", "{"],
    ["another version", formatLastGood(kept).replace('"version":1', '"version":2')],
    ["half of it", formatLastGood(kept).slice(0, 200)],
    ["a further key", formatLastGood(kept).replace('"version":1', '"version":1,"x":1')],
  ])("is none if the file holds %s", (_, text) =>
    within((folder) => {
      writeFileSync(lastGoodPath(folder), text, { mode: 0o600 });
      expect(readLastGood(folder)).toBeUndefined();
    }),
  );
});

test("a setting that a reload does not put into force waits for the next start, until the file has the old one again", () =>
  within((folder) => {
    const files = filesInForce(folder);
    const accept = (config: LastGood["config"]): readonly string[] => {
      files.accept({ ...kept, config }, true);
      return files.waiting;
    };
    const changed = {
      ...defaultConfig(),
      otlp: { ...defaultConfig().otlp, endpoint: "https://c.example:4318" },
    };
    expect(accept(changed)).toEqual(["otlp"]);
    expect(accept({ ...changed, armed: "all" })).toEqual(["otlp"]);
    expect(accept(defaultConfig())).toEqual([]);
  }));

test("a setting that the file does not have any more waits for the next start, too", () =>
  within((folder) => {
    const files = filesInForce(folder, { ...defaultConfig(), rescue_user: "ops" });
    files.accept(kept, true);
    expect(files.waiting).toEqual(["rescue_user"]);
  }));

test("a warden that starts later in the run keeps the settings that wait for the next start", () =>
  within((folder) => {
    const start = { ...defaultConfig(), state_directory: folder };
    const read: LastGood["config"] = { ...start, enforcement: "kill", armed: "all", rescue_user: "ops" };
    filesInForce(folder).accept({ ...kept, config: read }, true);
    expect(configInForce(kept.run, start)).toEqual({ ...start, enforcement: "kill", armed: "all" });
    expect(configInForce("tw-2", read)).toEqual(read);
  }));
