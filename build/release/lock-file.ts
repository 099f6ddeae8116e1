// package-lock.json: which packages a release is made of. npm's lock file of version 3.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { repository } from "../version.ts";

const LockedPackage = v.object({
  version: v.optional(v.string()),
  /** Subresource Integrity: `sha512-` and the digest in base64. */
  integrity: v.optional(v.string()),
  license: v.optional(v.string()),
  dependencies: v.optional(v.record(v.string(), v.string())),
});
const LockFile = v.object({ lockfileVersion: v.literal(3), packages: v.record(v.string(), LockedPackage) });

export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  readonly license: string | undefined;
  /** Names of packages that it needs. */
  readonly needs: readonly string[];
  /** Its folder, relative to the repository. */
  readonly folder: string;
}

const FOLDER = "node_modules/";

export interface LockedPackages {
  readonly all: readonly LockedPackage[];
  /** Names of the packages that treewarden itself needs; those that only its development needs are not among them. */
  readonly direct: readonly string[];
}

/** Parses the text of package-lock.json. Throws a ValiError for another version of the format. */
export function parseLockFile(text: string): LockedPackages {
  const { packages } = v.parse(LockFile, JSON.parse(text));
  const all = Object.entries(packages).flatMap(([folder, entry]) => {
    const at = folder.lastIndexOf(FOLDER);
    if (at < 0 || entry.version === undefined || entry.integrity === undefined) return [];
    return {
      name: folder.slice(at + FOLDER.length),
      version: entry.version,
      integrity: entry.integrity,
      license: entry.license,
      needs: Object.keys(entry.dependencies ?? {}),
      folder,
    };
  });
  return { all, direct: Object.keys(packages[""]?.dependencies ?? {}) };
}

/** The package that `name` means in the folder `from`: npm takes the nearest one. Throws if there is none. */
export function resolvePackage({ all }: LockedPackages, from: string, name: string): LockedPackage {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf(`/${FOLDER}`)))) {
    const at = folder === "" ? `${FOLDER}${name}` : `${folder}/${FOLDER}${name}`;
    const found = all.find((each) => each.folder === at);
    if (found !== undefined) return found;
    if (folder === "") throw new Error(`package-lock.json has no ${name}`);
  }
}

/** Everything that is bundled: what treewarden needs and what that needs, sorted by folder. */
export function bundledPackages(packages: LockedPackages): readonly LockedPackage[] {
  const found = new Set<LockedPackage>();
  const add = (from: string, name: string): void => {
    const each = resolvePackage(packages, from, name);
    if (found.has(each)) return;
    found.add(each);
    for (const needed of each.needs) add(each.folder, needed);
  };
  for (const name of packages.direct) add("", name);
  return [...found].toSorted((a, b) => (a.folder < b.folder ? -1 : 1));
}

export function lockFileText(): string {
  return readFileSync(join(repository, "package-lock.json"), "utf8");
}

/** The digest of an integrity text in hexadecimal. Throws unless it is one of SHA-512. */
export function sha512Of({ name, integrity }: LockedPackage): string {
  const [, base64] = /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(integrity) ?? [];
  if (base64 === undefined) throw new Error(`the integrity of ${name} must be SHA-512, not ${integrity}`);
  return Buffer.from(base64, "base64").toString("hex");
}
