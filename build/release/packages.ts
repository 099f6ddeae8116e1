// Packages for Debian's, Red Hat's and Alpine's package managers, made by nfpm.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { repository } from "../version.ts";
import type { CommandLineFiles } from "./command-line-files.ts";
import type { ReleaseTarget } from "./targets.ts";
import { cacheFolder, runTool } from "./tool.ts";

/**
 * Pinned: the checksum database of Go has its digest and those of its dependencies. Later versions depend on modules
 * from hosts other than the usual ones for formats that are not made here.
 */
export const NFPM = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2";

/** The path of nfpm, which is built by Go unless the cache has it. */
export async function buildNfpm(): Promise<string> {
  const cache = cacheFolder();
  const kept = join(cache, `nfpm-${NFPM.replace(/^.*@v/, "")}`);
  if (existsSync(kept)) return kept;
  const work = mkdtempSync(join(cache, "build-"));
  try {
    await runTool(["go", "install", "-trimpath", NFPM], { env: { GOBIN: work, CGO_ENABLED: "0" } });
    renameSync(join(work, "nfpm"), kept);
    return kept;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

export interface PackageInputs {
  readonly target: ReleaseTarget;
  /** Of package.json. */
  readonly version: string;
  /** Away from the version's tag, the commit. */
  readonly commit: string | undefined;
  /** Seconds since the epoch. */
  readonly time: number;
  /** The executable for hosts with glibc. */
  readonly executable: string;
  /** The files of the portable archive: where they will be, and where they are. */
  readonly portable: ReadonlyMap<string, string>;
  /** Files of the documentation, by their names in /usr/share/doc/treewarden. */
  readonly documents: ReadonlyMap<string, string>;
  readonly commandLine: CommandLineFiles;
}

interface Content {
  readonly src?: string;
  readonly dst: string;
  readonly type?: "config|noreplace" | "dir" | "symlink";
  readonly file_info?: { readonly mode: number };
}

export type PackageFormat = "deb" | "rpm" | "apk";

const packaging = (path: string): string => join(repository, "packaging", path);
const SUMMARY = "watches every program that starts, and its parents";
const EXECUTABLE = { mode: 0o755 };
const FILE = { mode: 0o644 };

/** Debian's zsh looks into vendor-completions for what packages bring; the others keep the place that zsh itself has. */
const zshCompletions: Readonly<Record<PackageFormat, string>> = {
  deb: "/usr/share/zsh/vendor-completions",
  rpm: "/usr/share/zsh/site-functions",
  apk: "/usr/share/zsh/site-functions",
};

/** What every package has: the configuration, which upgrades keep, and what explains the commands. */
function common({ documents, commandLine }: PackageInputs, format: PackageFormat): readonly Content[] {
  const { manual, completions } = commandLine;
  return [
    { dst: "/etc/treewarden", type: "dir", file_info: { mode: 0o755 } },
    { dst: "/etc/treewarden/policies", type: "dir", file_info: { mode: 0o755 } },
    {
      src: packaging("config.yaml"),
      dst: "/etc/treewarden/config.yaml",
      type: "config|noreplace",
      file_info: FILE,
    },
    ...[...documents].map(([name, src]) => ({
      src,
      dst: `/usr/share/doc/treewarden/${name}`,
      file_info: FILE,
    })),
    { src: manual, dst: "/usr/share/man/man8/treewarden.8.gz", file_info: FILE },
    { src: completions.bash, dst: "/usr/share/bash-completion/completions/treewarden", file_info: FILE },
    { src: completions.zsh, dst: `${zshCompletions[format]}/_treewarden`, file_info: FILE },
    { src: completions.fish, dst: "/usr/share/fish/vendor_completions.d/treewarden.fish", file_info: FILE },
  ];
}

/** For hosts with glibc and systemd. */
function forSystemd(inputs: PackageInputs, format: "deb" | "rpm"): readonly Content[] {
  const file = (name: string, dst: string): Content => ({ src: packaging(name), dst, file_info: FILE });
  return [
    ...common(inputs, format),
    { src: inputs.executable, dst: "/usr/bin/treewarden", file_info: EXECUTABLE },
    file("systemd/treewarden.service", "/usr/lib/systemd/system/treewarden.service"),
    file("systemd/sealed.conf", "/usr/share/doc/treewarden/sealed.conf"),
    file("systemd/treewarden.sysusers", "/usr/lib/sysusers.d/treewarden.conf"),
    file("systemd/treewarden.tmpfiles", "/usr/lib/tmpfiles.d/treewarden.conf"),
  ];
}

/** For Alpine, whose C library is musl: the portable archive, and a service of OpenRC. */
function forOpenRc(inputs: PackageInputs): readonly Content[] {
  return [
    ...common(inputs, "apk"),
    ...[...inputs.portable].map(([dst, src]) => ({ src, dst })),
    { src: "/opt/treewarden/bin/treewarden", dst: "/usr/bin/treewarden", type: "symlink" },
    { src: packaging("openrc/treewarden"), dst: "/etc/init.d/treewarden", file_info: EXECUTABLE },
  ];
}

/**
 * A version that rises with each commit, in which each package manager finds the order of commits: Debian's and Red
 * Hat's compare a number after the plus sign, Alpine's one after `_git`.
 */
function packageVersion(format: PackageFormat, { version, commit, time }: PackageInputs): string {
  if (commit === undefined) return version;
  const at = new Date(time * 1000).toISOString().replaceAll(/\D/g, "").slice(0, 14);
  return format === "apk" ? `${version}_git${at}` : `${version}+${at}.${commit}`;
}

/** `script` returns the path of a maintainer script. */
function settingsOf(
  format: PackageFormat,
  script: (name: string) => string,
): Readonly<Record<string, unknown>> {
  // As quick as gzip and a seventh smaller; dpkg of Debian 12 and rpm 4.14 can read it.
  const zstd = { compression: "zstd" };
  const scripts = (names: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries(names).map(([key, name]) => [key, script(name)]));
  switch (format) {
    case "deb":
      return {
        depends: ["libc6 (>= 2.17)"],
        scripts: scripts({
          preinstall: "preinst",
          postinstall: "postinst",
          preremove: "prerm",
          postremove: "postrm",
        }),
        deb: zstd,
      };
    case "rpm":
      return {
        depends: ["glibc >= 2.17"],
        scripts: scripts({ postinstall: "post", preremove: "preun", postremove: "postun" }),
        rpm: { ...zstd, summary: SUMMARY, buildhost: "localhost" },
      };
    case "apk":
      return {
        scripts: scripts({
          preinstall: "pre-install",
          postinstall: "post-install",
          preremove: "pre-deinstall",
        }),
        apk: { scripts: scripts({ preupgrade: "pre-upgrade", postupgrade: "post-upgrade" }) },
      };
  }
}

/** A copy of a maintainer script whose time is the release's: some formats keep it. */
function stagedScript(format: PackageFormat, name: string, folder: string, time: number): string {
  const copy = join(folder, `${format}-${name}`);
  copyFileSync(packaging(join(format, name)), copy);
  utimesSync(copy, time, time);
  return copy;
}

/** Writes the packages into `folder`. */
export async function makePackages(
  nfpm: string,
  inputs: PackageInputs,
  folder: string,
  formats: readonly PackageFormat[] = ["deb", "rpm", "apk"],
): Promise<void> {
  const work = mkdtempSync(join(cacheFolder(), "build-"));
  try {
    for (const format of formats) {
      const file = join(work, "nfpm.yaml");
      // JSON is YAML.
      writeFileSync(
        file,
        JSON.stringify({
          name: "treewarden",
          arch: inputs.target.go,
          platform: "linux",
          version: packageVersion(format, inputs),
          version_schema: "none",
          release: format === "apk" ? "r0" : "1",
          section: "admin",
          priority: "optional",
          maintainer: "the authors of treewarden <treewarden@localhost>",
          description:
            `${SUMMARY}\n` +
            "treewarden names the chain of parents of every program that starts on this host, judges it by the policy " +
            "of the server's role, and reports or kills what does not belong here.",
          license: "MIT",
          mtime: new Date(inputs.time * 1000).toISOString(),
          umask: 0o022,
          disable_globbing: true,
          contents: format === "apk" ? forOpenRc(inputs) : forSystemd(inputs, format),
          ...settingsOf(format, (name) => stagedScript(format, name, work, inputs.time)),
        }),
      );
      await runTool([nfpm, "package", "--config", file, "--packager", format, "--target", folder], {
        env: { SOURCE_DATE_EPOCH: String(inputs.time) },
      });
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
