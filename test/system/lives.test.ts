// A site whose life was learned for a while: what is ordinary later gives no alarm by the shipped roles, which include
// the baseline's, and what only looks ordinary does.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { evasions } from "./intrusions/evasions.ts";
import { prepareUpgrade, type Upgrade } from "./package-upgrade.ts";
import { missingServer } from "./server-packages.ts";
import { learn } from "./server-watch.ts";
import { missingUnits } from "./service-manager.ts";
import { alarmsOfSite, Site, summaryOf } from "./site.ts";
import { type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot() ?? missingUnits() ?? missingServer();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const ROLES = ["baseline", "web", "bastion", "database"];
const flags = ROLES.flatMap((role) => ["--policy", role]);
/** Until verdicts have arrived, also those that wait for an examined file. One that is later fails the next life. */
const SETTLED_MS = 700;

describe.skipIf(reason !== undefined)("a site whose life was learned", () => {
  const folder = newFolder();
  let site: Site;
  let running: Running;
  let upgrade: Upgrade;

  async function restartTreewarden(): Promise<void> {
    await running.stop();
    running = await Running.start(flags, {}, folder);
  }

  const inCopy = (code: string): string => `unshare -m sh ${upgrade.inCopy} '${code}'`;

  beforeAll(async () => {
    site = new Site();
    mkdirSync(site.path("upgrade"));
    upgrade = prepareUpgrade(site.path("upgrade"));
    running = await Running.start(flags, {}, folder);
    await learn(running, async () => {
      await site.server.start();
      await site.count();
      for (let day = 0; day < 3; day += 1) await site.live();
      await site.server.restart();
      await site.live();
      // Administrators look for updates every day; what an upgrade starts is new later.
      site.server.ssh(inCopy(upgrade.update));
    });
    // Verdicts are folded with earlier ones of their kind: another run of treewarden's begins anew.
    await restartTreewarden();
  }, 120_000);

  afterAll(async () => {
    await running[Symbol.asyncDispose]();
    await site[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  /** The alarms that an ordinary life gives. */
  async function alarmsWhile(life: () => Promise<void>): Promise<string[]> {
    const from = running.records.length;
    await life();
    await Bun.sleep(SETTLED_MS);
    return alarmsOfSite(running, from).map(summaryOf);
  }

  const lives: Readonly<Record<string, () => Promise<void>>> = {
    "another day": () => site.live(),
    "services restarted": () => site.server.restart(),
    "a command, wherever it stands in the code": async () => {
      for (const code of [
        "uptime",
        "true; uptime",
        "true && uptime",
        "exec uptime",
        "(uptime; true)",
        "uptime > /dev/null",
      ])
        site.server.ssh(code);
    },
    "logs rotated and cron's jobs of the day": () => site.daily(),
    "logins with and without a terminal": async () => {
      site.terminal("uptime", "uptime -p");
      site.server.ssh("uptime -s");
    },
    "Ansible, twice": async () => {
      site.ansible();
      site.ansible();
    },
    "a script generated with another date in it": () => site.report(),
    "another major of Java beside the old": () => site.shop(site.anotherJava()),
    "another major of PostgreSQL beside the old": () => site.anotherCluster(site.anotherPostgres()),
  };
  for (const [life, act] of Object.entries(lives)) {
    test(`gives no alarm: ${life}`, async () => {
      expect(await alarmsWhile(act)).toEqual([]);
    }, 60_000);
  }

  test("gives no alarm: treewarden restarted", async () => {
    await restartTreewarden();
    expect(await alarmsWhile(() => site.live())).toEqual([]);
  }, 60_000);

  test("gives no alarm: packages upgraded, with their maintainer scripts", async () => {
    expect(upgrade.scripts).toBeGreaterThanOrEqual(30);
    const alarms = await alarmsWhile(async () => {
      site.server.ssh(inCopy(upgrade.upgrade));
    });
    expect(upgrade.configured()).toBeGreaterThanOrEqual(30);
    expect(alarms).toEqual([]);
  }, 120_000);

  for (const { name, rule, act } of evasions) {
    test(`alerts on ${name}`, async () => {
      const from = running.records.length;
      const isNoticed = (): boolean =>
        alarmsOfSite(running, from).some(
          (record) => record["event.name"] === "policy.verdict" && matches(record, rule),
        );
      await act(site, isNoticed);
      await until(`an alert by ${rule}`, isNoticed, 5_000);
    }, 30_000);
  }
});

function matches(record: JsonRecord, rule: string): boolean {
  const rules = record["policy.matched_rules"];
  return Array.isArray(rules) && rules.includes(rule);
}
