// Reads rpm's database in SQLite (rpm 4.16 and later), which has one header for each package.
import { constants, Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { standardPackages } from "./base-packages.ts";
import { type FileDigest, isProgram, type Owned, type PackageDatabase } from "./database.ts";
import { isAnyLocked, type MergePath, pathMerger, stampOf } from "./files.ts";
import { Owners } from "./owners.ts";
import { parseRpmHeader, type RpmHeader } from "./rpm-header.ts";

/** OpenPGP's numbers of hash algorithms (RFC 4880, 9.4). */
const algorithms = new Map<number, FileDigest["algorithm"]>([
  [1, "md5"],
  [2, "sha1"],
  [8, "sha256"],
  [9, "sha384"],
  [10, "sha512"],
  [11, "sha224"],
]);

class Rpm implements PackageDatabase {
  readonly kind = "rpm";
  readonly folder: string;
  private readonly file: string;
  readonly stamp: string;
  private readonly merge: MergePath;
  private readonly owners = new Owners();
  private readonly base = new Map<string, string>();
  private packages = 0;

  constructor(root: string, folder: string) {
    this.folder = folder;
    this.file = `${folder}/rpmdb.sqlite`;
    this.stamp = stampOfRpm(this.file);
    this.merge = pathMerger(root);
    this.eachHeader((header, number) => {
      this.packages += 1;
      const isBase = standardPackages.has(header.name);
      for (const { path } of header.files) {
        this.owners.add(this.merge(path), number);
        if (isBase && isProgram(path)) this.base.set(path, `${header.name}, standard`);
      }
    });
  }

  get size(): number {
    return this.packages;
  }

  owner(path: string): Owned | undefined {
    const merged = this.merge(path);
    const number = this.owners.find(merged);
    if (number === undefined) return undefined;
    using database = openReadOnly(this.file);
    using query = database.query("SELECT blob FROM Packages WHERE hnum = ?");
    const header = headerOf(query.values(number)[0]?.[0]);
    const file = header?.files.find((candidate) => this.merge(candidate.path) === merged);
    if (header === undefined || file === undefined) return undefined;
    const algorithm = algorithms.get(header.digestAlgorithm);
    const { digest: hex } = file;
    const shipped = hex === undefined || algorithm === undefined ? undefined : { algorithm, hex };
    return { package: header.name, digest: file.changeable ? undefined : shipped, shipped };
  }

  basePrograms(): ReadonlyMap<string, string> {
    return this.base;
  }

  programsOf(names: ReadonlySet<string>): ReadonlyMap<string, string> {
    const programs = new Map<string, string>();
    if (names.size === 0) return programs;
    this.eachHeader(({ name, files }) => {
      if (!names.has(name)) return;
      for (const { path } of files) if (isProgram(path)) programs.set(path, `${name}, configured`);
    });
    return programs;
  }

  isCurrent(): boolean {
    return stampOfRpm(this.file) === this.stamp;
  }

  isBusy(): boolean {
    return isAnyLocked([`${this.folder}/.rpm.lock`]) || hasLog(this.file);
  }

  private eachHeader(each: (header: RpmHeader, number: number) => void): void {
    using database = openReadOnly(this.file);
    using query = database.query("SELECT hnum, blob FROM Packages");
    for (const row of query.iterate()) {
      if (typeof row !== "object" || row === null || !("hnum" in row && "blob" in row)) continue;
      const header = headerOf(row.blob);
      if (header !== undefined && typeof row.hnum === "number") each(header, row.hnum);
    }
  }
}

function headerOf(blob: unknown): RpmHeader | undefined {
  return blob instanceof Uint8Array ? parseRpmHeader(blob) : undefined;
}

/**
 * Opens the file as immutable, so that SQLite neither locks it nor creates files beside it. Rows in a write-ahead log
 * that is not merged yet are not seen.
 */
function openReadOnly(file: string): Database {
  const address = `file:${encodeURI(file).replaceAll("?", "%3f").replaceAll("#", "%23")}?immutable=1`;
  return new Database(address, constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI);
}

function hasLog(file: string): boolean {
  return (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

function stampOfRpm(file: string): string {
  return stampOf([file, `${file}-wal`]);
}

/** Opens rpm's database in `root` (empty for `/`); undefined if it is missing, cannot be read or has no package. */
export function openRpm(root: string): PackageDatabase | undefined {
  for (const folder of [`${root}/usr/lib/sysimage/rpm`, `${root}/var/lib/rpm`]) {
    if (statSync(`${folder}/rpmdb.sqlite`, { throwIfNoEntry: false }) === undefined) continue;
    try {
      const database = new Rpm(root, folder);
      if (database.size > 0) return database;
    } catch {
      // A database that is incomplete or of another format counts as missing.
    }
  }
  return undefined;
}
