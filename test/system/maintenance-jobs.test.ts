// Jobs of Debian's own that a day of learning does not see, for real: their own files, run by run-parts below a
// program at cron's path, against a baseline that knows nothing of them.
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import { IN_FORCE } from "../../src/baseline/file-names.ts";
import { entry, NOON } from "../baseline/samples.ts";
import { newFolder, Running, whyNot } from "./treewarden.ts";

const job = "/etc/cron.weekly/man-db";
const needed = [job, "/usr/sbin/cron", "/usr/bin/run-parts", "/usr/bin/mandb"];
const reason =
  whyNot() ??
  (needed.every((path) => existsSync(path)) ? undefined : `these are needed: ${needed.join(", ")}`);
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("the role baseline", () => {
  test("lets man-db's weekly job be, and tells what else runs below cron", async () => {
    const folder = newFolder();
    const header = { role: undefined, hosts: [], created: NOON, learnedFrom: NOON, learnedTo: NOON };
    mkdirSync(join(folder, "state/baseline"), { recursive: true });
    chmodSync(join(folder, "state/baseline"), 0o700);
    const inForce = join(folder, "state", IN_FORCE);
    writeFileSync(inForce, formatBaseline({ header, entries: [entry("/nothing")] }), { mode: 0o600 });
    await using running = await Running.start(["--policy", "baseline"], {}, folder);

    // A shell at cron's path stands for cron, and a program that does nothing for mandb: in a namespace of root's.
    const jobs = join(folder, "jobs");
    mkdirSync(jobs);
    writeFileSync(join(jobs, "man-db"), "#!/bin/sh\n/usr/bin/tac /dev/null\n");
    chmodSync(join(jobs, "man-db"), 0o755);
    const cron = `/usr/bin/run-parts --report /etc/cron.weekly; /usr/bin/run-parts ${jobs}; exit 0`;
    const script =
      'mount --bind /bin/true /usr/bin/mandb && mount --bind /bin/dash /usr/sbin/cron && exec /usr/sbin/cron -c "$1"';
    const { exitCode } = Bun.spawnSync(["unshare", "--mount", "sh", "-c", script, "sh", cron]);
    expect(exitCode).toBe(0);

    const told = (exact: RegExp) => (record: Readonly<Record<string, unknown>>) =>
      record["security_rule.name"] === "unknown-tree" && exact.test(String(record["tree.exact"]));
    await running.seen(told(/\/cron\/run-parts\/man-db\/tac$/));
    expect(running.records.some(told(/\/cron\/run-parts$/))).toBe(true);
    const ran = running.records.filter(({ "tree.exact": exact }) =>
      /\/cron\/run-parts\/man-db\/start-stop-daemon|\/cron\/run-parts\/man-db\/grep$/.test(String(exact)),
    );
    expect(ran.length).toBeGreaterThan(0);
    expect(ran.filter(({ "event.name": name }) => name === "policy.verdict")).toEqual([]);
  }, 30_000);
});
