// The files that `npm run release` made, each used as a host would use it: npm run test:release. Needs root, and
// qemu-user-static for arm64. TREEWARDEN_ROOTS names archives of roots (tar) for the packages, in place of the host's files.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { buildNfpm, makePackages } from "../../build/release/packages.ts";
import { releaseTargets } from "../../build/release/targets.ts";
import { until } from "../system/treewarden.ts";
import { Root, type RootContent } from "./root.ts";

setDefaultTimeout(120_000);

const release = join(import.meta.dir, "../../dist/release");
const names = existsSync(release) ? readdirSync(release).sort() : [];
const host = releaseTargets.find(({ node }) => node === process.arch);
const PORTABLE = "/opt/treewarden/bin/treewarden";

/** The path of the only file whose name ends so. */
function fileOf(ending: string): string {
  const found = names.filter((name) => name.endsWith(ending));
  if (found.length !== 1) throw new Error(`${found.length} files end in ${ending}: npm run release first`);
  return join(release, found[0] ?? "");
}

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-release-check-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Runs `treewarden run` in a root until it has seen a program that this host starts outside of it, under a name that
 * no other program has, and returns the record. The program runs until it was seen: in a root without /sys only the
 * process connector is left, and by that a program that ends at once may be gone before /proc was read.
 */
async function watchHost(root: Root, binary: string): Promise<Readonly<Record<string, unknown>>> {
  const program = join(mkdtempSync(join(folder, "program-")), `marker-${process.pid}`);
  copyFileSync("/bin/sleep", program);
  const command = [binary, "run", "--all", "--output", "json", "--listen", "off"];
  const run = Bun.spawn([...root.inside, ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin" },
  });
  let text = "";
  const reading = (async () => {
    for await (const chunk of run.stdout) text += new TextDecoder().decode(chunk);
  })();
  try {
    await until("it watches", () => text.includes('"warden.started"') || run.exitCode !== null, 30_000);
    await using started = Bun.spawn([program, "60"]);
    const signs = ['"process.exec"', `"process.pid":${started.pid},`, program];
    const line = (): string | undefined =>
      text.split("\n").find((each) => signs.every((sign) => each.includes(sign)));
    await until(
      "the program was seen",
      () => line()?.endsWith("}") === true || run.exitCode !== null,
      10_000,
    );
    const record = line();
    if (record === undefined) throw new Error(`treewarden ended: ${await run.stderr.text()}`);
    return JSON.parse(record);
  } finally {
    run.kill("SIGTERM");
    await run.exited;
    await reading;
  }
}

describe("the release", () => {
  test("is complete: for both processors", () => {
    const endings = [
      ..."SHA256SUMS -image.tar .cdx.json .provenance.json".split(" "),
      ..."_amd64.deb _arm64.deb .x86_64.rpm .aarch64.rpm _x86_64.apk _aarch64.apk".split(" "),
      ...releaseTargets.flatMap(({ name }) => [`-linux-${name}`, `-linux-${name}-portable.tar.gz`]),
    ];
    for (const ending of endings) fileOf(ending);
    expect(names.length).toBe(endings.length);
  });

  test("has the checksums that sha256sum checks", () => {
    const { exitCode } = Bun.spawnSync(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], {
      cwd: release,
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
    expect(subject.length).toBe(names.length - 2);
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

const archives = (process.env.TREEWARDEN_ROOTS ?? "").split(":").filter((path) => path !== "");
const contents: readonly (readonly [string, RootContent])[] =
  archives.length === 0
    ? [["this host's files", "host"]]
    : archives.map((tar): [string, RootContent] => [basename(tar), { tar }]);

/** A package with the same files and a higher version. */
async function laterPackages(): Promise<string> {
  const out = join(folder, "later");
  if (existsSync(out) || host === undefined) return out;
  mkdirSync(out);
  const executable = fileOf(`-linux-${host.name}`);
  const inputs = { target: host, version: "99.0.0", commit: undefined, time: 2_000_000_000, executable };
  await makePackages(await buildNfpm(), { ...inputs, portable: new Map(), documents: new Map() }, out, [
    "deb",
    "rpm",
  ]);
  return out;
}

function laterFile(later: string, ending: string): string {
  return join(later, readdirSync(later).find((name) => name.endsWith(ending)) ?? "");
}

for (const [name, content] of contents)
  describe(`the package for Debian, in a root with ${name}:`, () => {
    let root: Root;
    let later = "";
    const sh = (code: string, environment: Record<string, string> = {}) =>
      root.run(["sh", "-ec", code], environment);
    const dpkg = (...args: readonly string[]) =>
      root.run(["dpkg", ...args], { DEBIAN_FRONTEND: "noninteractive" });
    const version = (): string => sh("dpkg-query -W treewarden | cut -f2").out;
    beforeAll(async () => {
      later = await laterPackages();
      root = await Root.make(content);
      for (const [file, as] of [
        [fileOf(`_${host?.go}.deb`), "first.deb"],
        [laterFile(later, ".deb"), "later.deb"],
      ] as const)
        expect(root.shell('cp "$1" "$ROOT/$2"', file, as).code).toBe(0);
    });
    afterAll(() => root[Symbol.asyncDispose]());

    test("is installed with its configuration, its user and its state directory", () => {
      expect(dpkg("--install", "/first.deb")).toMatchObject({ code: 0 });
      expect(sh("treewarden version").code).toBe(0);
      expect(sh("getent passwd treewarden").out).toStartWith("treewarden:");
      expect(sh("stat -c '%U %a' /etc/treewarden /etc/treewarden/config.yaml /var/lib/treewarden").out).toBe(
        "root 755\nroot 644\nroot 755\n",
      );
      expect(sh("treewarden run --check").code).toBe(0);
      expect(sh("systemctl is-enabled treewarden.service").out).toBe("enabled\n");
    });

    test("watches the host, as the user that it has made", async () => {
      expect(await watchHost(root, "/usr/bin/treewarden")).toMatchObject({ "event.name": "process.exec" });
      expect(sh("stat -c %U /var/lib/treewarden/report").out).toBe("treewarden\n");
    });

    test("an upgrade keeps configuration, policies and journal", async () => {
      expect(
        sh(
          "echo 'pause: { max: 1h }' >> /etc/treewarden/config.yaml; echo '{\"role\": \"site\"}' > /etc/treewarden/policies/site.json",
        ).code,
      ).toBe(0);
      const before = sh("treewarden events --output json | wc -l").out;
      expect(dpkg("--install", "/later.deb")).toMatchObject({ code: 0 });
      expect(version()).toStartWith("99.0.0");
      expect(sh("tail -n 1 /etc/treewarden/config.yaml; cat /etc/treewarden/policies/site.json").out).toBe(
        'pause: { max: 1h }\n{"role": "site"}\n',
      );
      expect(Number(before)).toBeGreaterThan(0);
      expect(sh("treewarden events --output json | wc -l").out).toBe(before);
    });

    test("a downgrade is refused, and nothing has changed; it is possible if somebody insists", () => {
      expect(dpkg("--install", "/first.deb")).toMatchObject({
        code: 1,
        err: expect.stringContaining("is older than"),
      });
      expect(version()).toStartWith("99.0.0");
      expect(sh("treewarden version").code).toBe(0);
      expect(sh("dpkg --install /first.deb", { TREEWARDEN_DOWNGRADE: "1" }).code).toBe(0);
      expect(version()).not.toStartWith("99.0.0");
    });

    test("removed, it leaves configuration and state; purged, neither, but what somebody has written", () => {
      expect(dpkg("--remove", "treewarden").code).toBe(0);
      expect(sh("ls /usr/bin/treewarden").code).not.toBe(0);
      expect(sh("ls /var/lib/treewarden/report/journal.sqlite /etc/treewarden/config.yaml").code).toBe(0);
      expect(dpkg("--purge", "treewarden").code).toBe(0);
      expect(sh("ls -A /etc/treewarden /etc/treewarden/policies").out).toContain("site.json");
      expect(sh("ls /etc/treewarden/config.yaml").code).not.toBe(0);
      expect(sh("ls /var/lib/treewarden").code).not.toBe(0);
    });
  });

describe("the package for Red Hat's, in a root with this host's files:", () => {
  let root: Root;
  let later = "";
  const arch = host?.name === "arm64" ? "aarch64" : "x86_64";
  // Debian's rpm knows nothing of the packages that are there.
  const rpm = (...args: readonly string[]) => root.run(["rpm", "--dbpath", "/rpmdb", "--nodeps", ...args]);
  beforeAll(async () => {
    later = await laterPackages();
    root = await Root.make("host");
    for (const [file, as] of [
      [fileOf(`.${arch}.rpm`), "first.rpm"],
      [laterFile(later, ".rpm"), "later.rpm"],
    ] as const)
      expect(root.shell('cp "$1" "$ROOT/$2"', file, as).code).toBe(0);
  });
  afterAll(() => root[Symbol.asyncDispose]());

  test("is installed, starts nothing, and watches the host", async () => {
    expect(rpm("--install", "/first.rpm")).toMatchObject({ code: 0 });
    expect(root.run(["getent", "passwd", "treewarden"]).code).toBe(0);
    expect(await watchHost(root, "/usr/bin/treewarden")).toMatchObject({ "event.name": "process.exec" });
  });

  test("an upgrade keeps the configuration, and rpm refuses a downgrade", () => {
    const edit = "echo 'pause: { max: 1h }' >> /etc/treewarden/config.yaml";
    expect(root.run(["sh", "-ec", edit]).code).toBe(0);
    expect(rpm("--upgrade", "/later.rpm")).toMatchObject({ code: 0 });
    expect(root.run(["tail", "-n", "1", "/etc/treewarden/config.yaml"]).out).toBe("pause: { max: 1h }\n");
    expect(rpm("--upgrade", "/first.rpm").code).not.toBe(0);
  });

  test("removed, it leaves the state and what was configured", () => {
    expect(rpm("--erase", "treewarden").code).toBe(0);
    expect(root.run(["ls", "/usr/bin/treewarden"]).code).not.toBe(0);
    expect(root.run(["ls", "/var/lib/treewarden", "/etc/treewarden/config.yaml.rpmsave"]).code).toBe(0);
  });
});

describe("the package for Alpine", () => {
  test("runs in a root that holds nothing but its files", async () => {
    await using root = await Root.make("empty");
    const file = fileOf(`_${host?.name === "arm64" ? "aarch64" : "x86_64"}.apk`);
    // Several gzip streams: signature or control, then data.
    expect(root.shell('tar -xzf "$1" -C "$ROOT" --ignore-zeros', file)).toMatchObject({ code: 0 });
    expect(root.run(["/usr/bin/treewarden", "version"])).toMatchObject({ code: 0 });
    expect(root.shell('sh -n "$ROOT/etc/init.d/treewarden"').code).toBe(0);
  });

  test("states the digest of its data, by which apk checks it", () => {
    const bytes = readFileSync(fileOf(`_${host?.name === "arm64" ? "aarch64" : "x86_64"}.apk`));
    const info = /^datahash = ([0-9a-f]{64})$/m.exec(
      new TextDecoder("latin1").decode(gunzipSync(firstStream(bytes))),
    )?.[1];
    const data = bytes.subarray(firstStream(bytes).length);
    expect(new Bun.CryptoHasher("sha256").update(data).digest("hex")).toBe(info ?? "");
  });
});

/** The first of several gzip streams: the next one begins with its own magic number and no name (RFC 1952). */
function firstStream(bytes: Uint8Array): Uint8Array {
  const magic = Buffer.from([0x1f, 0x8b, 0x08, 0x00]);
  return bytes.subarray(0, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(magic, 4));
}

test("a second build in another folder gives the same bytes", () => {
  const clone = join(folder, "clone");
  const repository = join(import.meta.dir, "../..");
  expect(Bun.spawnSync(["git", "clone", "--quiet", "--shared", repository, clone]).exitCode).toBe(0);
  // Hard links: a bundler that follows a symbolic link would find the same folder.
  expect(Bun.spawnSync(["cp", "-al", join(repository, "node_modules"), clone]).exitCode).toBe(0);
  const build = Bun.spawnSync([process.execPath, "build/release.ts", "--only", "arm64"], {
    cwd: clone,
    stdio: ["ignore", "ignore", "inherit"],
  });
  expect(build.exitCode).toBe(0);
  const made = join(clone, "dist/release");
  const files = readdirSync(made).filter((name) => /arm64|aarch64/.test(name));
  expect(files.length).toBe(5);
  for (const name of files)
    expect([name, Buffer.compare(readFileSync(join(made, name)), readFileSync(join(release, name)))]).toEqual(
      [name, 0],
    );
});
