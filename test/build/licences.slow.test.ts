import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { licencesPath, licenceTexts } from "../../build/licences-page.ts";
import { lockFileText, parseLockFile } from "../../build/release/lock-file.ts";

const page = readFileSync(licencesPath, "utf8");
const SourceMap = v.object({ sources: v.array(v.string()) });

/** The packages whose code is in the bundle, by the source maps of a build. */
async function bundledNames(): Promise<readonly string[]> {
  const { outputs } = await Bun.build({
    entrypoints: [join(import.meta.dir, "../../src/main.ts")],
    target: "bun",
    splitting: true,
    sourcemap: "external",
    define: { TREEWARDEN_VERSION: '""' },
  });
  const names = new Set<string>();
  for (const output of outputs.filter(({ kind }) => kind === "sourcemap")) {
    const { sources } = v.parse(SourceMap, JSON.parse(await output.text()));
    for (const source of sources) {
      const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source) ?? [];
      if (name !== undefined) names.add(name);
    }
  }
  return [...names].sort();
}

test("docs/licenses.txt is what `npm run docs` writes", () => {
  expect(page).toBe(licenceTexts(parseLockFile(lockFileText())));
});

test("every package in the bundle is there with its version and its licence", async () => {
  const names = await bundledNames();
  expect(names).toContain("commander");
  const { all } = parseLockFile(lockFileText());
  for (const name of names) {
    const found = all.find((each) => each.name === name);
    expect(page).toContain(`\n${name} ${found?.version} (${found?.license})\n`);
  }
}, 60_000);

test("every library that the runtime reports is there", () => {
  const shown = page.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  // These are no libraries, or names of interfaces that Bun has code of its own for.
  const others = new Set([
    "node",
    "bun",
    "openssl",
    "v8",
    "napi",
    "modules",
    "unicode",
    "typescript",
    "zig",
    "uv",
  ]);
  const names: Readonly<Record<string, string>> = { ares: "c-ares", zlib: "zlib-ng", zstd: "zstandard" };
  for (const name of Object.keys(process.versions).filter((each) => !others.has(each)))
    expect(shown).toContain((names[name] ?? name).replaceAll(/[^a-z0-9]/g, ""));
});
