// Makes a release in dist/release: for each processor the executable, the portable archive and the packages; the image;
// bill of materials, provenance and checksums. docs/release.md describes the files.
//   --out DIR         another folder; it is emptied
//   --only NAME       one processor: x86-64 or arm64
//   --key FILE        sign it with this private key, by the executable that was made for this host

import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { gzip as gzipWithCallback } from "node:zlib";
import { compileExecutable } from "./executable.ts";
import { licenceTexts } from "./licences-page.ts";
import { fetchCLibrary, LOADER } from "./release/c-library.ts";
import { type CommandLineFiles, writeCommandLineFiles } from "./release/command-line-files.ts";
import {
  billOfMaterials,
  type Component,
  libraryComponent,
  packageComponents,
  runtimeComponent,
} from "./release/components.ts";
import { type ImageLayer, imageLayout } from "./release/image.ts";
import { lockFileText, parseLockFile, resolvePackage } from "./release/lock-file.ts";
import { useOwnLoader } from "./release/own-loader.ts";
import { buildNfpm, makePackages, NFPM } from "./release/packages.ts";
import { provenance } from "./release/provenance.ts";
import { fetchRuntime } from "./release/runtime.ts";
import { type ArchiveFile, tarArchive } from "./release/tar.ts";
import { type ReleaseTarget, releaseTargets } from "./release/targets.ts";
import { cacheFolder, runTool, sha256 } from "./release/tool.ts";
import { buildVersion, commitAwayFromTag, git, plainVersion, repository, sourceTime } from "./version.ts";

/** Where the portable archive lies: the executable names its loader by this path. */
const PORTABLE = "opt/treewarden";

interface Arguments {
  readonly out: string;
  readonly targets: readonly ReleaseTarget[];
  readonly key: string | undefined;
}

function parseArguments(words: readonly string[]): Arguments {
  const values = new Map<string, string>();
  for (let i = 0; i < words.length; i += 2) {
    const [name = "", value] = words.slice(i, i + 2);
    if (!["--out", "--only", "--key"].includes(name) || value === undefined)
      throw new Error(`usage: npm run release -- [--out DIR] [--only x86-64|arm64] [--key FILE]`);
    values.set(name, value);
  }
  const only = values.get("--only");
  const targets = releaseTargets.filter(({ name }) => only === undefined || name === only);
  if (targets.length === 0)
    throw new Error(`--only must be ${releaseTargets.map(({ name }) => name).join(" or ")}`);
  return {
    out: resolve(values.get("--out") ?? join(repository, "dist/release")),
    targets,
    key: values.get("--key"),
  };
}

/** The documents that packages and the portable archive contain: their names, and where they are. */
function documents(licences: string): ReadonlyMap<string, string> {
  const own = ["README.md", "CHANGELOG.md"].map((name): [string, string] => [name, join(repository, name)]);
  const pages = readdirSync(join(repository, "docs"))
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name): [string, string] => [`docs/${name}`, join(repository, "docs", name)]);
  const example: [string, string] = [
    "examples/config.yaml",
    join(repository, "packaging/config.example.yaml"),
  ];
  return new Map([...own, ...pages, example, ["copyright", licences]]);
}

interface Inputs {
  readonly out: string;
  readonly work: string;
  /** Path of the licence texts. */
  readonly licences: string;
  readonly commandLine: CommandLineFiles;
  readonly nfpm: string;
}

const gzip = promisify(gzipWithCallback);

interface Made {
  readonly layer: ImageLayer;
  readonly components: readonly Component[];
}

/** Makes everything for one processor in `out`, and works in a new folder in `work`. */
async function makeFor(target: ReleaseTarget, inputs: Inputs): Promise<Made> {
  const { out, licences, commandLine, nfpm } = inputs;
  const work = join(inputs.work, target.name);
  mkdirSync(work);
  const packages = parseLockFile(lockFileText());
  const runtime = await fetchRuntime(resolvePackage(packages, "", target.runtimePackage), work);
  const name = `treewarden-${buildVersion()}-linux-${target.name}`;
  const executable = join(out, name);
  if (!compileExecutable(executable, { bunTarget: target.bunTarget, runtime }))
    throw new Error(`the executable for ${target.name} could not be compiled`);
  const libraryWork = join(work, "c-library");
  mkdirSync(libraryWork);
  const library = await fetchCLibrary(target, libraryWork);
  const ownLoader = { loader: `/${PORTABLE}/lib/${LOADER}`, libraries: `/${PORTABLE}/lib` };
  const file = (path: string, mode: number, content: Uint8Array): ArchiveFile => ({
    path: `${PORTABLE}/${path}`,
    mode,
    content,
  });
  const texts = documents(licences);
  const files: readonly ArchiveFile[] = [
    file("bin/treewarden", 0o755, useOwnLoader(readFileSync(executable), ownLoader)),
    ...[...library.files].map(([each, bytes]) => file(`lib/${each}`, 0o755, bytes)),
    file("share/copyright", 0o644, readFileSync(licences)),
    file("share/copyright.glibc", 0o644, library.licence),
    file("share/config.example.yaml", 0o644, readFileSync(join(repository, "packaging/config.example.yaml"))),
    file("share/treewarden.openrc", 0o755, readFileSync(join(repository, "packaging/openrc/treewarden"))),
  ];
  const time = sourceTime();
  const archive = tarArchive(files, time);
  const compressed = await gzip(archive);
  writeFileSync(join(out, `${name}-portable.tar.gz`), compressed);
  const portable = files.map(({ path, mode, content }): [string, string] => {
    const at = join(work, path);
    mkdirSync(dirname(at), { recursive: true });
    if (content instanceof Uint8Array) writeFileSync(at, content);
    chmodSync(at, mode);
    return [`/${path}`, at];
  });
  await makePackages(
    nfpm,
    {
      target,
      version: plainVersion(),
      commit: commitAwayFromTag(plainVersion()),
      time,
      executable,
      portable: new Map(portable),
      documents: texts,
      commandLine,
    },
    out,
  );
  return {
    layer: { architecture: target.go, compressed, plainDigest: sha256(archive) },
    components: [runtimeComponent(packages, target), libraryComponent(target, library)],
  };
}

function filesIn(folder: string): ReadonlyMap<string, Uint8Array> {
  const names = readdirSync(folder).sort();
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
}

async function release({ out, targets, key }: Arguments): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const [version, time] = [buildVersion(), sourceTime()];
  const work = mkdtempSync(join(cacheFolder(), "build-"));
  try {
    const packages = parseLockFile(lockFileText());
    const licences = join(work, "copyright");
    writeFileSync(licences, licenceTexts(packages));
    const commandLine = await writeCommandLineFiles(work);
    const inputs = { out, work, licences, commandLine, nfpm: await buildNfpm() };
    const made = await Promise.all(targets.map((target) => makeFor(target, inputs)));
    const layout = imageLayout(
      made.map(({ layer }) => layer),
      { version, revision: git("rev-parse", "HEAD"), time, entrypoint: `/${PORTABLE}/bin/treewarden` },
    );
    const files = [...layout].map(([path, content]): ArchiveFile => ({ path, mode: 0o644, content }));
    writeFileSync(join(out, `treewarden-${version}-image.tar`), tarArchive(files, time));
    const components = [...packageComponents(packages), ...made.flatMap((each) => each.components)];
    writeFileSync(join(out, `treewarden-${version}.cdx.json`), billOfMaterials(version, components, time));
    const options = { version, time, lockFile: lockFileText(), components, packager: NFPM };
    const statement = provenance(filesIn(out), options);
    writeFileSync(join(out, `treewarden-${version}.provenance.json`), statement);
    const sums = [...filesIn(out)].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`);
    writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  if (key !== undefined) await sign(out, targets, key);
}

/** Signs by the executable that was made for this host. */
async function sign(out: string, targets: readonly ReleaseTarget[], key: string): Promise<void> {
  const host = targets.find(({ node }) => node === process.arch);
  if (host === undefined) throw new Error("--key needs the executable for this host");
  const executable = join(out, `treewarden-${buildVersion()}-linux-${host.name}`);
  console.error((await runTool([executable, "sign-release", out, "--key", resolve(key)])).trim());
}

const start = performance.now();
const parsed = parseArguments(process.argv.slice(2));
await release(parsed);
for (const [name, bytes] of filesIn(parsed.out))
  console.error(`release: ${(bytes.length / 1e6).toFixed(1).padStart(6)} MB  ${name}`);
console.error(`release: done in ${((performance.now() - start) / 1000).toFixed(0)} s: ${parsed.out}`);
