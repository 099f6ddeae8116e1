// SIGHUP: a broken policy is refused and told, and the old one stays in force; a good one takes its place.
import { describe, expect, test } from "bun:test";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

function policy(...names: readonly string[]): string {
  const rules = names.map((name) => ({
    id: `no-${name}`,
    when: { "==": [{ var: "process.executable.name" }, name] },
    action: "alert",
  }));
  return JSON.stringify({ role: "reloaded", description: "of a test", rules, default: "allow" });
}

describe.skipIf(reason !== undefined)("SIGHUP", () => {
  test("refuses a broken policy, which leaves the old one in force, and takes a good one", async () => {
    const folder = newFolder();
    const path = join(folder, "reloaded.json");
    for (const name of ["tw-old", "tw-new"]) copyFileSync("/bin/true", join(folder, name));
    const start = (name: string, ...args: readonly string[]) => Bun.spawnSync([join(folder, name), ...args]);
    writeFileSync(path, policy("tw-old"));
    await using running = await Running.start(["--policy", path], {}, folder);
    const verdicts = (name: string) =>
      running.records.filter(
        (one) => one["event.name"] === "policy.verdict" && one["security_rule.name"] === `no-${name}`,
      );
    const told = (event: string) => running.records.filter((one) => one["event.name"] === event);

    writeFileSync(path, `${policy("tw-new").slice(0, -20)}`);
    running.signal("SIGHUP");
    const rejected = await running.seen((one) => one["event.name"] === "policy.rejected");
    expect(String(rejected["policy.errors"])).toContain(`${path}:1:`);
    // Also with --output json, where a person reads standard error alone.
    expect(running.stderr).toContain(`refused: ${path}:1:`);
    expect((await running.metrics()).value("treewarden_policy_load_failures_total")).toBe(1);
    start("tw-new");
    start("tw-old");
    await running.seen((one) => one["security_rule.name"] === "no-tw-old");
    expect(verdicts("tw-new")).toEqual([]);

    // A policy that is gone is as broken as one that cannot be read.
    rmSync(path);
    running.signal("SIGHUP");
    await running.seen(() => told("policy.rejected").length === 2);
    start("tw-old", "again");
    await running.seen(() => verdicts("tw-old").length === 2);

    writeFileSync(path, policy("tw-new"));
    running.signal("SIGHUP");
    await running.seen((one) => one["event.name"] === "policy.loaded");
    start("tw-old");
    start("tw-new");
    await running.seen((one) => one["security_rule.name"] === "no-tw-new");
    expect(verdicts("tw-old").length).toBe(2);
    const metrics = await running.metrics();
    expect(metrics.value("treewarden_policy_load_failures_total")).toBe(2);
    expect(metrics.all("treewarden_policy_info")).toEqual([1]);
  }, 30_000);
});
