// What every package database can be asked, whichever distribution made it.

/** A file's digest as its package has it. */
export interface FileDigest {
  readonly algorithm: "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512";
  /** Lower case hexadecimal. */
  readonly hex: string;
}

export interface Owned {
  readonly package: string;
  /** undefined if the package does not say, or says that the file may be changed. */
  readonly digest: FileDigest | undefined;
}

/** A package database as it was when it was opened. */
export interface PackageDatabase {
  readonly kind: "dpkg" | "apk" | "rpm";
  /** Another one whenever packages have changed. */
  readonly stamp: string;
  /** The folder that something is written to whenever packages change. */
  readonly folder: string;
  /** Who owns the file at this absolute path; undefined if nobody does. Throws if the database cannot be read. */
  owner(path: string): Owned | undefined;
  /** Programs of packages that are part of every such system: absolute path to a word on where it comes from. */
  basePrograms(): ReadonlyMap<string, string>;
  /** Programs of the packages with these names. */
  programsOf(names: ReadonlySet<string>): ReadonlyMap<string, string>;
  /** Nothing was installed or removed since it was opened. */
  isCurrent(): boolean;
  /** A package manager is at work: files and database need not fit now. */
  isBusy(): boolean;
}

/** The directories that `bin` is; what lies in `sbin` is a service or an administrator's tool, and never base. */
const program = /^(?:\/usr)?\/bin\/[^/]+$/;

export function isProgram(path: string): boolean {
  return program.test(path);
}
