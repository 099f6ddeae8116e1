// The loader and the C library of the portable archive: Debian's glibc, from where apt gets its packages. apt has
// checked Debian's signature; which version it was, and its digest, is written into the provenance of the release.
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ReleaseTarget } from "./targets.ts";
import { runTool, sha256 } from "./tool.ts";

export interface CLibrary {
  /** The version of the Debian package. */
  readonly version: string;
  /** SHA-256 of the package, hexadecimal. */
  readonly digest: string;
  /** By the names that the archive gives them. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly licence: Uint8Array;
}

/** The name of the loader in the archive: the same for every processor. */
export const LOADER = "ld.so";

/** What the executable is linked with (readelf -d). Since glibc 2.34, names are resolved without further libraries. */
const libraries = ["libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0"];

/** Fetches glibc for a processor, and works in the empty folder `work`. Needs apt-get and dpkg-deb. */
export async function fetchCLibrary({ go, triplet, loader }: ReleaseTarget, work: string): Promise<CLibrary> {
  // Lists and state of its own: the host's apt need not know this processor, and is left as it is.
  const lists = join(work, "lists");
  const cache = join(work, "cache");
  mkdirSync(join(lists, "partial"), { recursive: true });
  mkdirSync(join(cache, "archives/partial"), { recursive: true });
  const settings = {
    "APT::Architecture": go,
    "APT::Architectures": go,
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Dir::State::lists": lists,
    "Dir::State::status": "/dev/null",
    "Dir::Cache": cache,
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await runTool(["apt-get", "-qq", ...options, "update"], { cwd: work });
  await runTool(["apt-get", "-qq", ...options, "download", "libc6"], { cwd: work });
  const name = readdirSync(work).find((each) => each.endsWith(".deb"));
  if (name === undefined) throw new Error("apt-get has not downloaded libc6");
  const file = join(work, name);
  await runTool(["dpkg-deb", "-x", file, join(work, "root")]);
  const read = (path: string): Uint8Array => readFileSync(join(work, "root", path));
  const files = libraries.map((each): [string, Uint8Array] => [each, read(`lib/${triplet}/${each}`)]);
  return {
    version: (await runTool(["dpkg-deb", "-f", file, "Version"])).trim(),
    digest: sha256(readFileSync(file)),
    files: new Map([...files, [LOADER, read(`lib/${triplet}/${loader}`)]]),
    licence: read("usr/share/doc/libc6/copyright"),
  };
}
