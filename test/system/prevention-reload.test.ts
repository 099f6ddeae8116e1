// What is prevented while treewarden runs: it changes with a reload, is told of each process, and leaves a rescue session alone.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileProgram, Service, untilSettled } from "./prevention-service.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Milliseconds for a test on a busy host. */
setDefaultTimeout(30_000);

/** Users that no other process runs as. */
const TEST_USER = 61_020;
const RESCUE_USER = 61_021;
/** A folder of root's alone, as those of packages are. */
const installed = "/usr/local/lib/tw-prevention-reload";
const service = join(installed, "tw-shopd");
const helper = join(installed, "tw-helper");
const stranger = join(installed, "tw-stranger");
/** Installed while treewarden runs. */
const laterHelper = join(installed, "tw-later-helper");
const laterStranger = join(installed, "tw-later-stranger");

const policy = {
  role: "shop",
  rules: [
    {
      id: "nothing-else",
      when: {
        and: [{ in: [{ var: "process.user.id" }, [TEST_USER, RESCUE_USER]] }, { under: ["tw-shopd"] }],
      },
      except: [{ in: [{ var: "process.executable.path" }, [helper, laterHelper]] }],
      action: "kill",
      severity: "high",
    },
  ],
  default: "allow",
};

/** Sets the login user. */
const asRescueLogin = ["sh", "-c", `echo ${RESCUE_USER} > /proc/self/loginuid; exec "$@"`, "sh"];
/** As ProtectSystem= and PrivateTmp= have systemd start a service. */
const withOwnMounts = [
  ...["unshare", "--mount", "--propagation", "private", "sh", "-c"],
  ...['mount --bind /usr /usr && mount -t tmpfs tmpfs /mnt && exec "$@"', "sh"],
];

const dies = { end: "signal 9", bytes: 0 };
const runs = { end: "exit 0", bytes: 1 };

describe.skipIf(reason !== undefined)("a service that may start nothing but one program", () => {
  let folder: string;
  let running: Running;
  let shop: Service;

  const configure = (enforcement: "kill" | "prevent"): void =>
    writeFileSync(
      join(folder, "config.yaml"),
      [
        `enforcement: ${enforcement}`,
        "armed: all",
        "armed_since_hours: 0",
        `policies: [${join(folder, "shop.json")}]`,
        `rescue_user: "${RESCUE_USER}"`,
        "",
      ].join("\n"),
      { mode: 0o644 },
    );

  const ask = (...args: readonly string[]): { readonly code: number; readonly text: string } => {
    const files = ["--config", join(folder, "config.yaml"), "--state-dir", join(folder, "state")];
    const { exitCode, stdout, stderr } = Bun.spawnSync([binary, ...args, ...files], { timeout: 20_000 });
    return { code: exitCode, text: `${stdout}${stderr}` };
  };

  const reload = (enforcement: "kill" | "prevent"): void => {
    configure(enforcement);
    expect(ask("reload")).toMatchObject({ code: 0 });
  };

  const isClosed = (): Promise<void> =>
    until("the service is closed", () => ask("status").text.includes(`${service}: 1 process, closed by`));

  const start = async (
    user: number,
    asExpected: typeof dies,
    inside: readonly string[] = [],
  ): Promise<Service> => {
    const started = new Service(service, user, folder, inside);
    // User space, too, sometimes kills a program before it has written.
    let times = 0;
    await until("it is judged", async () => {
      const isExpected = (await started.run(stranger)).bytes === asExpected.bytes;
      times = isExpected ? times + 1 : 0;
      return times > 10;
    });
    return started;
  };

  beforeAll(async () => {
    mkdirSync(installed, { mode: 0o755 });
    compileProgram("prevention-service", service);
    for (const each of [helper, stranger]) compileProgram("prevention-program", each, "-nostdlib", "-static");
    folder = newFolder();
    writeFileSync(join(folder, "shop.json"), JSON.stringify(policy), { mode: 0o644 });
    configure("kill");
    running = await Running.start(["--config", join(folder, "config.yaml")], {}, folder);
    shop = new Service(service, TEST_USER, folder);
    expect(await shop.run(helper)).toEqual(runs);
    await untilSettled(stranger);
  });

  afterAll(async () => {
    await shop?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
    rmSync(installed, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });

  test("is closed by a reload from `kill` to `prevent`, opened by one back, and closed again", async () => {
    const prevented = async (): Promise<number> =>
      (await running.metrics()).sum("treewarden_verdicts_total", { outcome: "prevented" });
    expect(ask("status").text).not.toContain("prevention:");
    reload("prevent");
    await isClosed();
    for (let i = 0; i < 20; i += 1) expect(await shop.run(stranger)).toEqual(dies);
    expect(await shop.run(helper)).toEqual(runs);
    await until("they are counted", async () => (await prevented()) >= 20);

    reload("kill");
    const before = await prevented();
    const ends = await Promise.all(Array.from({ length: 20 }, () => shop.run(stranger)));
    expect(ends.length).toBe(20);
    expect(ask("status").text).not.toContain("prevention:");
    expect(await prevented()).toBe(before);

    reload("prevent");
    await isClosed();
    expect(await shop.run(stranger)).toEqual(dies);
  });

  test("is explained as closed, with what may run; another process is explained as open", () => {
    const { text } = ask("explain", String(shop.pid));
    expect(text).toContain(
      "in its own place: open, user space decides: no armed rule kills whatever it executes",
    );
    expect(text).toContain(`as a child: ${helper} may run`);
    expect(text).toContain(
      `as a child: everything else as user ${TEST_USER} dies by shop/nothing-else, interpreters too`,
    );
    const open = ask("explain", String(process.pid)).text;
    expect(open).toContain("as a child: open, user space decides: no armed rule kills whatever it executes");
  });

  test("in a session of the rescue user starts anything; one that only says so does not", async () => {
    await using session = await start(RESCUE_USER, runs, asRescueLogin);
    for (let i = 0; i < 5; i += 1) expect(await session.run(stranger)).toEqual(runs);
    const verdict = await running.seen(({ "policy.reason": why }) => why === "spared_session");
    expect(verdict).toMatchObject({ "policy.outcome": "withheld", "process.executable.path": stranger });
    expect(ask("explain", String(session.pid)).text).toContain(
      "as a child: open, user space decides: treewarden spares it",
    );

    await using forged = await start(TEST_USER, dies, asRescueLogin);
    for (let i = 0; i < 5; i += 1) expect(await forged.run(stranger)).toEqual(dies);
    await using plain = await start(RESCUE_USER, dies);
    for (let i = 0; i < 5; i += 1) expect(await plain.run(stranger)).toEqual(dies);
  });

  test("which are installed right before a reload: three seconds later one runs, another dies", async () => {
    copyFileSync(helper, laterHelper);
    copyFileSync(stranger, laterStranger);
    reload("prevent");
    await Bun.sleep(3_000);
    for (let i = 0; i < 10; i += 1) expect(await shop.run(laterStranger)).toEqual(dies);
    expect(await shop.run(laterHelper)).toEqual(runs);
    expect((await running.metrics()).sum("treewarden_prevent_mismatches_total")).toBe(0);
  });

  test("with mounts of its own dies as on the host, and starts what it may", async () => {
    await using own = await start(TEST_USER, dies, withOwnMounts);
    for (let i = 0; i < 5; i += 1) expect(await own.run(stranger)).toEqual(dies);
    expect(await own.run(helper)).toEqual(runs);
    expect((await running.metrics()).sum("treewarden_prevent_mismatches_total")).toBe(0);
  });
});
