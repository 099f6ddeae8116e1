// Under `prevent` nothing waits for treewarden, and nothing opens while its processes are held up: stopped, killed, or
// spinning. An exploit dies before its first instruction all the time, what a service may start starts as fast as ever, and
// the warden that takes over goes on. One way is tried by default; TW_HELD_UP=all tries them all.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, endOf, pidOf } from "./live.ts";
import { compileProgram, Service, untilSettled } from "./prevention-service.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** A user that no other process runs as. */
const TEST_USER = 61_023;
/** A folder of root's alone, as those of packages are. */
const installed = "/usr/local/lib/tw-held-up";
const service = join(installed, "tw-heldd");
const helper = join(installed, "tw-helper");
const exploit = join(installed, "tw-exploit");
/**
 * When an exploit is tried after treewarden was held up, s. It takes up to 10 s to replace a warden that hangs, and the next
 * one up to 2 s to identify the files that may run.
 */
const TRIED_AFTER = [1, 5, 12];
/** Starts of a program for a figure. */
const STARTS = 300;

const policy = {
  role: "held",
  rules: [
    {
      id: "only-its-helper",
      when: { and: [{ "==": [{ var: "process.user.id" }, TEST_USER] }, { under: ["tw-heldd"] }] },
      except: [{ "==": [{ var: "process.executable.path" }, helper] }],
      action: "kill",
    },
  ],
  default: "allow",
};

describe.skipIf(reason !== undefined)("a service is held to what it may start while", () => {
  let folder = "";
  let running: Running;
  let shop: Service;
  let spin = "";

  beforeAll(async () => {
    folder = newFolder();
    mkdirSync(installed, { mode: 0o755 });
    compileProgram("prevention-service", service);
    for (const each of [helper, exploit]) compileProgram("prevention-program", each, "-nostdlib", "-static");
    spin = compile(folder, "spin");
    const file = join(folder, "held.json");
    writeFileSync(file, JSON.stringify(policy), { mode: 0o644 });
    running = await Running.start(["--policy", file, "--enforcement", "prevent"]);
    // Files are identified once the service is there.
    await untilSettled(exploit);
    shop = new Service(service, TEST_USER, folder);
    await until("the service is closed", async () => {
      await shop.run(exploit);
      return prevented() > 0;
    });
    await until("it may start its helper", async () => (await shop.run(helper)).end === "exit 0");
  }, 60_000);

  afterAll(async () => {
    await shop?.[Symbol.asyncDispose]();
    if (running !== undefined) {
      await using _ = endOf(running);
    }
    await running?.[Symbol.asyncDispose]();
    for (const each of [installed, folder]) rmSync(each, { recursive: true, force: true });
  }, 20_000);

  const prevented = () => running.records.filter((record) => record["policy.outcome"] === "prevented").length;
  /** How long it takes to start what may be started and to read of its end, in us. */
  const startTimes = async (): Promise<{ readonly median: number; readonly p99: number }> => {
    const times: number[] = [];
    for (let i = 0; i < STARTS; i += 1) {
      const start = performance.now();
      const { end } = await shop.run(helper);
      times.push(Math.round((performance.now() - start) * 1e3));
      if (end !== "exit 0") throw new Error(`start ${i}: ${end}`);
    }
    times.sort((a, b) => a - b);
    return { median: times[STARTS / 2] ?? 0, p99: times[Math.floor(STARTS * 0.99)] ?? 0 };
  };
  const signal = (name: NodeJS.Signals, ...roles: readonly ("supervisor" | "warden")[]) => {
    for (const role of roles) process.kill(pidOf(running, role), name);
  };

  const ways: readonly (readonly [string, () => unknown])[] = [
    ["the warden is stopped", () => signal("SIGSTOP", "warden")],
    ["the warden is killed", () => signal("SIGKILL", "warden")],
    [
      "the warden spins",
      () => expect(Bun.spawnSync([spin, String(pidOf(running, "warden"))]).exitCode).toBe(0),
    ],
    ["the supervisor is killed", () => signal("SIGKILL", "supervisor")],
    ["supervisor and warden are killed", () => signal("SIGKILL", "supervisor", "warden")],
    // Nobody replaces it, and nothing depends on it meanwhile.
    ["the supervisor is stopped", () => signal("SIGSTOP", "supervisor")],
  ];

  test.each(process.env.TW_HELD_UP === "all" ? ways : ways.slice(0, 1))(
    "%s",
    async (_, holdUp) => {
      const before = await startTimes();
      const began = performance.now();
      holdUp();
      const ends: string[] = [];
      let during = before;
      for (const seconds of TRIED_AFTER) {
        await Bun.sleep(began + seconds * 1e3 - performance.now());
        const { end, bytes } = await shop.run(exploit);
        ends.push(`${end}, ${bytes} bytes`);
        if (seconds === 1) during = await startTimes();
      }
      console.log(
        `a start took ${before.median} us (p99 ${before.p99}) before and ${during.median} us (p99 ${during.p99}) meanwhile`,
      );
      signal("SIGCONT", "supervisor");
      expect(ends).toEqual(TRIED_AFTER.map(() => "signal 9, 0 bytes"));
      expect(during.median).toBeLessThan(3 * before.median + 500);
      // What was prevented while no warden read is reported by the next one, and so is what comes now.
      const soFar = prevented();
      await shop.run(exploit);
      await until("the warden that took over reports it", () => prevented() > soFar, 20_000);
      expect((await running.metrics()).sum("treewarden_prevent_mismatches_total")).toBe(0);
    },
    60_000,
  );
});
