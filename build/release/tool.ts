// Runs the tools of a release, and keeps what is fetched outside of the checkout.
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A folder of the user's cache for downloads and built tools (XDG Base Directory Specification). */
export function cacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  const folder = join(base, "treewarden");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Runs a program and returns its standard output. Throws with its error output if it fails or is missing. */
export async function runTool(
  command: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const [name = ""] = command;
  if (Bun.which(name) === null) throw new Error(`${name} must be installed`);
  const run = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  });
  const [output, errors, code] = await Promise.all([run.stdout.text(), run.stderr.text(), run.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")} failed:\n${errors}${output}`);
  return output;
}

/** SHA-256 of bytes, as 64 hexadecimal digits. */
export function sha256(bytes: Uint8Array | string): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
