import { afterAll, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RECORD_BYTES } from "../../src/sensor/acct/accounting-record.ts";
import { accountingOff, accountingOn } from "./accounting.ts";
import { until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const folder = mkdtempSync(join(tmpdir(), "treewarden-record-"));
afterAll(() => rmSync(folder, { recursive: true }));

const entry = join(import.meta.dir, "capture-commands.ts");
const policy = join(folder, "policy.json");
writeFileSync(
  policy,
  JSON.stringify({
    role: "trial",
    rules: [{ id: "everything-here", when: { tree: "/**/*recorded-*" }, action: "kill", severity: "high" }],
  }),
);

function start(...args: string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  return Bun.spawn([process.execPath, entry, ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly errors: string;
}

async function ended(running: Bun.Subprocess<"ignore", "pipe", "pipe">): Promise<Ended> {
  const [out, errors] = await Promise.all([
    new Response(running.stdout).text(),
    new Response(running.stderr).text(),
  ]);
  return { code: await running.exited, out, errors };
}

const run = (...args: string[]): Promise<Ended> => ended(start(...args));

/** A program of our own name, run `count` times by a shell of our own name. */
function load(shell: string, program: string, count: number): void {
  copyFileSync("/bin/bash", join(folder, shell));
  copyFileSync("/bin/true", join(folder, program));
  const script = `for i in $(seq ${count}); do ${join(folder, program)} --n "$i"; done; true`;
  Bun.spawnSync([join(folder, shell), "-c", script]);
}

/** Whether the recorder has begun: its capture has more than a start. */
const begun = (path: string) => (): boolean => {
  try {
    return statSync(path).size > 1024;
  } catch {
    return false;
  }
};

describe.skipIf(reason !== undefined)("record and replay", () => {
  const sources = ["ebpf", "netlink"];
  for (const source of sources) {
    test(`of a real run, by ${source}, give the same verdicts twice, byte for byte`, async () => {
      const capture = join(folder, `${source}.capture`);
      const recorder = start("record", "--out", capture, "--source", source);
      await until("recording", begun(capture));
      load("recorded-shell", "recorded-tool", 50);
      recorder.kill("SIGTERM");
      const recorded = await ended(recorder);
      expect(recorded.errors).toContain("complete");
      expect(recorded.code).toBe(0);
      expect(statSync(capture).mode & 0o777).toBe(0o600);

      const first = await run("replay", capture, "--policy", policy, "--output", "json");
      const second = await run("replay", capture, "--policy", policy, "--output", "json");
      expect(first.code).toBe(0);
      expect(second.out).toBe(first.out);
      const trees = first.out
        .split("\n")
        .filter((line) => line.includes("/recorded-shell/recorded-tool"))
        .map((line) => JSON.parse(line));
      // The proc connector may be too late for a program as short as this one; eBPF never is.
      expect(trees.length).toBeWithin(source === "ebpf" ? 50 : 25, 51);
      expect(trees[0]).toMatchObject({ "policy.outcome": "would_kill", "sensor.source": source });
    }, 30_000);
  }

  test("end by themselves after the time that was asked for", async () => {
    const capture = join(folder, "short.capture");
    const begin = performance.now();
    const recorded = await run("record", "--out", capture, "--for", "1s");
    expect(recorded.code).toBe(0);
    expect(performance.now() - begin).toBeWithin(1_000, 5_000);
    expect((await run("replay", capture, "--policy", policy)).code).toBe(0);
  }, 15_000);

  test("survive a recorder that was killed: what it had written is judged, and the cut is said", async () => {
    const capture = join(folder, "killed.capture");
    // Not by netlink: the kernel goes on counting a listener that was killed.
    const recorder = start("record", "--out", capture, "--source", "ebpf");
    await until("recording", begun(capture));
    load("recorded-shell", "recorded-tool", 20);
    await Bun.sleep(1_500);
    load("recorded-shell", "recorded-tool", 1);
    await Bun.sleep(100);
    recorder.kill("SIGKILL");
    await recorder.exited;
    const replayed = await run("replay", capture, "--policy", policy, "--output", "json");
    expect(replayed.errors).toMatch(/cut at byte \d+/);
    expect(replayed.out).toContain("recorded-shell");
    expect(replayed.code).toBe(0);
  }, 15_000);

  test("say what is wrong with a file that is no capture, or damaged, and where", async () => {
    const other = join(folder, "other");
    writeFileSync(other, "no capture at all");
    const refused = await run("replay", other, "--policy", policy);
    expect(refused).toMatchObject({ code: 2, out: "" });
    expect(refused.errors).toContain(`${other}: not a capture`);

    const capture = join(folder, "short.capture");
    const bytes = readFileSync(capture);
    bytes[bytes.length - 200] = (bytes[bytes.length - 200] ?? 0) ^ 1;
    const damaged = join(folder, "damaged");
    writeFileSync(damaged, bytes);
    const told = await run("replay", damaged, "--policy", policy);
    expect(told.code).toBe(2);
    expect(told.errors).toMatch(/damaged at byte \d+: a block's checksum is wrong/);
  }, 15_000);

  test("refuse wrong use before anything is made", async () => {
    const capture = join(folder, "never");
    expect((await run("record", "--out", capture, "--source", "acct")).code).toBe(2);
    expect((await run("record", "--out", join(folder, "short.capture"))).code).toBe(2);
    expect((await run("replay", join(folder, "missing"), "--policy", policy)).code).toBe(2);
    expect(() => statSync(capture)).toThrow();
  }, 15_000);
});

describe.skipIf(reason !== undefined)("process accounting by the kernel", () => {
  test("is recorded, and its trees have the names and parents that accounting knows", async () => {
    const file = join(folder, "pacct");
    writeFileSync(file, "", { mode: 0o600 });
    accountingOn(file);
    try {
      load("recorded-shell", "recorded-tool", 5);
    } finally {
      accountingOff();
    }
    expect(statSync(file).size % RECORD_BYTES).toBe(0);
    const capture = join(folder, "acct.capture");
    const recorded = await run("record", "--out", capture, "--source", "acct", "--file", file, "--for", "0s");
    expect(recorded.code).toBe(0);
    const replayed = await run("replay", capture, "--policy", policy, "--output", "json");
    const verdicts = replayed.out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const programs = verdicts.filter((verdict) =>
      String(verdict["tree.path"]).endsWith("/[recorded-shell]/[recorded-tool]"),
    );
    expect(programs.length).toBe(5);
    expect(programs[0]).toMatchObject({ "sensor.source": "acct", "tree.complete": false });
    expect(programs[0]["process.executable.path"]).toBeUndefined();
    expect(programs[0]["process.user.id"]).toBeUndefined();
    expect(programs[0]["process.real_user.id"]).toBe(0);
  }, 15_000);

  test("is followed while the kernel appends to it", async () => {
    const file = join(folder, "live");
    writeFileSync(file, "", { mode: 0o600 });
    const capture = join(folder, "live.capture");
    accountingOn(file);
    try {
      const recorder = start("record", "--out", capture, "--source", "acct", "--file", file);
      await until("recording", () => Bun.file(capture).size > 0);
      load("recorded-shell", "recorded-tool", 5);
      await Bun.sleep(300);
      recorder.kill("SIGINT");
      expect((await ended(recorder)).code).toBe(0);
    } finally {
      accountingOff();
    }
    const replayed = await run("replay", capture, "--policy", policy, "--output", "json");
    expect(replayed.out.split("/[recorded-shell]/[recorded-tool]").length).toBeGreaterThan(5);
    truncateSync(file);
  }, 15_000);
});
