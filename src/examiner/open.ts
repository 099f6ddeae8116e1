// Opens the package database of a host, of whichever kind it is.
import { openApk } from "./apk.ts";
import type { PackageDatabase } from "./database.ts";
import { openDpkg } from "./dpkg.ts";
import { openRpm } from "./rpm.ts";

/** The first database that has packages; undefined if there is none. `root`: the system's directory, empty for `/`. */
export function openPackages(root = ""): PackageDatabase | undefined {
  return openDpkg(root) ?? openApk(root) ?? openRpm(root);
}
