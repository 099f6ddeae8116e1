// The files that `npm run release` made, each used as a host would use it: npm run test:release. Needs root, and
// qemu-user-static for arm64. The packages are used in packages.check.ts, the image in image.check.ts.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { releaseTargets } from "../../build/release/targets.ts";
import { fileOf, host, PORTABLE, releaseFiles, releaseFolder } from "./release-files.ts";
import { Root } from "./root.ts";
import { watchHost } from "./watch-host.ts";

setDefaultTimeout(120_000);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-release-check-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the release", () => {
  test("is complete: for both processors", () => {
    const endings = [
      ..."SHA256SUMS -image.tar .cdx.json .provenance.json".split(" "),
      ..."_amd64.deb _arm64.deb .x86_64.rpm .aarch64.rpm _x86_64.apk _aarch64.apk".split(" "),
      ...releaseTargets.flatMap(({ name }) => [`-linux-${name}`, `-linux-${name}-portable.tar.gz`]),
    ];
    for (const ending of endings) fileOf(ending);
    expect(releaseFiles.length).toBe(endings.length);
  });

  test("has the checksums that sha256sum checks", () => {
    const { exitCode } = Bun.spawnSync(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], {
      cwd: releaseFolder,
    });
    expect(exitCode).toBe(0);
  });

  test("names in its bill of materials every package of the bundle, with licence and digest", () => {
    const bill = JSON.parse(readFileSync(fileOf(".cdx.json"), "utf8"));
    const listed: readonly string[] = bill.components.map(({ name }: { name: string }) => name);
    for (const name of ["@opentelemetry/api", "re2js", "valibot", "@oven/bun-linux-x64", "glibc"])
      expect(listed).toContain(name);
    expect(listed).not.toContain("fast-check");
    for (const { licenses, hashes } of bill.components)
      expect([licenses.length, hashes.length]).toEqual([1, 1]);
  });

  test("names in its provenance each file that it contains, by the digest in the checksums", () => {
    const { subject } = JSON.parse(readFileSync(fileOf(".provenance.json"), "utf8"));
    const sums = readFileSync(fileOf("SHA256SUMS"), "utf8");
    expect(subject.length).toBe(releaseFiles.length - 2);
    for (const { name, digest } of subject) expect(sums).toContain(`${digest.sha256}  ${name}\n`);
  });

  test("contains no path of the machine that made it", () => {
    const bytes = readFileSync(fileOf(`-linux-${host?.name}`));
    expect(bytes.includes(join(import.meta.dir, "../.."))).toBe(false);
  });
});

describe("the portable archive", () => {
  let root: Root;
  beforeAll(async () => {
    root = await Root.make("empty");
    const archive = fileOf(`-linux-${host?.name}-portable.tar.gz`);
    expect(root.shell('tar -xzf "$1" -C "$ROOT"', archive)).toMatchObject({ code: 0, err: "" });
  });
  afterAll(() => root[Symbol.asyncDispose]());

  test("is all that its root contains beside /proc", () => {
    expect(root.shell('ls -A "$ROOT"').out).toBe("opt\nproc\n");
  });

  test("runs there: version, policy tests, explain", () => {
    expect(root.run([PORTABLE, "version"])).toMatchObject({
      code: 0,
      out: expect.stringContaining("treewarden"),
    });
    expect(root.run([PORTABLE, "policy", "test", "web"])).toMatchObject({ code: 0, err: "" });
    expect(root.run([PORTABLE, "explain", "--exe", "/usr/sbin/nginx", "--exe", "/bin/sh"])).toMatchObject({
      code: 0,
      out: expect.stringContaining("/nginx"),
    });
  });

  test("sees the programs that the host starts outside of its root", async () => {
    expect(await watchHost(root, PORTABLE)).toMatchObject({ "event.name": "process.exec" });
  });
});

describe("the image", () => {
  let layout = "";
  const blob = (digest: string): Uint8Array =>
    readFileSync(join(layout, "blobs", digest.replace("sha256:", "sha256/")));
  const json = (digest: string) => JSON.parse(Buffer.from(blob(digest)).toString());
  beforeAll(() => {
    layout = join(folder, "image");
    mkdirSync(layout);
    expect(Bun.spawnSync(["tar", "-xf", fileOf("-image.tar"), "-C", layout]).exitCode).toBe(0);
  });

  test("is a layout of blobs whose names are their digests", () => {
    expect(JSON.parse(readFileSync(join(layout, "oci-layout"), "utf8"))).toEqual({
      imageLayoutVersion: "1.0.0",
    });
    for (const name of readdirSync(join(layout, "blobs/sha256")))
      expect(new Bun.CryptoHasher("sha256").update(blob(`sha256:${name}`)).digest("hex")).toBe(name);
  });

  test("has one layer for each processor: the portable archive", () => {
    const [index] = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")).manifests;
    const { manifests } = json(index.digest);
    for (const target of releaseTargets) {
      const entry = manifests.find(
        ({ platform }: { platform: { architecture: string } }) => platform.architecture === target.go,
      );
      const manifest = json(entry.digest);
      const config = json(manifest.config.digest);
      expect(manifest.layers.length).toBe(1);
      const layer = blob(manifest.layers[0].digest);
      expect(layer.length).toBe(manifest.layers[0].size);
      expect(Buffer.compare(layer, readFileSync(fileOf(`-linux-${target.name}-portable.tar.gz`)))).toBe(0);
      const plain = new Bun.CryptoHasher("sha256").update(gunzipSync(layer)).digest("hex");
      expect(config.rootfs.diff_ids).toEqual([`sha256:${plain}`]);
      expect(config.config).toMatchObject({ Entrypoint: [PORTABLE], Cmd: ["run"] });
    }
  });
});

describe("arm64, under emulation", () => {
  const emulator = Bun.which("qemu-aarch64-static");
  let root = "";
  let binary = "";
  beforeAll(() => {
    root = join(folder, "arm64");
    mkdirSync(root);
    binary = join(root, PORTABLE);
    const archive = fileOf("-linux-arm64-portable.tar.gz");
    expect(Bun.spawnSync(["tar", "-xzf", archive, "-C", root]).exitCode).toBe(0);
  });
  const run = (...args: readonly string[]) => {
    if (emulator === null) throw new Error("qemu-user-static must be installed");
    const { exitCode, stdout } = Bun.spawnSync([emulator, "-L", root, binary, ...args]);
    return { code: exitCode, out: stdout.toString() };
  };

  test("version names the processor", () => {
    expect(run("version")).toMatchObject({ code: 0, out: expect.stringContaining("arm64") });
  });

  test("every policy passes its tests", () => {
    const roles = readdirSync(join(import.meta.dir, "../../policies")).map((name) => basename(name, ".json"));
    expect(run("policy", "test", ...roles)).toMatchObject({ code: 0 });
  });

  test("explain answers as it does on this processor", () => {
    const words = ["explain", "--exe", "/usr/sbin/nginx", "--exe", "/tmp/xk7Qz9/a.out", "--exe", "/bin/sh"];
    const here = Bun.spawnSync([fileOf(`-linux-${host?.name}`), ...words]);
    expect(run(...words)).toEqual({ code: 0, out: here.stdout.toString() });
  });
});

test("a second build in another folder gives the same bytes, for both processors", () => {
  const clone = join(folder, "clone");
  const repository = join(import.meta.dir, "../..");
  expect(Bun.spawnSync(["git", "clone", "--quiet", "--shared", repository, clone]).exitCode).toBe(0);
  // Hard links: a bundler that follows a symbolic link would find the same folder.
  expect(Bun.spawnSync(["cp", "-al", join(repository, "node_modules"), clone]).exitCode).toBe(0);
  const build = Bun.spawnSync([process.execPath, "build/release.ts"], {
    cwd: clone,
    stdio: ["ignore", "ignore", "inherit"],
  });
  expect(build.exitCode).toBe(0);
  const rebuilt = join(clone, "dist/release");
  expect(readdirSync(rebuilt).sort()).toEqual([...releaseFiles]);
  const different = releaseFiles.filter(
    (name) =>
      Buffer.compare(readFileSync(join(rebuilt, name)), readFileSync(join(releaseFolder, name))) !== 0,
  );
  expect(different).toEqual([]);
}, 400_000);
