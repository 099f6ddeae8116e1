// The base system of this host: from its package database, else the embedded list; and what the configuration adds.
import type { Config } from "../config/config.ts";
import { type BaseSystem, embeddedBase } from "../fingerprint/base.ts";
import { mergedPath } from "../fingerprint/path.ts";
import type { PackageDatabase } from "./database.ts";

export function baseOf(database: PackageDatabase | undefined, added: Config["base"]): BaseSystem {
  const files = new Map<string, string>();
  const take = (more: ReadonlyMap<string, string>): void => {
    for (const [path, origin] of more) files.set(mergedPath(path), origin);
  };
  // Only Debian marks its packages; and applets of busybox have names but no files.
  if (database?.kind !== "dpkg") take(embeddedBase.files);
  if (database !== undefined) {
    take(database.basePrograms());
    take(database.programsOf(new Set(added.packages)));
  }
  for (const path of added.paths) files.set(mergedPath(path), "configured");
  return { files };
}
