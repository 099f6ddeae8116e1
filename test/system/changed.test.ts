// A known script that somebody edits, runs and restores is noticed each time, and one whose content is regenerated or
// shipped with its digest is not.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readState } from "../../src/warden/saved-state.ts";
import { pidOf } from "./live.ts";
import { baseline, learnedRows } from "./server-watch.ts";
import { type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Not below a temporary directory, where contents are not compared. */
const scripts = "/opt/tw-test-changed";
const job = join(scripts, "job.sh");
const regenerated = join(scripts, "report.sh");
const shipped = join(scripts, "shipped.sh");
/** It is edited each time that it runs: its alarm says that what ran before it has been judged. */
const marker = join(scripts, "marker.sh");
/** A script of a package. It is edited in a copy that is mounted over it, so that the host's stays as it is. */
const packaged = "/usr/bin/ldd";
const copy = join(scripts, "copy-of-a-packaged-script");
/** The edited copy runs for as long as this exists. */
const isRunning = join(scripts, "running");
/**
 * The warden gives an answer up after 35 s. On a busy host the examiner, which has the lowest priority, needs seconds to
 * start, to read the package database and to answer.
 */
const ANSWERED_MS = 40_000;
/**
 * A file system notes a change with the time of the last tick of the clock (10 ms at most): a script that is restored this long
 * after its exec has a later ctime, by which the warden knows that it was changed even if it opens it only then.
 */
const TICKS_MS = 30;

beforeEach(() => mkdirSync(scripts, { recursive: true }));
afterEach(() => rmSync(scripts, { recursive: true, force: true }));

function write(path: string, text: string): void {
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

function run(path: string): void {
  expect(Bun.spawnSync([path]).exitCode).toBe(0);
}

const mountedCopy = [
  ...["unshare", "--mount", "sh", "-c"],
  `mount --bind ${copy} ${packaged} && exec ${packaged} --version`,
];

function runCopy(): void {
  expect(Bun.spawnSync(mountedCopy).exitCode).toBe(0);
}

function digestOf(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
}

function alarms(running: Running, path: string): readonly JsonRecord[] {
  return running.records.filter(
    (record) =>
      String(record["event.name"]).startsWith("policy.verdict") &&
      record["process.runnable.path"] === path &&
      record["security_rule.name"] === "changed",
  );
}

let marks = 0;

/**
 * Has everything judged that ran before: the examiner answers in the order in which it was asked, so an alarm that has not
 * come by now does not come. `text`: what the marker holds then, which is not accepted; each writing of it is an alarm.
 */
async function settled(treewarden: Running, text = "# edited"): Promise<void> {
  marks += 1;
  write(marker, text);
  run(marker);
  await alarmsAre(treewarden, marker, marks);
}

/** Waits until there are as many alarms, and fails if there are more. */
async function alarmsAre(treewarden: Running, path: string, count: number): Promise<void> {
  await until(`${count} alarms on ${path}`, () => alarms(treewarden, path).length >= count, ANSWERED_MS);
  expect(alarms(treewarden, path)).toHaveLength(count);
}

/** The number of contents that the warden has saved as reported. */
function savedReports(treewarden: Running): number {
  return readState(join(treewarden.folder, "state"))?.changed?.length ?? 0;
}

test.skipIf(reason !== undefined)(
  "a script that is edited, run and restored within a second is one alarm, five times of five",
  async () => {
    const folder = newFolder();
    write(job, "exit 0");
    write(regenerated, "# 1");
    write(shipped, "# 1");
    write(marker, "exit 0");
    marks = 0;
    copyFileSync(packaged, copy);
    const original = readFileSync(job);
    const release = "#!/bin/sh\n# 2\n";
    const digest = new Bun.CryptoHasher("sha256").update(release).digest("hex");
    writeFileSync(join(folder, "shipped.sha256"), `${digest}  ${shipped}\n`, { mode: 0o644 });
    const policy = join(folder, "changed.json");
    const rule = { id: "changed", when: { var: "process.runnable.changed" }, action: "alert" };
    writeFileSync(policy, JSON.stringify({ role: "changed", rules: [rule], digests: ["shipped.sha256"] }));

    await using running = await Running.start(["--policy", policy], {}, folder);
    expect(baseline(running, "learn").code).toBe(0);
    await running.seen((record) => record["event.name"] === "baseline.learning");
    for (const number of [1, 2, 3]) {
      write(regenerated, `# ${number}`);
      for (const path of [job, regenerated, shipped, marker]) run(path);
      runCopy();
      // A third content within one learning run is more than a baseline holds.
      const expected = number === 3 ? "varies" : `sha256:${digestOf(regenerated)}`;
      const contents = () => learnedRows(running).filter(({ path }) => path === regenerated);
      const isStored = () => contents().some((row) => row.contents.includes(expected));
      await until(`content ${number} is stored`, isStored, ANSWERED_MS);
    }
    expect(baseline(running, "learn", "--stop").code).toBe(0);
    const accepted = baseline(running, "accept");
    expect([accepted.code, accepted.errors]).toEqual([0, expect.stringContaining(`${regenerated} varies`)]);
    await running.seen((record) => record["event.name"] === "baseline.loaded");

    const capture = join(folder, "changed.capture");
    const record = Bun.spawn(
      [running.binary, "record", "--out", capture, "--state-dir", join(running.folder, "state")],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    await running.seen((each) => each["event.name"] === "capture.started");
    const edited = "exit 0 # and more";
    for (const trial of [1, 2, 3, 4, 5]) {
      // In place and by replacing the file: what is restored is the old inode, or another one.
      if (trial % 2 === 0) write(job, edited);
      else {
        renameSync(job, `${job}.kept`);
        write(job, edited);
      }
      // As on a busy host: the warden opens the script when it has been restored.
      const isLate = trial > 3;
      const warden = pidOf(running, "warden");
      if (isLate) process.kill(warden, "SIGSTOP");
      run(job);
      await Bun.sleep(TICKS_MS);
      if (trial % 2 === 0) writeFileSync(job, original);
      else renameSync(`${job}.kept`, job);
      if (isLate) process.kill(warden, "SIGCONT");
      await alarmsAre(running, job, trial);
    }
    // As it was accepted, with another date, and as it was shipped.
    for (let i = 0; i < 3; i += 1) {
      write(regenerated, `# ${4 + i}`);
      writeFileSync(shipped, release);
      for (const path of [job, regenerated, shipped]) run(path);
      await settled(running);
    }
    expect(digestOf(shipped)).toBe(digest);
    expect([job, regenerated, shipped].map((path) => alarms(running, path).length)).toEqual([5, 0, 0]);
    expect(alarms(running, job).every((record) => record["policy.reason"] === "late")).toBe(true);

    // A package's script, as the package has it, edited, and as it was.
    runCopy();
    // It waits: once it has ended, its mounts are gone, and what the host has at the path stands for it.
    const waiting = `\nwhile [ -e ${isRunning} ]; do sleep 0.1; done\n`;
    writeFileSync(copy, readFileSync(copy, "utf8").replace("\n", waiting));
    writeFileSync(isRunning, "");
    const edition = Bun.spawn(mountedCopy, { stdio: ["ignore", "ignore", "inherit"] });
    await alarmsAre(running, packaged, 1);
    rmSync(isRunning);
    expect(await edition.exited).toBe(0);
    copyFileSync(packaged, copy);
    runCopy();
    await settled(running);
    expect(alarms(running, packaged)).toHaveLength(1);

    // A replay judges as the warden did.
    record.kill("SIGTERM");
    expect(await record.exited).toBe(0);
    const replayed = Bun.spawnSync([running.binary, "replay", capture, "--output", "json"]);
    const verdicts = replayed.stdout
      .toString()
      .split("\n")
      .flatMap((line): JsonRecord[] => (line === "" ? [] : [JSON.parse(line)]));
    const others = verdicts.filter((each) => each["process.runnable.path"] !== marker);
    expect(verdicts).toHaveLength(others.length + marks);
    expect(others.map((each) => [each["process.runnable.path"], each["policy.reason"]])).toEqual(
      [job, job, job, job, job, packaged].map((path) => [path, "late"]),
    );

    // A content that stays is one alarm, and none once it is accepted.
    write(job, "exit 0 # another release");
    const newContent = `sha256:${digestOf(job)}`;
    for (let i = 0; i < 4; i += 1) {
      run(job);
      await settled(running);
    }
    expect(alarms(running, job)).toHaveLength(6);
    // Nor is it another one after a restart of the warden, once that has saved what it reported: each alarm.
    const reports = [job, packaged, marker].flatMap((path) => alarms(running, path)).length;
    await until("all reports are saved", () => savedReports(running) >= reports, ANSWERED_MS);
    const starts = (): number =>
      running.records.filter((each) => each["event.name"] === "warden.started").length;
    process.kill(pidOf(running, "warden"), "SIGKILL");
    await until("another warden watches", () => starts() === 2, ANSWERED_MS);
    run(job);
    await settled(running);
    expect(alarms(running, job)).toHaveLength(6);
    const isProposed = (record: JsonRecord): boolean =>
      record["process.runnable.path"] === job && String(record["baseline.contents"]).includes(newContent);
    const proposed = (): boolean => baseline(running, "compare", "--output", "json").lines.some(isProposed);
    await until("the new content is proposed", proposed, ANSWERED_MS);
    const review = [running.binary, "baseline", "review", "--state-dir", join(running.folder, "state")];
    const loaded = running.records.filter((record) => record["event.name"] === "baseline.loaded").length;
    expect(Bun.spawnSync(review, { stdin: Buffer.from("a\n".repeat(1000)) }).exitCode).toBe(0);
    const isLoaded = (): boolean =>
      running.records.filter((record) => record["event.name"] === "baseline.loaded").length > loaded;
    await until("the reviewed baseline is in force", isLoaded, ANSWERED_MS);
    // The content is the same, written once more: it would be an alarm.
    write(job, "exit 0 # another release");
    run(job);
    await settled(running, "# edited after the review");
    expect(alarms(running, job)).toHaveLength(6);
    const metrics = await running.metrics();
    expect(metrics.value("treewarden_late_verdicts_missed_total", { reason: "full" })).toBe(0);
    expect(metrics.value("treewarden_verdicts_total", { rule: "changed", outcome: "alerted" })).toBe(
      7 + marks,
    );
  },
  240_000,
);

test.skipIf(reason !== undefined)(
  "the first exec of a file that no package owns is an alert, as soon as the examiner has answered",
  async () => {
    const folder = newFolder();
    const stranger = join(scripts, "stranger");
    const isStranger = { "==": [{ var: "process.executable.path" }, stranger] };
    const rule = {
      id: "stranger",
      when: { and: [isStranger, { var: "process.executable.unpackaged" }] },
      action: "alert",
    };
    const policy = join(folder, "stranger.json");
    writeFileSync(policy, JSON.stringify({ role: "stranger", rules: [rule] }));
    await using running = await Running.start(["--policy", policy], {}, folder);
    copyFileSync("/bin/true", stranger);
    run(stranger);
    const verdict = await running.seen(
      (record) => record["event.name"] === "policy.verdict" && record["process.executable.path"] === stranger,
    );
    expect([verdict["policy.reason"], verdict["process.executable.unpackaged"]]).toEqual(["late", true]);
    // The answer is there by now.
    Bun.spawnSync([stranger, "again"]);
    const next = await running.seen(
      ({ "process.command_args": args, "event.name": name }) =>
        name === "policy.verdict" && Array.isArray(args) && args[1] === "again",
    );
    expect(next["policy.reason"]).toBeUndefined();
  },
  60_000,
);
