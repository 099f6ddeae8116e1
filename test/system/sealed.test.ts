// The drop-in packaging/systemd/sealed.conf: what it leaves of rights and network is enough to watch and to judge.
import { afterAll, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const folder = newFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The capabilities of the last setting of their kind, as setpriv(1) wants them. */
function boundingSet(): string {
  const conf = readFileSync(join(import.meta.dir, "../../packaging/systemd/sealed.conf"), "utf8");
  const [, names = ""] = [...conf.matchAll(/^CapabilityBoundingSet=(.*)$/gm)].at(-1) ?? [];
  const capabilities = names.toLowerCase().replaceAll("cap_", "+").split(" ");
  return `--bounding-set=-all,${capabilities.join(",")}`;
}

test.skipIf(reason !== undefined)(
  "a sealed service judges by eBPF, without a network, after a first start that was not sealed",
  async () => {
    const program = join(folder, "tw-sealed");
    copyFileSync("/bin/true", program);
    const policy = join(folder, "sealed.json");
    const when = { "==": [{ var: "process.executable.path" }, program] };
    writeFileSync(policy, JSON.stringify({ role: "sealed", rules: [{ id: "seen", when, action: "alert" }] }));
    const flags = ["--policy", policy, "--source", "ebpf", "--listen", "off"];
    const first = await Running.start(flags, {}, folder);
    expect(await first.stop()).toBe(0);
    const sealed = ["unshare", "--net", "setpriv", "--no-new-privs", "--inh-caps=-all", boundingSet()];
    await using running = await Running.start(flags, {}, folder, sealed);
    expect(Bun.spawnSync([program]).exitCode).toBe(0);
    const verdict = await running.seen((record) => record["security_rule.name"] === "seen");
    expect(verdict).toMatchObject({ "policy.outcome": "alerted", "process.executable.path": program });
    expect(running.stderr).toBe("");
  },
  30_000,
);
