// The examiner in a whole run: what it finds out reaches verdicts, and nothing waits for it.
import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);
const noDatabase = Bun.which("dpkg-query") === null;
if (noDatabase) console.log("skipped: these tests need dpkg's database");

const stranger = "/usr/bin/tw-test-unpackaged";
/** Not the database's, but in its folder. */
const besidePackages = "/var/lib/dpkg/tw-test-examiner";
const policy = {
  role: "examiner-test",
  rules: [
    {
      id: "nobody-owns-it",
      when: {
        and: [
          { var: "process.executable.unpackaged" },
          { starts_with: [{ var: "process.executable.name" }, "tw-test-"] },
        ],
      },
      action: "alert",
      severity: "high",
    },
    {
      id: "as-it-should-be",
      when: {
        and: [
          { "===": [{ var: "process.executable.modified" }, false] },
          { in: ["tw-test-argument", { var: "process.command_args" }] },
        ],
      },
      action: "alert",
      severity: "low",
    },
  ],
  default: "allow",
};

afterEach(() => rmSync(stranger, { force: true }));

async function start(): Promise<Running> {
  const folder = newFolder();
  writeFileSync(`${folder}/policy.json`, JSON.stringify(policy));
  return await Running.start(["--policy", `${folder}/policy.json`], {}, folder);
}

/** The examiner of that run, once it is there. */
async function examinerOf(running: Running): Promise<number> {
  let found: number | undefined;
  await until("an examiner", () => {
    found = children(running.pid).find((pid) => words(pid)[1] === "examiner");
    return found !== undefined;
  });
  return found ?? 0;
}

function children(of: number): readonly number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => parentOf(pid) === of);
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

function words(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

function isVerdict(rule: string): (record: JsonRecord) => boolean {
  return (record) => record["event.name"] === "policy.verdict" && record["security_rule.name"] === rule;
}

/** Runs a file that no package owns again and again, until a verdict tells of it. */
async function verdictOnStranger(running: Running): Promise<JsonRecord> {
  copyFileSync("/bin/true", stranger);
  await until(
    "a verdict",
    () => {
      Bun.spawnSync([stranger]);
      return running.records.some(isVerdict("nobody-owns-it"));
    },
    15_000,
  );
  return await running.seen(isVerdict("nobody-owns-it"));
}

describe.skipIf(reason !== undefined || noDatabase)("the examiner", () => {
  test("tells of a file in /usr/bin that no package owns, from the second exec on", async () => {
    await using running = await start();
    await examinerOf(running);
    const verdict = await verdictOnStranger(running);
    expect(verdict["process.executable.package"]).toBeNull();
    expect(verdict["process.executable.unpackaged"]).toBe(true);
    const first = running.records.find(
      (record) => record["event.name"] === "tree.new" && record["process.executable.path"] === stranger,
    );
    expect(first).toBeDefined();
    expect(first).not.toHaveProperty("process.executable.unpackaged");
  }, 30_000);

  test("has looked at the base system's programs before they run", async () => {
    await using running = await start();
    await examinerOf(running);
    await until(
      "a verdict",
      () => {
        Bun.spawnSync(["/usr/bin/factor", "tw-test-argument"]);
        return running.records.some(isVerdict("as-it-should-be"));
      },
      15_000,
    );
    const verdict = await running.seen(isVerdict("as-it-should-be"));
    expect(verdict["process.executable.package"]).toBe("coreutils");
    expect(verdict["process.executable.unpackaged"]).toBe(false);
  }, 30_000);

  test("stands back: last in line for the CPU, and nothing on the network", async () => {
    await using running = await start();
    const examiner = await examinerOf(running);
    await until("its place", () => getPriority(examiner) === 19);
    const sockets = readdirSync(`/proc/${examiner}/fd`).filter((fd) => {
      try {
        return Number(fd) > 2 && statSync(`/proc/${examiner}/fd/${fd}`).isSocket();
      } catch {
        return false;
      }
    });
    // The warden's questions and the supervisor's orders.
    expect(sockets).toEqual(["3", "4"]);
  }, 30_000);

  test("stopped, nobody waits for it; going on, it answers", async () => {
    await using running = await start();
    const examiner = await examinerOf(running);
    process.kill(examiner, "SIGSTOP");
    copyFileSync("/bin/true", stranger);
    for (let i = 0; i < 20; i++) Bun.spawnSync([stranger]);
    const isTold = (record: JsonRecord) =>
      record["event.name"] === "tree.new" && record["process.executable.path"] === stranger;
    await running.seen(isTold, 2_000);
    expect((await running.health()).status).toBe(200);
    expect(running.records.some(isVerdict("nobody-owns-it"))).toBe(false);
    process.kill(examiner, "SIGCONT");
    await verdictOnStranger(running);
  }, 30_000);

  test("killed, another one takes its place, and the warden stays the same", async () => {
    await using running = await start();
    const examiner = await examinerOf(running);
    const warden = children(running.pid).find((pid) => words(pid)[1] === "warden");
    process.kill(examiner, "SIGKILL");
    await until("another examiner", async () => (await examinerOf(running)) !== examiner);
    await verdictOnStranger(running);
    expect(children(running.pid).find((pid) => words(pid)[1] === "warden")).toBe(warden);
  }, 30_000);

  test("with nobody to ask it, it ends; a question or a change of packages wakes another, and nobody is told", async () => {
    await using running = await start();
    const isThere = () => children(running.pid).some((pid) => words(pid)[1] === "examiner");
    const others = () => children(running.pid).filter((pid) => words(pid)[1] !== "examiner");
    await examinerOf(running);
    // With the last of them, the standby.
    await until("all of them", () => others().length === 3);
    const before = others();
    await until("its end", () => !isThere(), 40_000);
    await verdictOnStranger(running);
    await until("its end again", () => !isThere(), 20_000);
    try {
      writeFileSync(besidePackages, "x");
      await until("another one", isThere);
    } finally {
      rmSync(besidePackages, { force: true });
    }
    // One that is being started is not an examiner yet.
    await until("nobody else", () => `${others()}` === `${before}`);
    expect(running.stderr).not.toContain("examiner");
  }, 90_000);

  test("stopped, it does not keep the run from ending", async () => {
    await using running = await start();
    process.kill(await examinerOf(running), "SIGSTOP");
    const begin = performance.now();
    expect(await running.stop()).toBe(0);
    expect(performance.now() - begin).toBeLessThan(2_000);
  }, 30_000);
});
