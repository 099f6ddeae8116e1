// A treewarden with keys judges by nothing that was not signed; a baseline that comes with the role is known.
import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { pidOf } from "./live.ts";
import { binary, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

function treewarden(...args: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([binary, ...args]);
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** Keys, a configuration that names the public one, and a signed policy with a parent that alerts on programs. */
class Site implements Disposable {
  readonly folder = newFolder();
  readonly path = join(this.folder, "shop.json");
  readonly parent = join(this.folder, "site.json");
  readonly baseline = join(this.folder, "shop.baseline");
  readonly key = join(this.folder, "mine");

  constructor() {
    treewarden("policy", "keygen", this.key);
    writeFileSync(join(this.folder, "config.yaml"), `policy_keys: [${this.key}.pub]\n`);
    for (const name of ["tw-old", "tw-new", "tw-met"]) copyFileSync("/bin/true", join(this.folder, name));
    writeFileSync(this.path, JSON.stringify({ role: "shop", extends: ["site"], rules: [] }));
    this.alertOn("tw-old");
    this.sign();
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  alertOn(...names: readonly string[]): void {
    const rules = names.map((name) => ({
      id: `no-${name}`,
      when: { "==": [{ var: "process.executable.name" }, name] },
      action: "alert",
    }));
    const unknown = {
      id: "unknown",
      when: {
        and: [
          { glob: [{ var: "process.executable.path" }, `${this.folder}/*`] },
          { "!": [{ var: ["tree.known", true] }] },
        ],
      },
      action: "alert",
    };
    writeFileSync(this.parent, JSON.stringify({ role: "site", rules: [...rules, unknown] }));
  }

  /** Puts a baseline beside the policy: empty, or of one tree that `baseline compare` has shown. */
  know(tree?: JsonRecord): void {
    const at = Math.floor(Date.now() / 1000);
    const entries = tree === undefined ? [] : [entryOf(tree, at)];
    const header = { role: "shop", hosts: ["here"], created: at, learnedFrom: at, learnedTo: at };
    writeFileSync(this.baseline, formatBaseline({ header, entries }));
  }

  sign(): void {
    const { exitCode, stderr } = treewarden("policy", "sign", this.path, "--key", `${this.key}.key`);
    if (exitCode !== 0) throw new Error(stderr);
  }

  flags(): string[] {
    return ["--config", join(this.folder, "config.yaml"), "--policy", this.path];
  }

  /** `treewarden run`, which is expected to refuse. */
  refusal() {
    return treewarden("run", ...this.flags(), "--listen", "off", "--state-dir", join(this.folder, "state"));
  }

  start(name: string, ...args: readonly string[]): void {
    Bun.spawnSync([join(this.folder, name), ...args]);
  }
}

function entryOf(tree: JsonRecord, at: number): BaselineEntry {
  const text = (name: string): string => String(tree[name]);
  return {
    ...{ scope: text("baseline.scope"), exact: text("tree.exact"), habit: text("tree.habit") },
    ...{ path: text("process.runnable.path"), tree: text("tree.path"), beforeHabits: false },
    ...{ complete: tree["tree.complete"] === true, fromMain: false },
    ...{ first: at, last: at, count: 1, users: [0], hosts: 1 },
    ...{ executables: [], contents: "unknown", arguments: undefined },
  };
}

function parsed(lines: string): JsonRecord[] {
  return lines
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

function isStart(one: JsonRecord): boolean {
  return one["event.name"] === "warden.started";
}

function isUnknown(one: JsonRecord): boolean {
  return one["security_rule.name"] === "unknown" && String(one["tree.path"]).endsWith("/tw-met");
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

describe.skipIf(reason !== undefined)("treewarden with keys", () => {
  test("does not start with a policy that is not signed, changed, or signed by another", () => {
    using site = new Site();
    for (const path of [site.path, site.parent]) {
      flip(path, 12);
      const { exitCode, stderr } = site.refusal();
      expect(exitCode).toBe(2);
      expect(stderr).toContain(`${path} is not as it was signed`);
      flip(path, 12);
    }
    const good = readFileSync(`${site.path}.sig`);
    treewarden("policy", "keygen", join(site.folder, "other"));
    treewarden("policy", "sign", site.path, "--key", join(site.folder, "other.key"));
    expect(site.refusal()).toMatchObject({ exitCode: 2 });
    treewarden("policy", "sign", site.parent, "--key", `${site.key}.key`);
    copyFileSync(`${site.parent}.sig`, `${site.path}.sig`);
    expect(site.refusal()).toMatchObject({ exitCode: 2 });
    rmSync(`${site.path}.sig`);
    const { exitCode, stderr } = site.refusal();
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`not signed: there is no ${site.path}.sig\n  hint: sign it`);
    // It is these that were wrong, and nothing else.
    writeFileSync(`${site.path}.sig`, good);
    expect(treewarden("policy", "verify", site.path, "--key", `${site.key}.pub`).exitCode).toBe(0);
  }, 30_000);

  test("does not start with a key that others could have put there", () => {
    using site = new Site();
    chmodSync(`${site.key}.pub`, 0o666);
    expect(site.refusal()).toMatchObject({ exitCode: 2 });
    expect(site.refusal().stderr).toContain(
      `${site.key}.pub: can be written by others: its mode is 0666\n  hint: chmod go-w ${site.key}.pub`,
    );
    chmodSync(`${site.key}.pub`, 0o644);
    chownSync(`${site.key}.pub`, 65_534, 0);
    expect(site.refusal()).toMatchObject({ exitCode: 2 });
    rmSync(`${site.key}.pub`);
    expect(site.refusal()).toMatchObject({ exitCode: 2 });
  }, 30_000);

  test("does not fall back to the embedded role when the signed policies are gone", () => {
    using site = new Site();
    // What /etc has is this test's: it is another one for this process.
    const script = [
      "mount -t tmpfs none /etc && mkdir -p -m 755 /etc/treewarden/policies",
      "echo nobody:x:65534:65534::/:/bin/false > /etc/passwd",
      'exec "$@"',
    ].join(" && ");
    const inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
    const flags = ["--config", join(site.folder, "config.yaml"), "--state-dir", join(site.folder, "state")];
    const { exitCode, stderr } = Bun.spawnSync([...inside, binary, "run", "--listen", "off", ...flags], {
      timeout: 10_000,
    });
    expect(exitCode).toBe(2);
    expect(stderr.toString()).toContain(
      "/etc/treewarden/policies: has no policy, and with policy_keys one must be there",
    );
  });

  test("refuses an older policy also after it was away, and after every kind of restart", async () => {
    using site = new Site();
    const older = readFileSync(`${site.path}.sig`);
    await Bun.sleep(1_100);
    site.sign();
    const put = (signature: Buffer): void => writeFileSync(`${site.path}.sig`, signature);
    const state = join(site.folder, "state");
    {
      await using running = await Running.start(site.flags(), {}, site.folder);
      const rejected = () => running.records.filter((one) => one["event.name"] === "policy.rejected");
      // The file is away, and then an older one is there.
      rmSync(`${site.path}.sig`);
      running.signal("SIGHUP");
      await running.seen(() => rejected().length === 1);
      put(older);
      running.signal("SIGHUP");
      await running.seen(() => rejected().length === 2);
      expect(String(rejected().at(-1)?.["policy.errors"])).toContain("before the one in force");
      // The warden of the same run dies: the next one goes on with what is in force.
      process.kill(pidOf(running, "warden"), "SIGKILL");
      await until("the next warden watches", () => running.records.filter(isStart).length === 2, 20_000);
      const versions = () => running.records.filter(isStart).map((one) => one["security_rule.version"]);
      expect(versions()[1]).toBe(versions()[0]);
      expect(running.records.filter((one) => one["event.name"] === "policy.loaded")).toEqual([]);
      // Ends without taking its folder along.
      expect(await running.stop()).toBe(0);
      cpSync(state, join(site.folder, "kept"), {
        recursive: true,
        filter: (path) => !path.includes("report"),
      });
      // Another run, after a boot say, refuses it too, and begins with what was in force.
      const kept = ["--state-dir", join(site.folder, "kept")];
      await using again = await Running.start([...site.flags(), ...kept]);
      expect(again.stderr).toContain("before the one in force");
      expect(again.records.find(isStart)?.["security_rule.version"]).toBe(versions()[0]);
      expect(treewarden("run", "--check", ...site.flags(), ...kept)).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining("before the one in force"),
      });
    }
  }, 60_000);

  test("keeps the old policy and its baseline when one comes that is not signed, and takes one that is", async () => {
    using site = new Site();
    await using running = await Running.start(site.flags(), {}, site.folder);
    const told = (event: string) => running.records.filter((one) => one["event.name"] === event);
    const verdicts = (rule: string) =>
      running.records.filter((one) => one["security_rule.name"] === rule).length;

    // Without a baseline no tree is unknown.
    site.start("tw-old");
    await running.seen((one) => one["security_rule.name"] === "no-tw-old");
    expect(verdicts("unknown")).toBe(0);

    // A baseline that nobody signed: neither it nor the new rules count.
    site.know();
    site.alertOn("tw-new", "tw-old");
    running.signal("SIGHUP");
    const rejected = await running.seen((one) => one["event.name"] === "policy.rejected");
    expect(String(rejected["policy.errors"])).toContain(`${site.parent} is not as it was signed`);
    site.start("tw-new");
    site.start("tw-old", "again");
    await running.seen(() => verdicts("no-tw-old") === 2);
    expect([verdicts("no-tw-new"), verdicts("unknown")]).toEqual([0, 0]);

    // Signed, both count.
    site.sign();
    running.signal("SIGHUP");
    await running.seen(() => told("policy.loaded").length === 1);
    const loaded = told("baseline.loaded").at(-1);
    expect(String(loaded?.["baseline.files"])).toStartWith(`${site.baseline} sha256:`);
    site.start("tw-new");
    await running.seen((one) => one["security_rule.name"] === "no-tw-new");
    site.start("tw-met");
    await running.seen(isUnknown);

    // What stands in the role's baseline is known, to rules and to commands.
    const state = ["--output", "json", "--state-dir", join(site.folder, "state")];
    let met: JsonRecord | undefined;
    await until("the tree is told", () => {
      met = parsed(treewarden("baseline", "compare", ...state).stdout).find((one) =>
        String(one["tree.exact"]).endsWith("/tw-met"),
      );
      return met !== undefined;
    });
    site.know(met);
    site.sign();
    running.signal("SIGHUP");
    await running.seen(() => told("policy.loaded").length === 2);
    const before = running.records.filter(isUnknown).length;
    site.start("tw-met", "again");
    site.start("tw-new", "again");
    await running.seen(() => verdicts("no-tw-new") === 2);
    expect(running.records.filter(isUnknown).length).toBe(before);
    expect(treewarden("baseline", "compare", ...state).stdout).not.toContain("tw-met");
    expect(treewarden("baseline", "diff", site.baseline, ...state)).toMatchObject({
      exitCode: 0,
      stdout: "",
    });
    const older = readFileSync(`${site.path}.sig`);

    // An older one does not come back.
    await Bun.sleep(1_100);
    site.sign();
    running.signal("SIGHUP");
    await running.seen(() => told("policy.loaded").length === 3);
    writeFileSync(`${site.path}.sig`, older);
    running.signal("SIGHUP");
    await running.seen(() => told("policy.rejected").length === 2);
    expect(String(told("policy.rejected").at(-1)?.["policy.errors"])).toContain("before the one in force");
  }, 60_000);
});
