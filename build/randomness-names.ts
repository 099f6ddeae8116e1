// Names of files for training and testing the model of randomness: what this Debian has installed (dpkg's file
// lists) and the names of all its packages, which programs and directories are named after (apt's lists).
import { lstatSync } from "node:fs";

/** A name and the source package it comes from; `kind`: directory, executable, other file, package. */
export interface SourcedName {
  readonly source: string;
  readonly kind: "directory" | "executable" | "file" | "package";
  readonly name: string;
}

export function output(...command: readonly string[]): string {
  const { exitCode, stdout } = Bun.spawnSync([...command], { stderr: "ignore" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} failed`);
  return stdout.toString();
}

/** Every name of every installed package's files, and every known package's name. */
export function collectNames(): SourcedName[] {
  const names: SourcedName[] = [];
  for (const line of output("dpkg-query", "-W", "-f", "$" + "{binary:Package} $" + "{source:Package}\n")
    .trim()
    .split("\n")) {
    const [binary = "", source = ""] = line.split(" ");
    for (const path of output("dpkg-query", "-L", binary).split("\n")) {
      if (path.length < 3 || !path.startsWith("/")) continue;
      const kind = kindOf(path);
      if (kind !== undefined) names.push({ source, kind, name: path.slice(path.lastIndexOf("/") + 1) });
    }
  }
  let name = "";
  let source = "";
  for (const line of [...output("apt-cache", "dumpavail").split("\n"), ""]) {
    if (line.startsWith("Package: ")) name = line.slice(9);
    else if (line.startsWith("Source: ")) source = line.slice(8).split(" ")[0] ?? "";
    else if (line === "") {
      if (name !== "") names.push({ source: source === "" ? name : source, kind: "package", name });
      name = "";
      source = "";
    }
  }
  return names;
}

function kindOf(path: string): SourcedName["kind"] | undefined {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return undefined;
  if (status.isDirectory()) return "directory";
  return status.isFile() && (status.mode & 0o111) !== 0 ? "executable" : "file";
}

/** One source package in five is held out: all of its names, so that `libfoo-dev` never vouches for `libfoo`. */
export function heldOut(source: string): boolean {
  return (new Bun.CryptoHasher("sha256").update(source).digest()[0] ?? 0) % 5 === 0;
}

export const alphabets = {
  hex: "0123456789abcdef",
  HEX: "0123456789ABCDEF",
  base32: "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
  "base32, lower case": "abcdefghijklmnopqrstuvwxyz234567",
  base36: "0123456789abcdefghijklmnopqrstuvwxyz",
  base62: "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
  base64url: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
  "tempfile of Python": "abcdefghijklmnopqrstuvwxyz0123456789_",
  "letters of both cases": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
  "lower case letters": "abcdefghijklmnopqrstuvwxyz",
  "upper case letters": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
} as const;

/** A generator of numbers from 0 to 1 that gives the same on every host (xorshift32). */
export function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export function draw(alphabet: string, length: number, roll: () => number): string {
  let text = "";
  for (let at = 0; at < length; at++) text += alphabet[Math.floor(roll() * alphabet.length)] ?? "";
  return text;
}
