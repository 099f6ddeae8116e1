// Writes docs/licenses.txt, which `treewarden licenses` prints: the licences of all that is in the executable. Recipe:
// `npm run docs`; a test fails while the page is stale.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  bundledPackages,
  type LockedPackage,
  type LockedPackages,
  lockFileText,
  parseLockFile,
} from "./release/lock-file.ts";
import { runtimeParts } from "./runtime-parts.ts";
import { repository } from "./version.ts";

export const licencesPath = join(repository, "docs/licenses.txt");

const line = `\n${"-".repeat(78)}\n\n`;

/** The licence texts of treewarden, of the runtime and its parts, and of all packages in the bundle. */
export function licenceTexts(packages: LockedPackages): string {
  const own = readFileSync(join(repository, "LICENSE"), "utf8");
  return [`treewarden\n\n${own}`, runtimeText(packages), ...packageTexts(bundledPackages(packages))].join(
    line,
  );
}

/** Packages with the same text stand together. */
function packageTexts(packages: readonly LockedPackage[]): readonly string[] {
  const namesOf = new Map<string, string[]>();
  for (const each of packages) {
    const text = textOf(each);
    namesOf.set(text, [
      ...(namesOf.get(text) ?? []),
      `${each.name} ${each.version} (${each.license ?? "no licence named"})`,
    ]);
  }
  return [...namesOf].map(([text, names]) => `${names.join("\n")}\n\n${text}\n`);
}

function textOf({ folder, license }: LockedPackage): string {
  const path = join(repository, folder);
  const files = readdirSync(path)
    .filter((name) => /^(licen[cs]e|notice)/i.test(name))
    .sort();
  const texts = files.map((name) => readFileSync(join(path, name), "utf8").trim());
  return texts.length === 0 ? `Licence: ${license}` : texts.join("\n\n");
}

function runtimeText({ all }: LockedPackages): string {
  const version = all.find(({ name }) => name === "bun")?.version;
  if (version === undefined) throw new Error("package-lock.json has no bun");
  const width = Math.max(...runtimeParts.map(({ name }) => name.length));
  const parts = runtimeParts.map(
    ({ name, licence, source }) =>
      `    ${name.padEnd(width)}  ${licence}\n    ${"".padEnd(width)}  ${source}`,
  );
  return `Bun ${version}, the runtime inside the executable (MIT)

Copyright (c) Jarred Sumner and the contributors to Bun. The MIT licence above applies to it with this notice.
Source: https://github.com/oven-sh/bun/tree/bun-v${version}

It contains these libraries. Each has its own licence, by its SPDX identifier, and its text with its source:

${parts.join("\n")}

JavaScriptCore and TinyCC are under the GNU Lesser General Public License. You may change them and link the runtime
again: the source above builds it (\`bun run build:local\`), and \`npm run build\` of treewarden takes the runtime in
node_modules/bun/bin. Both are unmodified parts of Bun's release. treewarden adds machine code before the runtime's first
instruction (build/entry-stub.ts) and its own code behind it, and changes nothing else.
`;
}

if (import.meta.main) writeFileSync(licencesPath, licenceTexts(parseLockFile(lockFileText())));
