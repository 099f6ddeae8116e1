// Signatures and the baselines that come with roles, while a policy is loaded: nothing counts that was not signed.
import { describe, expect, test } from "bun:test";
import { generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import { filesOf, type LoadResult, loadPolicies, type PolicySources } from "../../src/policy/load.ts";
import { formatSignature, formatStatement } from "../../src/policy/signature.ts";
import type { Trust } from "../../src/policy/trust.ts";

const NOON = Date.UTC(2026, 0, 31, 12) / 1000;
const embedded = new Map([["base", JSON.stringify({ role: "base", rules: [rule("in-binary")] })]]);
const keys = generateKeyPairSync("ed25519");
const others = generateKeyPairSync("ed25519");

function rule(id: string): object {
  return { id, when: { under: ["nginx"] }, action: "kill" };
}

function baseline(role: string | undefined, exact = "/cron/dash"): string {
  const entry = {
    ...{ scope: "cron.service", exact, habit: exact, beforeHabits: false, path: "/usr/bin/dash" },
    ...{ tree: exact, complete: true, fromMain: false },
    ...{ first: NOON, last: NOON, count: 1, users: [0], hosts: 1 },
    ...{ executables: [], contents: "unknown" as const, arguments: undefined },
  };
  const header = { role, hosts: ["a"], created: NOON, learnedFrom: NOON, learnedTo: NOON };
  return formatBaseline({ header, entries: [entry] });
}

/** A policy, the parent it extends with its file of digests, and the baseline of each. */
function someFiles(): Map<string, string> {
  return new Map([
    ["/p/shop.json", JSON.stringify({ role: "shop", extends: ["site", "base"], rules: [rule("own")] })],
    ["/p/shop.baseline", baseline("shop")],
    ["/p/site.json", JSON.stringify({ role: "site", rules: [rule("of-site")], digests: ["site.sha256"] })],
    ["/p/site.sha256", `${"5".repeat(64)}  /usr/local/bin/job.sh\n`],
    ["/p/site.baseline", baseline(undefined, "/sshd/dash")],
    ["/p/other.json", JSON.stringify({ role: "other", rules: [rule("another")] })],
  ]);
}

function sourcesOf(files: ReadonlyMap<string, string>, trust?: Trust): PolicySources {
  const read = (path: string): Uint8Array | undefined => {
    const text = files.get(path);
    return text === undefined ? undefined : Buffer.from(text, "latin1");
  };
  return { read, embedded, searchPath: [], trust };
}

function signed(files: Map<string, string>, path = "/p/shop.json", key = keys.privateKey, at = NOON): void {
  const { role } = loadPolicies([path], sourcesOf(files));
  if (role === undefined) throw new Error("the policy is broken");
  const statement = formatStatement({ role: role.file.role, signed: at, files: filesOf(role) });
  files.set(`${path}.sig`, formatSignature(statement, sign(null, Buffer.from(statement), key)));
}

function loadTrusted(
  files: ReadonlyMap<string, string>,
  names: readonly string[] = ["/p/shop.json"],
  trusted: readonly KeyObject[] = [keys.publicKey],
  newest: ReadonlyMap<string, number> = new Map(),
): LoadResult {
  const check = (text: Uint8Array, signature: Uint8Array) =>
    trusted.some((key) => verify(null, text, key, signature));
  return loadPolicies(names, sourcesOf(files, { verify: check, newest }));
}

function messages(result: LoadResult): string[] {
  return (result.errors ?? []).map(({ file, line, message }) => `${file}:${line} ${message}`);
}

function changed(text: string, at: number): string {
  return `${text.slice(0, at)}${String.fromCharCode(text.charCodeAt(at) ^ 1)}${text.slice(at + 1)}`;
}

describe("where signatures are asked for", () => {
  test("a signed policy loads with its parents and their baselines, and says when it was signed", () => {
    const files = someFiles();
    signed(files);
    const result = loadTrusted(files);
    expect(messages(result)).toEqual([]);
    if (result.policy === undefined) return;
    expect(result.policy.rules.map(({ id }) => id)).toEqual(["own", "of-site", "in-binary"]);
    expect(result.baselines.map(({ file, trees }) => [file, trees])).toEqual([
      ["/p/shop.baseline", 1],
      ["/p/site.baseline", 1],
    ]);
    expect([...result.signed]).toEqual([["shop", NOON]]);
  });

  test.each(["/p/shop.json", "/p/shop.baseline", "/p/site.json", "/p/site.baseline", "/p/site.sha256"])(
    "one other byte anywhere in %s is refused before anybody reads it as a policy",
    (path) => {
      const files = someFiles();
      signed(files);
      const good = files.get(path) ?? "";
      for (let at = 0; at < good.length; at += 7) {
        files.set(path, changed(good, at));
        const result = loadTrusted(files);
        if (result.errors === undefined) throw new Error(`byte ${at} of ${path} was not missed`);
        expect(result.refused).toBe(true);
        expect(messages(result).length).toBe(1);
        expect(messages(result)[0]).toContain("is not as it was signed");
      }
    },
  );

  test("one other byte anywhere in the signature is refused", () => {
    const files = someFiles();
    signed(files);
    const good = files.get("/p/shop.json.sig") ?? "";
    for (let at = 0; at < good.length; at++) {
      files.set("/p/shop.json.sig", changed(good, at));
      expect(loadTrusted(files).errors).toBeDefined();
    }
  });

  test("an unsigned policy is refused, an embedded one is not", () => {
    expect(messages(loadTrusted(someFiles()))).toEqual([
      "/p/shop.json:0 not signed: there is no /p/shop.json.sig",
    ]);
    expect(loadTrusted(someFiles(), ["base"]).policy?.role).toBe("base");
  });

  test("another key is refused, one of several is enough", () => {
    const files = someFiles();
    signed(files, "/p/shop.json", others.privateKey);
    expect(messages(loadTrusted(files))[0]).toContain("was not made with a key that is trusted");
    const both = [keys.publicKey, others.publicKey];
    expect(loadTrusted(files, ["/p/shop.json"], both).policy).toBeDefined();
  });

  test("the signature of another policy is refused", () => {
    const files = someFiles();
    signed(files, "/p/other.json");
    files.set("/p/shop.json.sig", files.get("/p/other.json.sig") ?? "");
    expect(messages(loadTrusted(files))).toEqual(["/p/shop.json:0 /p/shop.json is not as it was signed"]);
  });

  test("a parent cannot stand for the policy that extends it, nor lend it its signature", () => {
    const files = someFiles();
    signed(files);
    files.set("/p/shop.json", files.get("/p/site.json") ?? "");
    files.delete("/p/shop.baseline");
    expect(messages(loadTrusted(files))).toContain('/p/shop.json:0 the signature is one of role "shop"');
    signed(files, "/p/site.json");
    expect(messages(loadTrusted(files, ["/p/site.json", "/p/other.json"]))).toEqual([
      "/p/other.json:0 not signed: there is no /p/other.json.sig",
    ]);
  });

  test("a baseline that is gone, or that came later, is refused", () => {
    const files = someFiles();
    signed(files);
    files.delete("/p/site.baseline");
    expect(messages(loadTrusted(files))).toEqual([
      '/p/shop.json:0 the baseline of role "site" was signed with it, and is gone',
    ]);
    const later = someFiles();
    later.delete("/p/shop.baseline");
    signed(later);
    later.set("/p/shop.baseline", baseline("shop"));
    expect(messages(loadTrusted(later))).toEqual(["/p/shop.baseline:0 it is not as it was signed"]);
  });

  test("a file on the host in place of an embedded parent is refused", () => {
    const files = someFiles();
    signed(files);
    files.set("/p/base.json", JSON.stringify({ role: "base", rules: [] }));
    expect(messages(loadTrusted(files))).toEqual(["/p/shop.json:1 /p/base.json is not as it was signed"]);
  });

  test("what was signed before that which is in force is refused, the same again is not", () => {
    const files = someFiles();
    signed(files);
    const inForce = (at: number) => loadTrusted(files, undefined, undefined, new Map([["shop", at]]));
    expect(inForce(NOON).policy).toBeDefined();
    expect(messages(inForce(NOON + 1))).toEqual([
      "/p/shop.json:0 signed 2026-01-31T12:00:00Z, before the one in force (2026-01-31T12:00:01Z)",
    ]);
  });

  test("the role inside the binary does not take the place of a signed policy whose file is gone", () => {
    const files = someFiles();
    const newest = new Map([["base", NOON]]);
    expect(messages(loadTrusted(files, ["base"], undefined, newest))).toEqual([
      'base:0 a signed policy of role "base" was in force, and its file is gone',
    ]);
    // As a parent it is what it always was.
    signed(files);
    expect(loadTrusted(files, undefined, undefined, newest).policy).toBeDefined();
  });

  test("a signature that is right, over a text that is none of ours, is refused", () => {
    const files = someFiles();
    for (const text of [
      "treewarden-policy-signature 1\n",
      "treewarden-policy-signature 1\nrole shop\nsigned 2026-01-31T12:00:00Z\npolicy shop md5:0\n",
      "treewarden-policy-signature 1\nsigned 2026-01-31T12:00:00Z\nrole shop\n",
      "something else\nrole shop\nsigned 2026-01-31T12:00:00Z\n",
    ]) {
      const signature = sign(null, Buffer.from(text), keys.privateKey);
      files.set("/p/shop.json.sig", formatSignature(text, signature));
      expect(messages(loadTrusted(files))).toEqual(["/p/shop.json:0 /p/shop.json.sig is no signature"]);
    }
  });
});

describe("a baseline beside a role's file", () => {
  test("that is broken breaks the policy, with its line", () => {
    const files = someFiles();
    const good = files.get("/p/shop.baseline") ?? "";
    files.set("/p/shop.baseline", good.replace(/digest .*\n/, "").replace("entries", "entires"));
    const result = loadPolicies(["/p/shop.json"], sourcesOf(files));
    expect(messages(result)).toEqual([
      '/p/shop.baseline:6 "entires": the header has role, host, created, learned, entries and digest',
    ]);
    expect(result.errors?.[0]?.fix).toContain("treewarden baseline merge");
  });

  test("of another role breaks the policy", () => {
    const files = someFiles();
    files.set("/p/shop.baseline", baseline("site"));
    expect(messages(loadPolicies(["/p/shop.json"], sourcesOf(files)))).toEqual([
      '/p/shop.baseline:0 a baseline of role "site" beside the file of role "shop"',
    ]);
  });
});
