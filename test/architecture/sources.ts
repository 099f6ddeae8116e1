// The sources as text, for tests of their structure.
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dir, "../..");

export interface SourceFile {
  /** Relative to the repository, such as `src/forest/forest.ts`. */
  readonly path: string;
  readonly text: string;
}

/** Every TypeScript file below a folder of the repository, sorted by path. */
export function sourceFiles(folder: string): readonly SourceFile[] {
  const paths = [...new Bun.Glob("**/*.ts").scanSync({ cwd: join(root, folder) })].sort();
  return paths.map((path) => {
    const full = join(folder, path);
    return { path: full, text: readFileSync(join(root, full), "utf8") };
  });
}

export interface Import {
  /** The file of the repository that is imported, such as `src/linux/libc.ts`, or the name of a module. */
  readonly target: string;
  /** Only types are imported: nothing of it runs. */
  readonly typesOnly: boolean;
  /** It is imported while the file runs, not with it. */
  readonly dynamic: boolean;
}

/** The static and dynamic imports of a file. */
export function importsOf({ path, text }: SourceFile): readonly Import[] {
  const found: Import[] = [];
  const statements = /^(?:import|export)\s+(type\s+)?(?:[^"';]*?from\s+)?"([^"]+)"/gms;
  for (const [, type, target] of text.matchAll(statements))
    if (target !== undefined)
      found.push({ target: resolve(path, target), typesOnly: type !== undefined, dynamic: false });
  for (const [, target] of text.matchAll(/\bimport\("([^"]+)"\)/g))
    if (target !== undefined) found.push({ target: resolve(path, target), typesOnly: false, dynamic: true });
  return found;
}

function resolve(from: string, target: string): string {
  return target.startsWith(".") ? relative(root, join(root, dirname(from), target)) : target;
}

/** The folder below src/ that a file lies in; undefined for src/main.ts and for what is not below src/. */
export function roomOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}
