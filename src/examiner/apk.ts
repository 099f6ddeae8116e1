// Reads Alpine's database, lib/apk/db/installed; apk-package(5) describes its fields.
import { standardPackages } from "./base-packages.ts";
import { type FileDigest, isProgram, type Owned, type PackageDatabase } from "./database.ts";
import { isAnyLocked, type MergePath, pathMerger, readText, stampOf } from "./files.ts";
import { Owners } from "./owners.ts";

/** Calls `each` for every file of every package, with its absolute path and its checksum as written. */
export function readInstalled(
  text: string,
  each: (name: string, path: string, checksum: string | undefined) => void,
): void {
  let name = "";
  let directory = "";
  let path: string | undefined;
  let checksum: string | undefined;
  const emitFile = (): void => {
    if (path !== undefined && name !== "") each(name, path, checksum);
    path = undefined;
    checksum = undefined;
  };
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline === -1 ? text.length : newline;
    const field = text.slice(start, Math.min(start + 2, end));
    const value = text.slice(start + 2, end);
    if (field === "R:") {
      emitFile();
      path = `${directory}/${value}`;
    } else if (field === "Z:") checksum = value;
    else if (field === "F:") {
      emitFile();
      directory = value === "" ? "" : `/${value}`;
    } else if (field === "P:") {
      emitFile();
      name = value;
      directory = "";
    } else if (end === start) {
      emitFile();
      name = "";
    }
    start = end + 1;
  }
  emitFile();
}

/** Parses `Q1` and a SHA-1, or `Q2` and a SHA-256, in base64; undefined for anything else. */
export function parseChecksum(text: string): FileDigest | undefined {
  const algorithm = text.startsWith("Q1") ? "sha1" : text.startsWith("Q2") ? "sha256" : undefined;
  const bytes = Buffer.from(text.slice(2), "base64");
  if (algorithm === undefined || bytes.length !== (algorithm === "sha1" ? 20 : 32)) return undefined;
  return { algorithm, hex: bytes.toString("hex") };
}

class Apk implements PackageDatabase {
  readonly kind = "apk";
  readonly folder: string;
  readonly stamp: string;
  private readonly merge: MergePath;
  private readonly owners = new Owners();
  private readonly names: string[] = [];
  private readonly base = new Map<string, string>();

  constructor(root: string, folder: string, text: string, stamp: string) {
    this.folder = folder;
    this.stamp = stamp;
    this.merge = pathMerger(root);
    readInstalled(text, (name, path) => {
      if (name !== this.names.at(-1)) this.names.push(name);
      this.owners.add(this.merge(path), this.names.length - 1);
      if (standardPackages.has(name) && isProgram(path)) this.base.set(path, `${name}, standard`);
    });
  }

  get size(): number {
    return this.names.length;
  }

  owner(path: string): Owned | undefined {
    const merged = this.merge(path);
    const wanted = this.names[this.owners.find(merged) ?? -1];
    if (wanted === undefined) return undefined;
    let owned: Owned | undefined;
    readInstalled(this.text(), (name, listed, checksum) => {
      if (name !== wanted || this.merge(listed) !== merged) return;
      const digest = checksum === undefined ? undefined : parseChecksum(checksum);
      owned = { package: name, digest, shipped: digest };
    });
    return owned;
  }

  basePrograms(): ReadonlyMap<string, string> {
    return this.base;
  }

  programsOf(names: ReadonlySet<string>): ReadonlyMap<string, string> {
    const programs = new Map<string, string>();
    if (names.size === 0) return programs;
    readInstalled(this.text(), (name, path) => {
      if (names.has(name) && isProgram(path)) programs.set(path, `${name}, configured`);
    });
    return programs;
  }

  isCurrent(): boolean {
    return stampOf([`${this.folder}/installed`]) === this.stamp;
  }

  isBusy(): boolean {
    return isAnyLocked([`${this.folder}/lock`]);
  }

  private text(): string {
    return readText(`${this.folder}/installed`) ?? "";
  }
}

/** Opens apk's database in `root` (empty for `/`); undefined if it is missing or has no package. */
export function openApk(root: string): PackageDatabase | undefined {
  // Since Alpine 3.23 the database is under /usr.
  for (const folder of [`${root}/lib/apk/db`, `${root}/usr/lib/apk/db`]) {
    const stamp = stampOf([`${folder}/installed`]);
    const text = readText(`${folder}/installed`);
    if (text === undefined) continue;
    const database = new Apk(root, folder, text, stamp);
    if (database.size > 0) return database;
  }
  return undefined;
}
