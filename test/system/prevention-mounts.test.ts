// What is mounted over the files that a closed service may execute is judged as what was there before. treewarden runs as in a
// hardened unit: in a mount namespace of its own, which gets what is mounted later (mount_namespaces(7), slave mounts).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileProgram, Service, untilSettled } from "./prevention-service.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** A user that no other process runs as. */
const TEST_USER = 61_022;
/** Folders of root's alone. */
const installed = "/usr/local/lib/tw-mounts";
const service = join(installed, "tw-mountd");
const current = join(installed, "current");
const helper = join(current, "helper");
const stranger = join(installed, "stranger");
/** Another release of the helper, as old as the first. */
const next = join(installed, "next");
const nextHelper = join(next, "helper");

const policy = {
  role: "shop",
  rules: [
    {
      id: "nothing-else",
      when: { and: [{ "==": [{ var: "process.user.id" }, TEST_USER] }, { under: ["tw-mountd"] }] },
      except: [{ "==": [{ var: "process.executable.path" }, helper] }],
      action: "kill",
      severity: "high",
    },
  ],
  default: "allow",
};

/** Longer than the warden takes to notice a mount and to identify files. */
const NOTICED_MS = 300;

function mount(...args: readonly string[]): void {
  const { success, stderr } = Bun.spawnSync(["mount", ...args], { stderr: "pipe" });
  if (!success) throw new Error(stderr.toString());
}

/** A file that has just run is examined, which keeps its file system busy for some milliseconds. */
function unmount(path: string): Promise<void> {
  return until(`${path} is unmounted`, () => Bun.spawnSync(["umount", path], { stderr: "ignore" }).success);
}

describe.skipIf(reason !== undefined)("a closed service below whose programs something is mounted", () => {
  let folder: string;
  let running: Running;
  let shop: Service;
  const runs = { end: "exit 0", bytes: 1 };
  const dies = { end: "signal 9", bytes: 0 };
  const epoch = async (): Promise<unknown> => {
    const { stdout } = Bun.spawnSync([
      running.binary,
      ...["status", "--output", "json", "--state-dir", join(folder, "state")],
    ]);
    return JSON.parse(stdout.toString())["status.epoch"];
  };

  beforeAll(async () => {
    mkdirSync(installed, { mode: 0o755 });
    // Mounts are shared where systemd runs, and may not be where the tests do.
    mount("--bind", installed, installed);
    mount("--make-shared", installed);
    for (const each of [current, next]) mkdirSync(each, { mode: 0o755 });
    compileProgram("prevention-service", service);
    for (const each of [helper, nextHelper, stranger])
      compileProgram("prevention-program", each, "-nostdlib", "-static");
    folder = newFolder();
    const file = join(folder, "shop.json");
    writeFileSync(file, JSON.stringify(policy), { mode: 0o644 });
    const hardened = ["unshare", "--mount", "--propagation", "slave"];
    const config = join(folder, "config.yaml");
    const enforce = (enforcement: "kill" | "prevent"): void =>
      writeFileSync(
        config,
        `enforcement: ${enforcement}\narmed: all\narmed_since_hours: 0\npolicies: [${file}]\n`,
        {
          mode: 0o644,
        },
      );
    enforce("kill");
    running = await Running.start(["--config", config], {}, folder, hardened);
    enforce("prevent");
    const reload = Bun.spawnSync([
      running.binary,
      ...["reload", "--config", config, "--state-dir", join(folder, "state")],
    ]);
    if (!reload.success) throw new Error(reload.stderr.toString());
    // Files are identified once the service is there.
    await untilSettled(stranger);
    shop = new Service(service, TEST_USER, folder);
    // Everything is judged again when the list of the base system has been read.
    let since = performance.now();
    await until("the service is closed for a second", async () => {
      if ((await shop.run(stranger)).bytes > 0) since = performance.now();
      return performance.now() - since > 1_000;
    });
  }, 60_000);

  afterAll(async () => {
    await shop?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
    Bun.spawnSync(["umount", "--recursive", installed], { stderr: "ignore" });
    rmSync(installed, { recursive: true, force: true });
  }, 20_000);

  test("runs what it may, and nothing else", async () => {
    expect(await shop.run(helper)).toEqual(runs);
    expect(await shop.run(stranger)).toEqual(dies);
  });

  test.each([
    ["over the folder", next, current],
    ["over the file", nextHelper, helper],
  ])(
    "runs the older file that is mounted %s, and the one before when that is gone",
    async (_, from, over) => {
      mount("--bind", from, over);
      await Bun.sleep(NOTICED_MS);
      expect(await shop.run(helper)).toEqual(runs);
      expect(await shop.run(stranger)).toEqual(dies);
      await unmount(over);
      await Bun.sleep(NOTICED_MS);
      expect(await shop.run(helper)).toEqual(runs);
      expect(await shop.run(stranger)).toEqual(dies);
    },
  );

  test("stays closed while something is mounted elsewhere", async () => {
    const elsewhere = join(folder, "elsewhere");
    mkdirSync(elsewhere);
    const before = await epoch();
    mount("-t", "tmpfs", "tmpfs", elsewhere);
    try {
      await Bun.sleep(NOTICED_MS);
      expect(await shop.run(stranger)).toEqual(dies);
    } finally {
      await unmount(elsewhere);
    }
    expect(await epoch()).toBe(before);
  });

  test("has ended nothing that the policy lets be", async () => {
    const metrics = await running.metrics();
    expect(metrics.sum("treewarden_prevent_mismatches_total")).toBe(0);
  });
});
