// Packages for Debian's, Red Hat's and Alpine's package managers, made by nfpm.
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../version.ts";
import type { ReleaseTarget } from "./targets.ts";
import { cacheFolder, runTool } from "./tool.ts";

/**
 * Pinned: the checksum database of Go has its digest and those of its dependencies. Later versions depend on modules
 * from hosts other than the usual ones for formats that are not made here.
 */
export const NFPM = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2";

/** The path of nfpm, which is built by Go unless the cache has it. */
export function buildNfpm(): string {
  const cache = cacheFolder();
  const kept = join(cache, `nfpm-${NFPM.replace(/^.*@v/, "")}`);
  if (existsSync(kept)) return kept;
  const work = mkdtempSync(join(cache, "build-"));
  try {
    runTool(["go", "install", "-trimpath", NFPM], { env: { GOBIN: work, CGO_ENABLED: "0" } });
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
  /** The folder `opt/treewarden` of the portable archive. */
  readonly portable: string;
  /** Files of the documentation, by their names in /usr/share/doc/treewarden. */
  readonly documents: ReadonlyMap<string, string>;
}

interface Content {
  readonly src?: string;
  readonly dst: string;
  readonly type?: "config|noreplace" | "dir" | "symlink" | "tree";
  readonly file_info?: { readonly mode: number };
}

type Format = "deb" | "rpm" | "apk";

const packaging = (path: string): string => join(repository, "packaging", path);
const EXECUTABLE = { mode: 0o755 };
const FILE = { mode: 0o644 };

/** What every package has: the configuration, which upgrades keep, and the documentation. */
function common({ documents }: PackageInputs): readonly Content[] {
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
  ];
}

/** For hosts with glibc and systemd. */
function forSystemd(inputs: PackageInputs): readonly Content[] {
  const file = (name: string, dst: string): Content => ({ src: packaging(name), dst, file_info: FILE });
  return [
    ...common(inputs),
    { src: inputs.executable, dst: "/usr/bin/treewarden", file_info: EXECUTABLE },
    file("systemd/treewarden.service", "/usr/lib/systemd/system/treewarden.service"),
    file("systemd/treewarden.sysusers", "/usr/lib/sysusers.d/treewarden.conf"),
    file("systemd/treewarden.tmpfiles", "/usr/lib/tmpfiles.d/treewarden.conf"),
  ];
}

/** For Alpine, whose C library is musl: the portable archive, and a service of OpenRC. */
function forOpenRc(inputs: PackageInputs): readonly Content[] {
  return [
    ...common(inputs),
    { src: inputs.portable, dst: "/opt/treewarden", type: "tree" },
    { src: "/opt/treewarden/bin/treewarden", dst: "/usr/bin/treewarden", type: "symlink" },
    { src: packaging("openrc/treewarden"), dst: "/etc/init.d/treewarden", file_info: EXECUTABLE },
  ];
}

/**
 * A version that rises with each commit, in which each package manager finds the order of commits: Debian's and Red
 * Hat's compare a number after the plus sign, Alpine's one after `_git`.
 */
function packageVersion(format: Format, { version, commit, time }: PackageInputs): string {
  if (commit === undefined) return version;
  const at = new Date(time * 1000).toISOString().replaceAll(/\D/g, "").slice(0, 14);
  return format === "apk" ? `${version}_git${at}` : `${version}+${at}.${commit}`;
}

const scripts: Readonly<Record<Format, Readonly<Record<string, unknown>>>> = {
  deb: {
    scripts: {
      preinstall: packaging("deb/preinst"),
      postinstall: packaging("deb/postinst"),
      preremove: packaging("deb/prerm"),
      postremove: packaging("deb/postrm"),
    },
    deb: { compression: "gzip" },
  },
  rpm: {
    scripts: {
      postinstall: packaging("rpm/post"),
      preremove: packaging("rpm/preun"),
      postremove: packaging("rpm/postun"),
    },
    rpm: {
      compression: "gzip",
      summary: "watches every program that starts, and its parents",
      buildhost: "localhost",
    },
  },
  apk: {
    scripts: {
      preinstall: packaging("apk/pre-install"),
      postinstall: packaging("apk/post-install"),
      preremove: packaging("apk/pre-deinstall"),
    },
    apk: {
      scripts: { preupgrade: packaging("apk/pre-upgrade"), postupgrade: packaging("apk/post-upgrade") },
    },
  },
};

/** Writes the packages into `folder`, and returns their file names. */
export function makePackages(nfpm: string, inputs: PackageInputs, folder: string): readonly string[] {
  const formats: readonly Format[] = ["deb", "rpm", "apk"];
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
            "watches every program that starts, and its parents\n" +
            "treewarden names the chain of parents of every program that starts on this host, judges it by the policy " +
            "of the server's role, and reports or kills what does not belong here.",
          license: "MIT",
          mtime: new Date(inputs.time * 1000).toISOString(),
          umask: 0o022,
          contents: format === "apk" ? forOpenRc(inputs) : forSystemd(inputs),
          ...scripts[format],
        }),
      );
      runTool([nfpm, "package", "--config", file, "--packager", format, "--target", folder], {
        env: { SOURCE_DATE_EPOCH: String(inputs.time) },
      });
    }
    const suffixes = formats.map((format) => `.${format}`);
    return readdirSync(folder).filter((name) => suffixes.some((suffix) => name.endsWith(suffix)));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
