// The package database of a host, whichever it has.
import { openApk } from "./apk.ts";
import type { PackageDatabase } from "./database.ts";
import { openDpkg } from "./dpkg.ts";
import { openRpm } from "./rpm.ts";

/** The database that has packages in it; undefined if there is none. `root`: where the system lies, empty for `/`. */
export function openPackages(root = ""): PackageDatabase | undefined {
  return openDpkg(root) ?? openApk(root) ?? openRpm(root);
}
