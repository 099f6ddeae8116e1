// The base system of this host: the base programs of its package database, or else of the embedded list, and those that
// the configuration adds.
import type { Config } from "../config/config.ts";
import { type BaseSystem, embeddedBase } from "../fingerprint/base.ts";
import { mergedPath } from "../fingerprint/path.ts";
import type { PackageDatabase } from "./database.ts";

export function baseOf(database: PackageDatabase | undefined, added: Config["base"]): BaseSystem {
  const files = new Map<string, string>();
  const addAll = (programs: ReadonlyMap<string, string>): void => {
    for (const [path, origin] of programs) files.set(mergedPath(path), origin);
  };
  // Only dpkg marks its base packages. The embedded list also has the applets of busybox, which are no files of a
  // package.
  if (database?.kind !== "dpkg") addAll(embeddedBase.files);
  if (database !== undefined) {
    addAll(database.basePrograms());
    addAll(database.programsOf(new Set(added.packages)));
  }
  for (const path of added.paths) files.set(mergedPath(path), "configured");
  return { files };
}
