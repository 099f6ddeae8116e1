// The interface of a package database, common to all distributions.

/** A file's digest as its package records it. */
export interface FileDigest {
  readonly algorithm: "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512";
  /** Lower-case hexadecimal. */
  readonly hex: string;
}

export interface Owned {
  readonly package: string;
  /** Undefined if the package records none, or marks the file as one that may be changed. */
  readonly digest: FileDigest | undefined;
  /** As `digest`, but also of a file that may be changed, as the package brought it. */
  readonly shipped: FileDigest | undefined;
}

/** A package database as it was when it was opened. */
export interface PackageDatabase {
  readonly kind: "dpkg" | "apk" | "rpm";
  /** Identifies the state of the database: it differs whenever packages have changed. */
  readonly stamp: string;
  /** The folder in which files are written whenever packages change. */
  readonly folder: string;
  /** The package that owns the file at this absolute path, if any. Throws if the database cannot be read. */
  owner(path: string): Owned | undefined;
  /** Programs of the packages that every such system has: absolute path to a short text on their origin. */
  basePrograms(): ReadonlyMap<string, string>;
  /** Programs of the packages with these names. */
  programsOf(names: ReadonlySet<string>): ReadonlyMap<string, string>;
  /** True if no package was installed or removed since the database was opened. */
  isCurrent(): boolean;
  /** True while a package manager is at work; files and database may then disagree. */
  isBusy(): boolean;
}

/** Matches programs in a `bin` directory. Programs in `sbin` are services or administration tools, and never base. */
const programPath = /^(?:\/usr)?\/bin\/[^/]+$/;

export function isProgram(path: string): boolean {
  return programPath.test(path);
}
