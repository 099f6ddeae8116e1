// `treewarden policy keygen`, `sign` and `verify` as a person or a script meets them.
import { afterAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import { entry, NOON } from "../baseline/samples.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-sign-"));
afterAll(() => rmSync(folder, { recursive: true }));

const command = new URL("./command.ts", import.meta.url).pathname;

function policy(...args: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, command, ...args], {
    env: { NO_COLOR: "1" },
    cwd: folder,
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

const withoutOpenssl = Bun.which("openssl") === null && process.env.CI !== "true";
if (withoutOpenssl) console.log("skipped: there is no openssl to compare with");

function openssl(...args: string[]): string {
  return Bun.spawnSync(["openssl", ...args], { cwd: folder }).stdout.toString();
}

policy("keygen", "mine");
const shop = join(folder, "shop.json");
writeFileSync(shop, JSON.stringify({ role: "shop", extends: ["site"], rules: [] }));
writeFileSync(join(folder, "site.json"), JSON.stringify({ role: "site", rules: [] }));

describe("keygen", () => {
  test("makes a private key for its owner alone, and a public one", () => {
    expect(policy("keygen")).toMatchObject({ exitCode: 0, stdout: "policy.key\npolicy.pub\n" });
    expect(statSync(join(folder, "policy.key")).mode & 0o777).toBe(0o600);
  });

  test.skipIf(withoutOpenssl)("openssl reads both", () => {
    policy("keygen", "both");
    expect(openssl("pkey", "-in", "both.key", "-noout", "-text")).toStartWith("ED25519 Private-Key:");
    expect(openssl("pkey", "-in", "both.key", "-pubout")).toBe(
      readFileSync(join(folder, "both.pub"), "utf8"),
    );
  });

  test.each(["key", "pub"])("never overwrites: with NAME.%s there, it makes neither", (ending) => {
    const name = `kept-${ending}`;
    writeFileSync(join(folder, `${name}.${ending}`), "kept");
    const { exitCode, stderr } = policy("keygen", name);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${name}.${ending} is there already`);
    expect(readFileSync(join(folder, `${name}.${ending}`), "utf8")).toBe("kept");
    expect(
      statSync(join(folder, `${name}.${ending === "key" ? "pub" : "key"}`), { throwIfNoEntry: false }),
    ).toBeUndefined();
  });
});

describe("sign and verify", () => {
  test("what was signed is verified, until it is changed", () => {
    expect(policy("sign", shop, "--key", "mine.key")).toMatchObject({
      exitCode: 0,
      stdout: `${shop}.sig: policy shop, policy site\n`,
    });
    const good = policy("verify", shop, "--key", "mine.pub");
    expect(good.exitCode).toBe(0);
    expect(good.stdout).toMatch(/shop\.json: role shop, signed \d{4}-.*Z, policy shop, policy site\n$/);
    expect(statSync(`${shop}.sig`).mode & 0o044).toBe(0o044);
    writeFileSync(join(folder, "site.json"), JSON.stringify({ role: "site", rules: [], lists: {} }));
    const changed = policy("verify", shop, "--key", "mine.pub");
    expect(changed.exitCode).toBe(1);
    expect(changed.stderr).toContain("site.json is not as it was signed");
    expect(policy("sign", shop, "--key", "mine.key").exitCode).toBe(0);
    expect(policy("verify", shop, "--key", "mine.pub").exitCode).toBe(0);
  });

  test.skipIf(withoutOpenssl)("openssl finds the same signature right", () => {
    policy("sign", shop, "--key", "mine.key");
    const [, text = "", base64 = ""] =
      /^([\s\S]*\n)signature (.*)\n$/.exec(readFileSync(`${shop}.sig`, "utf8")) ?? [];
    writeFileSync(join(folder, "statement"), text);
    writeFileSync(join(folder, "raw"), Buffer.from(base64, "base64"));
    const check = ["pkeyutl", "-verify", "-pubin", "-inkey", "mine.pub", "-rawin", "-in", "statement"];
    expect(openssl(...check, "-sigfile", "raw")).toContain("Signature Verified Successfully");
  });

  test("what is not signed, or with another key, is a no; any of several keys is a yes", () => {
    policy("keygen", "other");
    policy("sign", shop, "--key", "mine.key");
    expect(policy("verify", shop, "--key", "other.pub").exitCode).toBe(1);
    expect(policy("verify", shop, "--key", "other.pub", "mine.pub").exitCode).toBe(0);
    const unsigned = policy("verify", join(folder, "site.json"), "--key", "mine.pub");
    expect(unsigned.exitCode).toBe(1);
    expect(unsigned.stderr).toContain("not signed: there is no");
  });

  test("what is broken, embedded or nowhere is not signed", () => {
    const broken = join(folder, "broken.json");
    writeFileSync(broken, '{ "role": "broken", "rules": [{}] }');
    for (const name of [broken, "web", join(folder, "none.json")])
      expect(policy("sign", name, "--key", "mine.key").exitCode).toBe(2);
    expect(policy("verify", "web", "--key", "mine.pub").exitCode).toBe(2);
  });

  test("a key that others can read, one of the wrong half or kind, or none is wrong use", () => {
    policy("keygen", "open");
    chmodSync(join(folder, "open.key"), 0o640);
    const readable = policy("sign", shop, "--key", "open.key");
    expect([readable.exitCode, readable.stderr]).toEqual([2, "treewarden: open.key: others can read it\n"]);
    expect(policy("verify", shop, "--key", "mine.key").stderr).toContain("is a private key");
    expect(policy("sign", shop, "--key", "mine.pub").exitCode).toBe(2);
    expect(policy("sign", shop, "--key", "/none").exitCode).toBe(2);
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" });
    writeFileSync(join(folder, "rsa.key"), pem, { mode: 0o600 });
    expect(policy("sign", shop, "--key", "rsa.key").stderr).toContain("another kind: rsa");
  });
});

test("check says how many trees come with a role", () => {
  writeFileSync(join(folder, "known.json"), JSON.stringify({ role: "known", rules: [] }));
  const header = { role: "known", hosts: ["a"], created: NOON, learnedFrom: NOON, learnedTo: NOON };
  const entries = [entry("/cron/run"), entry("/sshd/sh")];
  writeFileSync(join(folder, "known.baseline"), formatBaseline({ header, entries }));
  const { exitCode, stdout } = policy("check", "known.json", "./known.json");
  expect(exitCode).toBe(0);
  expect(stdout).toContain("known.json: 0 rules, version ");
  expect(stdout).toContain(", 2 trees in known.baseline\n");
});
