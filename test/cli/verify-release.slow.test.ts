// `treewarden sign-release` and `treewarden verify-release`: a release that anyone with the public key can check.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const COMMAND = join(import.meta.dir, "../../src/main.ts");

let folder = "";
let release = "";
const at = (name: string): string => join(release, name);

function run(...args: readonly string[]): { code: number; out: string; err: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, COMMAND, ...args], {
    cwd: folder,
    env: { PATH: "/usr/bin:/bin" },
  });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

const verify = (...args: readonly string[]) => run("verify-release", release, "--key", "ours.pub", ...args);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-release-"));
  release = join(folder, "release");
  mkdirSync(release);
  for (const name of ["treewarden_1.0_amd64.deb", "treewarden-1.0-linux-arm64", "SHA256SUMS"])
    writeFileSync(at(name), `content of ${name}\n`);
  expect(run("policy", "keygen", "ours").code).toBe(0);
  expect(run("sign-release", release, "--key", "ours.key").code).toBe(0);
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a release as it was signed is accepted, by its files and the time of the signature", () => {
  const { code, out } = verify();
  expect(code).toBe(0);
  expect(out).toMatch(/release: 3 of 3 files, signed 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$/);
});

describe("exit code 1 for a release that is not as it was signed:", () => {
  const attacks: readonly (readonly [string, () => void, string])[] = [
    [
      "a changed file",
      () => appendFileSync(at("SHA256SUMS"), "x"),
      "SHA256SUMS is not the file that was signed",
    ],
    [
      "a file that was not signed",
      () => writeFileSync(at("install.sh"), "true\n"),
      "install.sh was not signed",
    ],
    ["a file that is gone", () => unlinkSync(at("SHA256SUMS")), "SHA256SUMS is missing"],
    [
      "two files that have changed their names",
      () => {
        renameSync(at("treewarden_1.0_amd64.deb"), at("x"));
        renameSync(at("treewarden-1.0-linux-arm64"), at("treewarden_1.0_amd64.deb"));
        renameSync(at("x"), at("treewarden-1.0-linux-arm64"));
      },
      "treewarden_1.0_amd64.deb is not the file that was signed",
    ],
    [
      "a symbolic link in the place of a file",
      () => {
        renameSync(at("SHA256SUMS"), join(folder, "SHA256SUMS"));
        symlinkSync(join(folder, "SHA256SUMS"), at("SHA256SUMS"));
      },
      "SHA256SUMS is not the file that was signed",
    ],
    ["no signature", () => unlinkSync(at("release.sig")), "release.sig"],
    [
      "a signature that was changed",
      () =>
        writeFileSync(
          at("release.sig"),
          readFileSync(at("release.sig"), "utf8").replace(/sha256:./, "sha256:z"),
        ),
      "was not made with a key that is trusted, or was changed since",
    ],
    [
      "a signature by another key",
      () => {
        run("policy", "keygen", "theirs");
        run("sign-release", release, "--key", "theirs.key");
      },
      "was not made with a key that is trusted",
    ],
    [
      "the signature of a policy, by the right key",
      () => {
        writeFileSync(join(folder, "shop.json"), JSON.stringify({ role: "shop", rules: [] }));
        run("policy", "sign", "./shop.json", "--key", "ours.key");
        cpSync(join(folder, "shop.json.sig"), at("release.sig"));
      },
      "is no signature",
    ],
  ];
  for (const [name, attack, message] of attacks)
    test(name, () => {
      attack();
      const { code, err } = verify();
      expect([code, err]).toEqual([1, expect.stringContaining(message)]);
    });
});

test("one file that was downloaded with the signature is enough with --some, but not a changed one", () => {
  unlinkSync(at("SHA256SUMS"));
  unlinkSync(at("treewarden-1.0-linux-arm64"));
  expect(verify().code).toBe(1);
  expect(verify("--some")).toMatchObject({ code: 0, out: expect.stringContaining("1 of 3 files") });
  appendFileSync(at("treewarden_1.0_amd64.deb"), "x");
  expect(verify("--some").code).toBe(1);
});

test("a folder without a file of the release proves nothing, and is refused also with --some", () => {
  for (const name of ["SHA256SUMS", "treewarden_1.0_amd64.deb", "treewarden-1.0-linux-arm64"])
    unlinkSync(at(name));
  expect(verify("--some").code).toBe(1);
});

test("what cannot be verified later is not signed: a name that needs quoting, a folder, nothing at all", () => {
  writeFileSync(at("two words"), "");
  expect(run("sign-release", release, "--key", "ours.key").code).toBe(2);
  unlinkSync(at("two words"));
  mkdirSync(at("docs"));
  expect(run("sign-release", release, "--key", "ours.key").code).toBe(2);
  mkdirSync(join(folder, "empty"));
  expect(run("sign-release", "empty", "--key", "ours.key").code).toBe(2);
});

test("the help has an example, and says that a key is required", () => {
  const { out } = run("verify-release", "--help");
  expect(out).toContain("treewarden verify-release ./release --key release.pub");
  expect(out.replaceAll(/\s+/g, " ")).toContain("public keys that are trusted (required)");
});

test("with a wrong key or none, the user learns where the key is from", () => {
  const hint = "the public key comes with the release";
  expect(run("policy", "keygen", "theirs").code).toBe(0);
  for (const key of ["theirs.pub", "absent.pub"]) {
    const { err } = run("verify-release", release, "--key", key);
    expect(err).toContain(hint);
    expect(err).not.toContain("keygen");
  }
});

test("a key that is no key is wrong use: exit code 2", () => {
  expect(run("verify-release", release, "--key", "ours.key").code).toBe(2);
  expect(run("verify-release", release, "--key", "absent.pub").code).toBe(2);
  expect(run("verify-release", "absent", "--key", "ours.pub").code).toBe(2);
});
