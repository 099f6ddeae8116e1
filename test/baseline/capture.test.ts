import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CaptureFile } from "../../src/sensor/capture/capture-file.ts";
import { CaptureWriter } from "../../src/sensor/capture/capture-writer.ts";
import type { CaptureHeader } from "../../src/sensor/capture/header.ts";
import type { ProcessFacts } from "../../src/sensor/event.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { header as anyHeader } from "../sensor/capture-arbitrary.ts";

const START = Date.UTC(2026, 0, 31, 12);
const header: CaptureHeader = {
  ...anyHeader,
  hostName: "web1",
  bootTimeMs: START,
  wallOffset: START * 1e6,
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "baseline-capture-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: readonly string[]): {
  readonly code: number;
  readonly out: string;
  readonly err: string;
} {
  const all = [
    process.execPath,
    join(import.meta.dir, "command.ts"),
    "baseline",
    ...args,
    "--state-dir",
    folder,
  ];
  const { exitCode, stdout, stderr } = Bun.spawnSync(all, { env: {} });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

function facts(executable: string, args: readonly string[], startTicks: number): ProcessFacts {
  const known = { ...factsFromEvents(nothingKnown), uid: 0, realUid: 0, gid: 0, startTicks };
  const cgroup = "/system.slice/cron.service";
  return { ...known, executable, args, cgroup, cwd: "/", executableDeleted: false, executableMemfd: false };
}

/** cron was there; each command is a child of it that runs a shell, and the shell the command. */
function capture(name: string, ...commands: readonly string[]): string {
  const path = join(folder, name);
  rmSync(path, { force: true });
  using file = new CaptureFile(path);
  const writer = new CaptureWriter(
    (frame) => file.write(frame),
    header,
    () => "root",
  );
  writer.scan(
    [
      {
        pid: 1,
        kernelThread: false,
        facts: { ...facts("/usr/lib/systemd/systemd", ["/sbin/init"], 1), cgroup: "/init.scope" },
      },
      { pid: 500, kernelThread: false, facts: { ...facts("/usr/sbin/cron", ["cron"], 100), parentPid: 1 } },
    ],
    2e9,
  );
  commands.forEach((command, i) => {
    const pid = 600 + i;
    const time = (10 + i) * 1e9;
    const startTicks = time / 1e7;
    const at = { source: "ebpf", pid } as const;
    writer.event({ kind: "fork", ...at, time, parentPid: 500, startTicks, startExact: true });
    writer.event({
      kind: "exec",
      ...at,
      time: time + 1e6,
      facts: facts("/usr/bin/dash", ["sh", "-c", command], startTicks),
    });
    writer.event({
      kind: "exec",
      ...at,
      time: time + 2e6,
      facts: facts(command, [command, "--password", "s3cret"], startTicks),
    });
    writer.event({ kind: "exit", ...at, time: time + 3e6, status: 3 << 8 });
  });
  writer.end();
  return path;
}

test("the baseline of a capture knows the capture, and names what another one has more", () => {
  const monday = capture("monday", "/usr/sbin/logrotate", "/usr/bin/backup");
  const tuesday = capture("tuesday", "/usr/bin/backup", "/usr/bin/nc");
  const file = join(folder, "known");
  expect(run("export", "--capture", monday, "--out", file)).toMatchObject({ code: 0, err: "" });
  expect(run("compare", "--capture", monday, "--baseline", file)).toMatchObject({ code: 0 });
  const { code, out } = run("compare", "--capture", tuesday, "--baseline", file, "--output", "pretty");
  expect([code, out]).toEqual([
    1,
    "/cron/nc  /usr/bin/nc  in cron.service  (incomplete, from its main program)\n",
  ]);
});

test("a baseline holds no secret of the arguments it was made from", () => {
  const { out } = run("export", "--capture", capture("secret", "/usr/bin/backup"));
  expect(out).toContain("host web1\n");
  expect(out).toContain("/usr/bin/backup --password");
  expect(out).not.toContain("s3cret");
});

test("for-rest's lines of a capture are its reference, and compare tells new ones", () => {
  const monday = capture("monday", "/usr/bin/backup");
  const reference = run("export", "--capture", monday, "--format", "forrest").out;
  expect(reference.split("\n")).toEqual([
    "systemd/cron:eXec ,0,0,0000/backup:eXec dash,0,0,0000",
    "systemd/cron:eXec ,0,0,0000/backup:end,0,0,0300",
    "systemd/cron:eXec ,0,0,0000/dash:Fork cron,0,0,0000",
    "systemd/cron:eXec ,0,0,0000/dash:eXec cron,0,0,0000",
    "",
  ]);
  const file = join(folder, "monday.ref");
  writeFileSync(file, reference);
  const again = (name: string) =>
    run("compare", "--capture", name, "--baseline", file, "--format", "forrest");
  expect(again(monday)).toMatchObject({ code: 0, out: "" });
  expect(again(capture("tuesday", "/usr/bin/backup", "/usr/bin/nc"))).toMatchObject({
    code: 1,
    out: "systemd/cron:eXec ,0,0,0000/nc:eXec dash,0,0,0000\nsystemd/cron:eXec ,0,0,0000/nc:end,0,0,0300\n",
  });
});

test("a capture that was cut is read as far as it is whole; one that is none is refused", () => {
  const whole = readFileSync(capture("whole", "/usr/bin/backup"));
  const path = join(folder, "cut");
  writeFileSync(path, whole.subarray(0, whole.length - 3));
  expect(run("export", "--capture", path)).toMatchObject({
    code: 0,
    err: expect.stringContaining("cut at byte"),
  });
  writeFileSync(path, "no capture");
  expect(run("export", "--capture", path)).toMatchObject({
    code: 2,
    err: expect.stringContaining("not a capture"),
  });
});

test("replay --summary counts by rule, unit and tree, with an exit code for CI", () => {
  const policy = join(folder, "jobs.json");
  const when = { "==": [{ var: "process.executable.name" }, "nc"] };
  writeFileSync(policy, JSON.stringify({ role: "jobs", rules: [{ id: "nc", when, action: "kill" }] }));
  const replay = (file: string, ...args: readonly string[]) => {
    const main = join(import.meta.dir, "../../src/main.ts");
    const words = [process.execPath, main, "replay", file, "--policy", policy, "--summary", ...args];
    const { exitCode, stdout } = Bun.spawnSync(words, { env: {} });
    return { code: exitCode, out: stdout.toString() };
  };
  const calls = capture("calls", "/usr/bin/nc", "/usr/bin/backup", "/usr/bin/nc");
  const { code, out } = replay(calls);
  expect(out).toMatch(/^ACTION .*\nkill +medium +jobs\/nc +2 +0 +none +cron\.service +\/cron\/nc\n$/);
  expect(code).toBe(1);
  expect(replay(calls, "--output", "json").out).toContain('"policy.count":2');
  expect(replay(capture("quiet", "/usr/bin/backup"))).toEqual({ code: 0, out: "" });
});
