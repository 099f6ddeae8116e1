// What the executable is made of beside treewarden's own code: packages of npm, the runtime, and in the portable
// archive the C library. The bill of materials is made from it.
import type { CLibrary } from "./c-library.ts";
import {
  bundledPackages,
  type LockedPackage,
  type LockedPackages,
  resolvePackage,
  sha512Of,
} from "./lock-file.ts";
import type { ReleaseTarget } from "./targets.ts";
import { sha256 } from "./tool.ts";

export interface Component {
  readonly name: string;
  readonly version: string;
  /** SPDX identifier or expression. */
  readonly licence: string;
  /** Package URL (purl-spec). */
  readonly purl: string;
  readonly digest: { readonly alg: "SHA-512" | "SHA-256"; readonly content: string };
  /** References of components that this one needs. */
  readonly needs: readonly string[];
}

function purl({ name, version }: LockedPackage): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

/** The packages in the bundle as components. */
export function packageComponents(packages: LockedPackages): readonly Component[] {
  return bundledPackages(packages).map((each) => ({
    ...npmComponent(each),
    needs: each.needs.map((name) => purl(resolvePackage(packages, each.folder, name))),
  }));
}

/** The runtime of a processor. */
export function runtimeComponent(packages: LockedPackages, target: ReleaseTarget): Component {
  return npmComponent(resolvePackage(packages, "", target.runtimePackage));
}

/** The C library of the portable archive of a processor. */
export function libraryComponent(target: ReleaseTarget, { version, digest }: CLibrary): Component {
  return {
    name: "glibc",
    version,
    licence: "LGPL-2.1-or-later",
    purl: `pkg:deb/debian/libc6@${encodeURIComponent(version)}?arch=${target.go}`,
    digest: { alg: "SHA-256", content: digest },
    needs: [],
  };
}

function npmComponent(each: LockedPackage): Component {
  if (each.license === undefined) throw new Error(`package-lock.json names no licence of ${each.name}`);
  return {
    name: each.name,
    version: each.version,
    licence: each.license,
    purl: purl(each),
    digest: { alg: "SHA-512", content: sha512Of(each) },
    needs: [],
  };
}

/** A bill of materials (CycloneDX 1.6, JSON). Depends on its arguments alone; `time`: seconds since the epoch. */
export function billOfMaterials(version: string, components: readonly Component[], time: number): string {
  const self = `pkg:generic/treewarden@${encodeURIComponent(version)}`;
  const content = {
    metadata: {
      timestamp: new Date(time * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": self,
        name: "treewarden",
        version,
        purl: self,
        licenses: [{ license: { id: "MIT" } }],
      },
    },
    components: components.map((each) => ({
      type: "library",
      "bom-ref": each.purl,
      name: each.name,
      version: each.version,
      purl: each.purl,
      licenses: [
        / |\(/.test(each.licence) ? { expression: each.licence } : { license: { id: each.licence } },
      ],
      hashes: [each.digest],
    })),
    dependencies: [
      { ref: self, dependsOn: components.map((each) => each.purl) },
      ...components.map((each) => ({ ref: each.purl, dependsOn: each.needs })),
    ],
  };
  // A serial number must be a UUID of its own for each bill (RFC 9562, version 8: the content's digest).
  const hex = sha256(JSON.stringify(content));
  const uuid = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
  return `${JSON.stringify(
    { bomFormat: "CycloneDX", specVersion: "1.6", serialNumber: `urn:uuid:${uuid}`, version: 1, ...content },
    null,
    2,
  )}\n`;
}
