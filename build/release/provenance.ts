// The provenance of a release: what was built from what (in-toto Statement v1, SLSA provenance v1). It has no time and no
// name of a machine, so that whoever builds the same commit gets the same file.
import { git } from "../version.ts";
import type { Component } from "./components.ts";
import { sha256 } from "./tool.ts";

export interface ProvenanceOptions {
  readonly version: string;
  /** Seconds since the epoch that stand in the files. */
  readonly time: number;
  readonly lockFile: string;
  readonly components: readonly Component[];
  /** The module of Go that makes the packages. */
  readonly packager: string;
}

/** `subjects`: the files of the release by their names. */
export function provenance(
  subjects: ReadonlyMap<string, Uint8Array>,
  { version, time, lockFile, components, packager }: ProvenanceOptions,
): string {
  const commit = git("rev-parse", "HEAD");
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: [...subjects].map(([name, bytes]) => ({ name, digest: { sha256: sha256(bytes) } })),
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "urn:treewarden:npm-run-release:1",
        externalParameters: { version, SOURCE_DATE_EPOCH: time },
        resolvedDependencies: [
          ...(commit === undefined ? [] : [{ name: "treewarden", digest: { gitCommit: commit } }]),
          { name: "package-lock.json", digest: { sha256: sha256(lockFile) } },
          ...components.map(({ purl, digest }) => ({
            uri: purl,
            digest: { [digest.alg === "SHA-512" ? "sha512" : "sha256"]: digest.content },
          })),
          { uri: `pkg:golang/${packager.replace(/\/cmd\/nfpm@/, "@")}` },
        ],
      },
      runDetails: { builder: { id: "urn:treewarden:npm-run-release" } },
    },
  };
  return `${JSON.stringify(statement, null, 2)}\n`;
}
