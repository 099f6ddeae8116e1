// Reads dpkg's database, /var/lib/dpkg, as described in dpkg(1), dpkg-query(1) and deb-md5sums(5).
import { type FileDigest, isProgram, type Owned, type PackageDatabase } from "./database.ts";
import { isAnyLocked, listFolder, type MergePath, pathMerger, readText, stampOf } from "./files.ts";
import { Owners } from "./owners.ts";

export interface DpkgPackage {
  readonly name: string;
  /** `required`, `important`, `standard`, `optional` or `extra`. */
  readonly priority: string;
  readonly essential: boolean;
}

/** The packages in /var/lib/dpkg/status that have files on this system. */
export function parsePackageStatus(text: string): DpkgPackage[] {
  const packages: DpkgPackage[] = [];
  for (const stanza of text.split(/\n\n+/)) {
    const name = /^Package: (\S+)$/m.exec(stanza)?.[1];
    const state = /^Status: \S+ \S+ (\S+)$/m.exec(stanza)?.[1];
    if (name === undefined || state === undefined || state === "not-installed" || state === "config-files")
      continue;
    const priority = /^Priority: (\S+)$/m.exec(stanza)?.[1] ?? "";
    packages.push({ name, priority, essential: /^Essential: yes$/m.test(stanza) });
  }
  return packages;
}

/** Moves the file at a path elsewhere for every package but one (dpkg-divert(1)). */
export interface Diversion {
  readonly to: string;
  /** The package whose file stays at the path; `:` for a diversion by the administrator. */
  readonly by: string;
}

/** Parses /var/lib/dpkg/diversions, three lines for each diversion: from, to, by. */
export function parseDiversions(text: string): Map<string, Diversion> {
  const diversions = new Map<string, Diversion>();
  const lines = text.split("\n");
  for (let i = 0; i + 2 < lines.length; i += 3) {
    const [from = "", to = "", by = ""] = lines.slice(i, i + 3);
    if (from.startsWith("/") && to.startsWith("/")) diversions.set(from, { to, by });
  }
  return diversions;
}

/** The digest of the first absolute path in a package's md5sums for which `matches` returns true. */
export function findDigest(md5sums: string, matches: (path: string) => boolean): string | undefined {
  for (const line of md5sums.split("\n")) {
    const match = /^([0-9a-f]{32}) [ *](.+)$/.exec(line);
    if (match?.[2] !== undefined && matches(`/${match[2].replace(/^(?:\.?\/)+/, "")}`)) return match[1];
  }
  return undefined;
}

/** The digest of the first conffile in /var/lib/dpkg/status for which `matches` returns true, as its package brought it. */
export function findConffileDigest(status: string, matches: (path: string) => boolean): string | undefined {
  for (const [, path = "", hex] of status.matchAll(/^ (\/.*) ([0-9a-f]{32})$/gm))
    if (matches(path)) return hex;
  return undefined;
}

const standard: ReadonlySet<string> = new Set(["required", "important", "standard"]);

class Dpkg implements PackageDatabase {
  readonly kind = "dpkg";
  readonly folder: string;
  readonly stamp: string;
  private readonly packages: readonly DpkgPackage[];
  /** Names of the packages' file lists, such as `coreutils` or `libc6:amd64`. */
  private readonly lists: readonly string[];
  private readonly diversions: ReadonlyMap<string, Diversion>;
  private readonly merge: MergePath;
  private owners: Owners | undefined;

  constructor(root: string, packages: readonly DpkgPackage[], stamp: string) {
    this.folder = `${root}/var/lib/dpkg`;
    this.stamp = stamp;
    this.packages = packages;
    this.merge = pathMerger(root);
    this.diversions = parseDiversions(readText(`${this.folder}/diversions`) ?? "");
    const names = new Set(packages.map(({ name }) => name));
    this.lists = listFolder(`${this.folder}/info`)
      .filter((file) => file.endsWith(".list"))
      .map((file) => file.slice(0, -".list".length))
      .filter((list) => names.has(packageOf(list)));
  }

  owner(path: string): Owned | undefined {
    const merged = this.merge(path);
    const list = this.lists[this.index().find(merged) ?? -1];
    if (list === undefined) return undefined;
    const name = packageOf(list);
    for (const listed of this.paths(list)) {
      if (this.merge(this.diverted(listed, name)) !== merged) continue;
      const original = this.merge(listed);
      const sums = readText(`${this.folder}/info/${list}.md5sums`);
      const hex = sums === undefined ? undefined : findDigest(sums, (file) => this.merge(file) === original);
      const digest = hex === undefined ? undefined : ({ algorithm: "md5", hex } as const);
      return { package: name, digest, shipped: digest ?? this.conffileDigest(original) };
    }
    return undefined;
  }

  basePrograms(): ReadonlyMap<string, string> {
    const marked = new Map<string, string>();
    for (const { name, priority, essential } of this.packages) {
      if (essential || standard.has(priority)) marked.set(name, essential ? "essential" : priority);
    }
    return this.programs((name) => marked.get(name));
  }

  programsOf(names: ReadonlySet<string>): ReadonlyMap<string, string> {
    return this.programs((name) => (names.has(name) ? "configured" : undefined));
  }

  isCurrent(): boolean {
    return stampOfDpkg(this.folder) === this.stamp;
  }

  isBusy(): boolean {
    return isAnyLocked([`${this.folder}/lock`, `${this.folder}/lock-frontend`]);
  }

  /** The programs of the packages for which `wanted` returns a reason. */
  private programs(wanted: (name: string) => string | undefined): Map<string, string> {
    const programs = new Map<string, string>();
    for (const list of this.lists) {
      const name = packageOf(list);
      const reason = wanted(name);
      if (reason === undefined) continue;
      for (const listed of this.paths(list)) {
        const path = this.diverted(listed, name);
        if (isProgram(path)) programs.set(path, `${name}, ${reason}`);
      }
    }
    return programs;
  }

  private index(): Owners {
    if (this.owners !== undefined) return this.owners;
    const owners = new Owners();
    for (const [number, list] of this.lists.entries()) {
      const name = packageOf(list);
      for (const listed of this.paths(list)) owners.add(this.merge(this.diverted(listed, name)), number);
    }
    this.owners = owners;
    return owners;
  }

  private conffileDigest(path: string): FileDigest | undefined {
    const status = readText(`${this.folder}/status`) ?? "";
    const hex = findConffileDigest(status, (file) => this.merge(file) === path);
    return hex === undefined ? undefined : { algorithm: "md5", hex };
  }

  private paths(list: string): readonly string[] {
    const text = readText(`${this.folder}/info/${list}.list`) ?? "";
    return text.split("\n").filter((line) => line.length > 1 && line.startsWith("/"));
  }

  private diverted(path: string, by: string): string {
    const diversion = this.diversions.get(path);
    return diversion === undefined || diversion.by === by ? path : diversion.to;
  }
}

function packageOf(list: string): string {
  const colon = list.indexOf(":");
  return colon === -1 ? list : list.slice(0, colon);
}

function stampOfDpkg(folder: string): string {
  return stampOf([`${folder}/status`, `${folder}/diversions`, `${folder}/info`]);
}

/** Opens dpkg's database in `root` (empty for `/`); undefined if it is missing or has no package. */
export function openDpkg(root: string): PackageDatabase | undefined {
  const folder = `${root}/var/lib/dpkg`;
  // The stamp is taken before the database is read, so that a change during the read is noticed.
  const stamp = stampOfDpkg(folder);
  const packages = parsePackageStatus(readText(`${folder}/status`) ?? "");
  return packages.length === 0 ? undefined : new Dpkg(root, packages, stamp);
}
