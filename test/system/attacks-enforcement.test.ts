// The rails of enforcement on the real kernel, and what tries to outrun a kill. Only programs of the test's own names
// are ever forbidden.
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, pids } from "./live.ts";
import { isAlive, type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) Bun.spawnSync(["rm", "-rf", folder]);
});

/** A folder with a forbidden program and the policy that forbids it. */
function stage(maxPerMinute: number): {
  readonly folder: string;
  readonly victim: string;
  readonly flags: readonly string[];
} {
  const folder = newFolder();
  folders.push(folder);
  const victim = join(folder, "tw-victim-sleep");
  copyFileSync("/bin/sleep", victim);
  const rule = {
    id: "victims",
    when: { glob: [{ var: "process.executable.name" }, "tw-victim-*"] },
    action: "kill",
  };
  writeFileSync(
    join(folder, "victims.json"),
    JSON.stringify({ role: "victims", rules: [rule], default: "allow" }),
  );
  writeFileSync(
    join(folder, "config.yaml"),
    `armed: all\narmed_since_hours: 0\nkill:\n  max_per_minute: ${maxPerMinute}\n`,
  );
  const files = ["--config", join(folder, "config.yaml"), "--policy", join(folder, "victims.json")];
  return { folder, victim, flags: [...files, "--enforcement", "kill"] };
}

function start(command: readonly string[]): Bun.Subprocess<"pipe", "ignore", "ignore"> & Disposable {
  const child = Bun.spawn([...command], { stdio: ["pipe", "ignore", "ignore"] });
  return Object.assign(child, { [Symbol.dispose]: () => child.kill("SIGKILL") });
}

/** A shell that waits for a line, and then becomes what the line says. */
const waitingShell = ["bash", "-c", "read -r line; exec $line"];

function say(shell: Bun.Subprocess<"pipe", "ignore", "ignore">, line: string): void {
  shell.stdin.write(`${line}\n`);
  shell.stdin.flush();
}

const verdictOn =
  (pid: number) =>
  (record: JsonRecord): boolean =>
    record["event.name"] === "policy.verdict" && record["process.pid"] === pid;

/** Live processes that run `program`. */
function running(program: string): number[] {
  return pids().filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "latin1");
      return words.startsWith(`${program}\0`);
    } catch {
      return false;
    }
  });
}

describe.skipIf(reason !== undefined)("enforcement", () => {
  test("falls back to alerts when more offenders are killed in a minute than allowed, and says so", async () => {
    const { folder, victim, flags } = stage(2);
    const names = ["tw-victim-ant", "tw-victim-bee", "tw-victim-cat", "tw-victim-dog"];
    for (const name of names) copyFileSync(victim, join(folder, name));
    await using treewarden = await Running.start(flags, {}, folder);
    const victims: Bun.Subprocess[] = [];
    try {
      const outcomes: unknown[] = [];
      for (const name of names) {
        const one = start([join(folder, name), "20"]);
        victims.push(one);
        const verdict = await treewarden.seen(verdictOn(one.pid));
        outcomes.push(verdict["policy.outcome"], verdict["policy.reason"]);
      }
      expect(outcomes).toEqual([
        "killed",
        undefined,
        "killed",
        undefined,
        "withheld",
        "rate_limited",
        "withheld",
        "rate_limited",
      ]);
      await until("two are dead", () => victims.slice(0, 2).every((one) => one.signalCode === "SIGKILL"));
      expect(victims.slice(2).map((one) => isAlive(one.pid))).toEqual([true, true]);
      await treewarden.seen((one) => one["event.name"] === "enforcement.limited");
      expect(treewarden.records.filter((one) => one["event.name"] === "enforcement.limited").length).toBe(1);
      const metrics = await treewarden.metrics();
      const count = (outcome: string) =>
        metrics.value("treewarden_verdicts_total", { rule: "victims", outcome });
      expect([count("killed"), count("withheld")]).toEqual([2, 2]);
    } finally {
      for (const one of victims) one.kill("SIGKILL");
    }
  }, 30_000);

  test("spares what ran before the first start in this boot, and neither what that executes nor what started later", async () => {
    const { folder, victim, flags } = stage(10);
    using old = start([victim, "20"]);
    using first = start(waitingShell);
    using second = start(waitingShell);
    // A process may start a tick later than its fork is told.
    await Bun.sleep(100);
    using between = await (async () => {
      const treewarden = await Running.start(flags, {}, folder);
      try {
        const spared = await treewarden.seen(verdictOn(old.pid));
        expect([spared["policy.outcome"], spared["policy.reason"]]).toEqual(["withheld", "preexisting"]);
        say(first, `${victim} 20`);
        expect((await treewarden.seen(verdictOn(first.pid)))["policy.outcome"]).toBe("killed");
      } finally {
        await treewarden.stop();
      }
      return start(waitingShell);
    })();
    using forbidden = start([victim, "20"]);
    await Bun.sleep(100);
    await using treewarden = await Running.start(flags, {}, folder);
    say(second, `${victim} 20`);
    expect((await treewarden.seen(verdictOn(second.pid)))["policy.outcome"]).toBe("killed");
    say(between, `${victim} 20`);
    expect((await treewarden.seen(verdictOn(between.pid)))["policy.outcome"]).toBe("killed");
    // What runs already is judged when it is found.
    expect((await treewarden.seen(verdictOn(forbidden.pid)))["policy.outcome"]).toBe("killed");
    await until("they are dead", () =>
      [first, second, between, forbidden].every(({ signalCode }) => signalCode === "SIGKILL"),
    );
    expect(isAlive(old.pid)).toBe(true);
  }, 40_000);

  const broods = [
    { mode: "wide", count: 400 },
    { mode: "deep", count: 400 },
    { mode: "fleeing", count: 10_000 },
  ] as const;
  /** One that got away has come to its end by then, and waits there. */
  const fledAfterMs = 3_000;

  /** A shell that becomes the forbidden program while its child forks as fast as it can. */
  const forking = (brood: string, mode: string, count: number, victim: string) =>
    start(["bash", "-c", `${brood} ${mode} ${count} & sleep 0.01; exec ${victim} 20`]);

  test("is what ends a tree that goes on forking: without it the test's own programs get away", async () => {
    const { folder, victim } = stage(10);
    const brood = compile(folder, "brood");
    for (const { mode, count } of broods) {
      using _ = forking(brood, mode, count, victim);
      await Bun.sleep(mode === "fleeing" ? fledAfterMs : 1_000);
      // On a busy machine both the flight and the forks take longer.
      const isDone = (): boolean =>
        mode === "fleeing" ? running(brood).length === 1 : running(brood).length > count / 2;
      await until("it has got away", isDone, 30_000);
      const left = running(brood);
      for (const pid of left) process.kill(pid, "SIGKILL");
      if (mode === "fleeing") expect(left.length).toBe(1);
      else expect(left.length).toBeGreaterThan(count / 2);
    }
  }, 120_000);

  for (const source of ["netlink", "ebpf"]) {
    for (const { mode, count } of broods) {
      test(`leaves nothing of a tree that goes on forking, ${mode}, while it is killed (${source})`, async () => {
        const { folder, victim, flags } = stage(10);
        const brood = compile(folder, "brood");
        await using treewarden = await Running.start([...flags, "--source", source], {}, folder);
        using shell = forking(brood, mode, count, victim);
        try {
          const verdict = await treewarden.seen(verdictOn(shell.pid));
          expect(verdict["policy.outcome"]).toBe("killed");
          const begin = performance.now();
          await until("none is left", () => running(brood).length === 0, 5_000);
          console.log(`${source}, ${mode}: none left after ${(performance.now() - begin).toFixed(0)} ms`);
          await Bun.sleep(mode === "fleeing" ? fledAfterMs : 300);
          expect(running(brood)).toEqual([]);
        } finally {
          for (const pid of running(brood)) process.kill(pid, "SIGKILL");
        }
      }, 30_000);
    }
  }
});
