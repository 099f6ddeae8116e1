// A planned change on a real host: what it starts is no alarm while its window is open, is collected, and is known on
// another host that has accepted what the first one has exported.
import { expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, type JsonRecord, newFolder, Running, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const NOBODY = 65_534;

test.skipIf(reason !== undefined)(
  "a change begins, is collected, ends, and is accepted on two hosts",
  async () => {
    const folder = newFolder();
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, "tools"));
    const tool = join(folder, "tools/site-tool");
    const watched = join(folder, "tools/site-watched");
    for (const path of [tool, watched]) copyFileSync("/bin/true", path);
    const deploy = join(folder, "site-deploy");
    writeFileSync(deploy, `#!/bin/bash\n${tool} "$1"\n${watched} "$1"\ntrue\n`);
    for (const path of [tool, watched, deploy]) chmodSync(path, 0o755);

    const runs = (path: string) => ({ "==": [{ var: "process.runnable.path" }, path] });
    const unknown = { "!": [{ var: ["tree.known", true] }] };
    const policy = join(folder, "site.json");
    writeFileSync(
      policy,
      JSON.stringify({
        role: "site",
        rules: [
          { id: "unknown", when: { and: [runs(tool), unknown] }, action: "alert" },
          { id: "watched", when: runs(watched), action: "alert" },
        ],
      }),
    );
    const start = (state: string) =>
      Running.start(["--policy", policy, "--state-dir", join(folder, state)], {}, folder);
    const command = (state: string, ...args: readonly string[]) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync([
        ...[binary, ...args, "--state-dir", join(folder, state)],
      ]);
      return { code: exitCode, text: `${stdout}${stderr}` };
    };
    /** Runs the change; `argument` tells the runs apart. */
    const runDeploy = (argument: string, uid = 0): void => {
      expect(Bun.spawnSync([deploy, argument], { uid, gid: uid }).exitCode).toBe(0);
    };
    const isOf =
      (path: string, argument: string, event: string) =>
      (record: JsonRecord): boolean =>
        record["event.name"] === event &&
        record["process.runnable.path"] === path &&
        Array.isArray(record["process.command_args"]) &&
        record["process.command_args"][1] === argument;
    const alarms = (running: Running, argument: string): JsonRecord[] =>
      running.records.filter(isOf(tool, argument, "policy.verdict"));
    /** The tool runs before the other program, whose verdict is there each time. */
    const afterRun = (running: Running, argument: string): Promise<JsonRecord> =>
      running.seen(isOf(watched, argument, "policy.verdict"));

    const learned = join(folder, "learned.baseline");
    const tree =
      "-\t/init\t=\t/sbin/init\t=\tcomplete\t2026-01-31T12:00:00Z\t2026-01-31T12:00:00Z\t1\t0\t1\t-\t-\t-";
    writeFileSync(
      learned,
      [
        "treewarden-baseline 3",
        "created 2026-01-31T12:00:00Z",
        "learned 2026-01-31T12:00:00Z 2026-01-31T12:00:00Z",
        "",
        `${tree}\n`,
      ].join("\n"),
    );
    const files = {
      exported: join(folder, "chg-7.baseline"),
      key: join(folder, "release"),
      config: join(folder, "config.yaml"),
    };
    expect(Bun.spawnSync([binary, "policy", "keygen", files.key]).exitCode).toBe(0);
    writeFileSync(files.config, `policy_keys: [${files.key}.pub]\n`);

    await using first = await start("first");
    expect(command("first", "baseline", "import", learned)).toMatchObject({ code: 0 });
    await first.seen((record) => record["event.name"] === "baseline.loaded");
    // The command ends when the window is open.
    expect(
      command("first", "change", "begin", "--id", "CHG-7", "--under", "site-deploy", "--for", "10m"),
    ).toEqual({
      code: 0,
      text: expect.stringContaining("change CHG-7 is open until"),
    });
    runDeploy("during");
    expect((await afterRun(first, "during"))["change.id"]).toBe("CHG-7");
    expect(await first.seen(isOf(tool, "during", "tree.new"))).toMatchObject({ "change.id": "CHG-7" });
    expect(alarms(first, "during")).toEqual([]);

    // Another user gains nothing by the name.
    runDeploy("intruder", NOBODY);
    expect((await afterRun(first, "intruder"))["change.id"]).toBeUndefined();
    expect(alarms(first, "intruder")).toMatchObject([{ "tree.known": false }]);

    // The window outlives a restart.
    await first.stop();
    await using restarted = await start("first");
    runDeploy("restarted");
    expect((await afterRun(restarted, "restarted"))["change.id"]).toBe("CHG-7");
    expect(alarms(restarted, "restarted")).toEqual([]);

    expect(command("first", "change", "end", "--id", "CHG-7").code).toBe(0);
    runDeploy("after");
    await afterRun(restarted, "after");
    expect(alarms(restarted, "after")).toMatchObject([{ "tree.known": false }]);
    // So does one whose time is over.
    expect(command("first", "change", "begin", "--id", "CHG-8", "--under", deploy, "--for", "3s").code).toBe(
      0,
    );
    await restarted.seen(
      (record) => record["event.name"] === "change.ended" && record["change.id"] === "CHG-8",
    );
    runDeploy("expired");
    await afterRun(restarted, "expired");
    expect(alarms(restarted, "expired")).toMatchObject([{ "tree.known": false }]);
    const journal = command("first", "events", "--output", "json").text;
    for (const event of ["change.began", "change.ended"])
      expect([event, journal.split(`"event.name":"${event}"`).length - 1]).toEqual([event, 2]);

    const exported = [
      "change",
      "export",
      "--id",
      "CHG-7",
      "--out",
      files.exported,
      "--sign",
      `${files.key}.key`,
    ];
    expect(command("first", ...exported).code).toBe(0);
    await using second = await start("second");
    expect(command("second", "baseline", "import", learned).code).toBe(0);
    expect(command("second", "change", "accept", files.exported, "--config", files.config)).toEqual({
      code: 0,
      text: expect.stringContaining("trees of the change are in force"),
    });
    await second.seen(
      ({ "event.name": name, "baseline.trees": trees }) => name === "baseline.loaded" && Number(trees) > 1,
    );
    runDeploy("second");
    expect((await afterRun(second, "second"))["tree.known"]).toBe(true);
    expect(alarms(second, "second")).toEqual([]);
    // The first host, which has not accepted it, still alerts.
    await afterRun(restarted, "second");
    expect(alarms(restarted, "second")).toHaveLength(1);
    expect(command("first", "change", "accept", "--id", "CHG-7").code).toBe(0);
    await restarted.seen(
      ({ "event.name": name, "baseline.trees": trees }) => name === "baseline.loaded" && Number(trees) > 1,
    );
    runDeploy("accepted");
    expect((await afterRun(restarted, "accepted"))["tree.known"]).toBe(true);
    expect(alarms(restarted, "accepted")).toEqual([]);
  },
  90_000,
);
