// The runtime of a processor, from the npm registry that npm is configured for. npm installs only packages for the
// processor that it runs on, so the package is fetched as a file; package-lock.json pins its digest.
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type LockedPackage, sha512Of } from "./lock-file.ts";
import { cacheFolder, runTool } from "./tool.ts";

/**
 * Extracts the runtime in the package `locked` into `folder`, and returns its path. The package is fetched unless the
 * cache has it. Throws if its digest is another one.
 */
export async function fetchRuntime(locked: LockedPackage, folder: string): Promise<string> {
  const digest = sha512Of(locked);
  const spec = `${locked.name}@${locked.version}`;
  const kept = join(cacheFolder(), `runtime-${digest.slice(0, 32)}.tgz`);
  if (!existsSync(kept)) await fetchPackage(spec, kept);
  const found = new Bun.CryptoHasher("sha512").update(readFileSync(kept)).digest("hex");
  if (found !== digest) {
    rmSync(kept);
    throw new Error(`${spec} is not the package that package-lock.json names`);
  }
  await runTool(["tar", "-xzf", kept, "-C", folder, "package/bin/bun"]);
  return join(folder, "package/bin/bun");
}

async function fetchPackage(spec: string, path: string): Promise<void> {
  const work = mkdtempSync(join(cacheFolder(), "build-"));
  try {
    const name = (await runTool(["npm", "pack", spec, "--silent", "--pack-destination", work])).trim();
    renameSync(join(work, name), path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
