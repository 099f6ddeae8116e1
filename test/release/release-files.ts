// The files that `npm run release` left in dist/release.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { releaseTargets } from "../../build/release/targets.ts";

export const releaseFolder = join(import.meta.dir, "../../dist/release");
/** Their names, sorted. */
export const releaseFiles: readonly string[] = existsSync(releaseFolder)
  ? readdirSync(releaseFolder).sort()
  : [];
/** The processor of this host; undefined if a release has nothing for it. */
export const host = releaseTargets.find(({ node }) => node === process.arch);
/** The executable in the portable archive and in the image. */
export const PORTABLE = "/opt/treewarden/bin/treewarden";

/** The path of the only file whose name ends so. */
export function fileOf(ending: string): string {
  const found = releaseFiles.filter((name) => name.endsWith(ending));
  if (found.length !== 1) throw new Error(`${found.length} files end in ${ending}: npm run release first`);
  return join(releaseFolder, found[0] ?? "");
}
