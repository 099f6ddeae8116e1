// The packages of a release, installed, upgraded, downgraded and removed in roots: npm run test:release. Needs root and
// rpm. TREEWARDEN_ROOTS names archives of roots (tar) for the package of Debian's, in place of the host's files.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { writeCommandLineFiles } from "../../build/release/command-line-files.ts";
import { buildNfpm, makePackages } from "../../build/release/packages.ts";
import { firstStream } from "../boot/later-apk.ts";
import { fileOf, host } from "./release-files.ts";
import { Root, type RootContent } from "./root.ts";
import { watchHost } from "./watch-host.ts";

setDefaultTimeout(120_000);

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-packages-check-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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
  const inputs = {
    target: host,
    version: "99.0.0",
    commit: undefined,
    time: 2_000_000_000,
    executable,
    portable: new Map(),
    documents: new Map(),
    commandLine: await writeCommandLineFiles(folder),
  };
  await makePackages(await buildNfpm(), inputs, out, ["deb", "rpm"]);
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

    test("brings the manual page and the completions of three shells", () => {
      expect(sh("zcat /usr/share/man/man8/treewarden.8.gz").out).toContain(".TH TREEWARDEN 8");
      expect(sh("ls /usr/share/zsh/vendor-completions/_treewarden").code).toBe(0);
      expect(sh("ls /usr/share/fish/vendor_completions.d/treewarden.fish").code).toBe(0);
      expect(
        sh("treewarden completion bash | cmp - /usr/share/bash-completion/completions/treewarden"),
      ).toMatchObject({ code: 0 });
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
