// Upgrades by apt-get(8): the packages that are installed here, with a higher version and another content of their programs.
// The distribution's own packages are fetched first, and installed again at the end.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { installedVersion, LocalRepository } from "./local-repository.ts";
import { FOLDER, must } from "./scene.ts";

/** invoke-rc.d(8): forbids the scripts of packages to start services. */
const POLICY = "/usr/sbin/policy-rc.d";

interface UpgradablePackage {
  readonly name: string;
  /** The distribution's version. */
  readonly version: string;
  /** The distribution's archive. */
  readonly original: string;
  /** What the archive holds; its programs and its version change. */
  readonly tree: string;
}

export class UpgradablePackages implements Disposable {
  private readonly packages: readonly UpgradablePackage[];
  private readonly repository: LocalRepository;
  private readonly forbidsServices = !existsSync(POLICY);
  private count = 0;

  /** `names`: packages that are installed. Throws if the distribution does not have the version that is. */
  constructor(names: readonly string[]) {
    this.repository = new LocalRepository(join(FOLDER, "apt"));
    this.packages = names.map((name) => fetchPackage(name, join(FOLDER, "packages", name)));
    if (this.forbidsServices) writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  }

  /** Offers the next version of every package, in which the programs that fit these globs have another content. */
  prepare(programs: readonly string[]): void {
    this.count += 1;
    const next = this.packages.map(({ name, version, tree }) => {
      const control = join(tree, "DEBIAN/control");
      const text = readFileSync(control, "utf8");
      writeFileSync(control, text.replace(/^Version: .*$/m, `Version: ${this.nextOf(version)}`));
      // What follows the sections of an ELF file changes nothing of what it does.
      for (const program of programs)
        for (const file of new Bun.Glob(program).scanSync({ cwd: tree }))
          appendFileSync(join(tree, file), `${this.count}`);
      const archive = join(FOLDER, "packages", `${name}.deb`);
      must(["dpkg-deb", "-Znone", "--root-owner-group", "-b", tree, archive]);
      return archive;
    });
    this.repository.offer([...this.packages.map(({ original }) => original), ...next]);
  }

  /**
   * Upgrades to what was prepared, beside whatever else goes on. `onUnpacking` is called when dpkg begins to unpack a package.
   * Throws if one of them has another version after it.
   */
  async upgrade(onUnpacking: (name: string) => void): Promise<void> {
    await this.repository.upgrade(onUnpacking);
    this.expectVersions((version) => this.nextOf(version));
  }

  /** The packages are again what the distribution has. Throws if they are not. */
  [Symbol.dispose](): void {
    this.repository.offer(this.packages.map(({ original }) => original));
    this.repository.install(this.packages.map(({ name, version }) => `${name}=${version}`));
    if (this.forbidsServices) rmSync(POLICY);
    this.expectVersions((version) => version);
  }

  private nextOf(version: string): string {
    return `${version}+next${this.count}`;
  }

  private expectVersions(versionOf: (original: string) => string): void {
    for (const { name, version } of this.packages) {
      const installed = installedVersion(name);
      const expected = versionOf(version);
      if (installed !== expected) throw new Error(`${name} must be ${expected}, not ${installed}`);
    }
  }
}

/** Fetches the archive of a package from the distribution, and unpacks it below `folder`. */
function fetchPackage(name: string, folder: string): UpgradablePackage {
  // Without what an interrupted run of this check has left.
  const version = installedVersion(name).replace(/\+next[0-9]+$/, "");
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  must(["sh", "-c", 'cd "$1" && apt-get -qq download "$2"', "sh", folder, `${name}=${version}`]);
  const archive = readdirSync(folder).find((file) => file.endsWith(".deb"));
  if (archive === undefined) throw new Error(`${name} ${version} could not be fetched`);
  const original = join(folder, archive);
  const tree = join(folder, "tree");
  must(["dpkg-deb", "-R", original, tree]);
  return { name, version, original, tree };
}
