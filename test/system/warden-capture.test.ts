// A capture that the warden makes, replayed: the warden's own verdicts, whatever they depended on and whenever it changed.
import { expect, test } from "bun:test";
import { copyFileSync, existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { baseline } from "./server-watch.ts";
import { binary, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Every program of the test's own has a verdict, which says what the baseline knew of it. */
function policyText(folder: string, alerted: string): string {
  const mine = { starts_with: [{ var: "process.executable.path" }, `${folder}/`] };
  const rules = [
    { id: alerted, when: mine, action: "alert", severity: "low" },
    { id: "unknown", when: { and: [mine, { "!": [{ var: ["tree.known", true] }] }] }, action: "alert" },
    {
      id: "no-package",
      when: { and: [mine, { var: "process.executable.unpackaged" }] },
      action: "alert",
    },
  ];
  return JSON.stringify({ role: "trial", rules });
}

/**
 * What two verdicts must have in common: everything but the id of the record, what only the reporter knows, and what a
 * capture does not have: what the ancestors were.
 */
function essence(records: readonly JsonRecord[], folder: string): JsonRecord[] {
  return records
    .filter((record) => String(record["process.executable.path"]).startsWith(`${folder}/`))
    .filter((record) => record["event.name"] === "policy.verdict")
    .map(({ "log.record.uid": _uid, "host.id": _id, "host.name": _name, ...rest }) => rest)
    .map(({ "process.ancestors": _, "process.ancestor_pids": _pids, ...rest }) => rest)
    .map(({ observed_timestamp: _, ...rest }) => rest)
    .map((record) =>
      Object.fromEntries(Object.entries(record).filter(([name]) => !name.startsWith("journal."))),
    );
}

interface Replayed {
  readonly code: number;
  readonly records: readonly JsonRecord[];
  readonly errors: string;
}

function replay(...args: readonly string[]): Replayed {
  const { exitCode, stdout, stderr } = Bun.spawnSync([binary, "replay", ...args, "--output", "json"]);
  const records = stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line): JsonRecord => JSON.parse(line));
  return { code: exitCode, records, errors: stderr.toString() };
}

test.skipIf(reason !== undefined)(
  "a capture that the warden makes replays to the warden's own verdicts",
  async () => {
    const folder = newFolder();
    const names = ["known", "unknown", "based", "excluded"];
    for (const name of names) copyFileSync("/bin/true", join(folder, `tw-${name}`));
    const run = (name: string, ...args: readonly string[]): void =>
      void Bun.spawnSync([join(folder, `tw-${name}`), ...args]);
    const policy = join(folder, "trial.json");
    writeFileSync(policy, policyText(folder, "mine"));
    const config = join(folder, "config.yaml");
    writeFileSync(
      config,
      `base:\n  paths: [${folder}/tw-based]\narguments:\n  report: full\npolicies: [${policy}]\n`,
    );
    await using running = await Running.start(["--config", config], {}, folder);
    expect(baseline(running, "learn").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.learning");
    run("known");
    await running.seen(({ "process.executable.path": path }) => path === `${folder}/tw-known`);
    await Bun.sleep(3_000);
    expect(baseline(running, "learn", "--stop").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.stopped");
    expect(baseline(running, "accept", "--anyway").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.loaded");
    const patterns = ["exclude", "add", "/**/tw-excluded", "--for", "5s", "--reason", "maintenance"];
    expect(baseline(running, ...patterns).code).toBe(0);
    const excludedUntil = Date.now() + 5_000;

    const before = running.records.length;
    const capture = join(folder, "capture");
    const recorder = Bun.spawn([binary, "record", "--out", capture, "--state-dir", join(folder, "state")], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    await running.seen(({ "event.name": name }) => name === "capture.started");
    await until("the capture", () => existsSync(capture) && statSync(capture).size > 0);
    for (const name of names) run(name, "--first", "a\\x0ab", "a\nb");
    await until("the end of the exclusion", () => Date.now() > excludedUntil + 1_500);
    run("excluded", "--second");
    // Another policy, another baseline and other users meanwhile.
    writeFileSync(policy, policyText(folder, "mine-still"));
    running.signal("SIGHUP");
    await running.seen(({ "event.name": name }) => name === "policy.loaded");
    for (const name of names) run(name, "--third");
    expect(baseline(running, "exclude", "add", "/**/tw-unknown", "--reason", "later").code).toBe(0);
    await Bun.sleep(500);
    for (const name of names) run(name, "--fourth");
    await running.seen(({ "process.command_args": args }) => String(args).includes("excluded,--fourth"));
    recorder.kill("SIGINT");
    const errors = await new Response(recorder.stderr).text();
    expect(await recorder.exited).toBe(0);
    expect(errors).toMatch(/complete: \d+ events/);
    expect(statSync(capture).mode & 0o777).toBe(0o600);

    const again = replay(capture);
    expect(again.code).toBe(0);
    const verdicts = essence(running.records.slice(before), folder);
    expect(verdicts.map((verdict) => verdict["tree.known"])).toContain(true);
    expect(verdicts.map((verdict) => verdict["tree.known"])).toContain(undefined);
    // Programs that ran before the examiner had looked at their files were judged again.
    const isLate = (verdict: JsonRecord): boolean => verdict["policy.reason"] === "late";
    expect(verdicts.filter((verdict) => !isLate(verdict)).length).toBe(13);
    expect(verdicts.filter(isLate).length).toBeGreaterThan(0);
    expect(essence(again.records, folder)).toEqual(verdicts);

    // Twice the same bytes, and another policy judges the same events.
    expect(replay(capture).records).toEqual(again.records);
    const other = join(folder, "other.json");
    writeFileSync(other, policyText(folder, "mine").replace('"alert"', '"kill"'));
    const tried = essence(replay(capture, "--policy", other).records, folder);
    expect(tried.length).toBe(verdicts.length);
    const first = tried.filter((verdict) => !isLate(verdict));
    expect(first.every((verdict) => verdict["policy.outcome"] === "would_kill")).toBe(true);
    expect(tried.map((verdict) => verdict["tree.path"])).toEqual(verdicts.map((one) => one["tree.path"]));

    const lines = Bun.spawnSync(["sh", "-c", `zstdcat '${capture}' | jq -r '."event.name"' | sort -u`]);
    if (Bun.which("zstdcat") !== null && Bun.which("jq") !== null)
      expect(lines.stdout.toString()).toContain("process.exec\n");
  },
  90_000,
);
