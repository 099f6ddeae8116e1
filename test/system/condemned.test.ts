// What the kernel does with a condemned process, without any further act of user space: its children and what it executes
// end, or stand still, before their first instruction. Only programs of the test's own are condemned.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findUnifiedHierarchy } from "../../src/linux/cgroup-mount.ts";
import { readKernelLayout } from "../../src/sensor/ebpf/kernel.ts";
import { type EbpfSensor, openEbpfSensor } from "../../src/sensor/ebpf/sensor.ts";
import { FactsReader } from "../../src/sensor/procfs/facts-reader.ts";
import type { ProcessKey } from "../../src/vocabulary/process-key.ts";
import { whyNot } from "./ebpf-watch.ts";
import { compile, stat } from "./live.ts";
import { newFolder, until } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);
/** Linux 6.13 can signal a child before it runs; before that it is signalled at its exec. */
const signalsChildren = reason === undefined && readKernelLayout().signalTask !== undefined;
/** Where control groups of version 2 are mounted. */
const hierarchy = findUnifiedHierarchy()?.path ?? "";
/** A user that no other process runs as. */
const MALLORY = 64_106;
/** In each way, to continue a process or to get hold of it. */
const TRIES = 1_000;
/**
 * Where SIGCONT is not refused, there is this pause (us) after each of so many: one that comes while the stop after the one
 * before takes effect is lost.
 */
const PAUSED = { tries: 100, pause: 1_000 };

describe.skipIf(reason !== undefined)("a condemned process", () => {
  let folder = "";
  let children = "";
  let reach = "";
  let sensor: EbpfSensor;
  const reader = new FactsReader();

  beforeAll(() => {
    folder = newFolder();
    children = compile(folder, "children");
    reach = compile(folder, "reach");
    sensor = openEbpfSensor();
    sensor.carrySignals("both");
  });
  afterAll(() => {
    sensor[Symbol.dispose]();
    reader[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (...command: string[]) => {
    const child = Bun.spawn(command, { stdio: ["pipe", "pipe", "pipe"], cwd: folder });
    return Object.assign(child, { [Symbol.dispose]: () => child.kill("SIGKILL") });
  };
  type Started = ReturnType<typeof start>;

  /**
   * The program once it waits for its input. After vfork(2) a process is started before its exec has reached the programs
   * in the kernel, which would end it there.
   */
  const ready = async ({ pid }: Started, name = "children"): Promise<ProcessKey> => {
    const isReady = () => commOf(pid) === name && stat(pid)[0] === "S";
    await until(`${name} waits for its input`, isReady);
    return { pid, startTicks: reader.startTicks(pid) ?? 0, startExact: true };
  };

  const refusesSignals = () => sensor.programs().has("refuse_cont");
  const refusesTracers = () => sensor.programs().has("refuse_tracer");
  const staysStopped = () => sensor.programs().has("stay_stopped");

  const proceed = (child: Started): void => {
    child.stdin.write("\n");
    child.stdin.flush();
  };

  test.skipIf(!signalsChildren)("forks 1,000 children, and none of them runs", async () => {
    using child = start(children, "1000");
    sensor.condemned?.condemn(await ready(child), "SIGKILL");
    proceed(child);
    expect([await child.stdout.text(), await child.stderr.text()]).toEqual(["", "1000"]);
  });

  test("has 200 children execute a program, and no program runs", async () => {
    using child = start(children, "200", "/bin/echo");
    sensor.condemned?.condemn(await ready(child), "SIGKILL");
    proceed(child);
    expect([await child.stdout.text(), await child.stderr.text()]).toEqual(["", "200"]);
  });

  test("executes a program itself, which does not run", async () => {
    using child = start("bash", "-c", "read -r _; exec /bin/echo x");
    sensor.condemned?.condemn(await ready(child, "bash"), "SIGKILL");
    proceed(child);
    expect([await child.stdout.text(), (await child.exited) === 0, child.signalCode]).toEqual([
      "",
      false,
      "SIGKILL",
    ]);
  });

  test("that was pardoned starts programs as before", async () => {
    using child = start(children, "3");
    const key = await ready(child);
    sensor.condemned?.condemn(key, "SIGKILL");
    sensor.condemned?.pardon(key);
    proceed(child);
    expect([await child.stdout.text(), await child.stderr.text()]).toEqual(["xxx", "0"]);
  });

  test("is not the one that has its pid now", async () => {
    using child = start(children, "3");
    const key = await ready(child);
    sensor.condemned?.condemn({ ...key, startTicks: key.startTicks - 1 }, "SIGKILL");
    proceed(child);
    expect([await child.stdout.text(), await child.stderr.text()]).toEqual(["xxx", "0"]);
  });

  describe("that is to stand still", () => {
    /** Its input is there: it would write something and end. */
    let child: Started;
    let key: ProcessKey;
    let stopped = 0;
    let tried = 0;
    const asMallory = ["setpriv", `--reuid=${MALLORY}`, `--regid=${MALLORY}`, "--clear-groups"];
    /** How often it was refused. */
    const tryTo = (way: string, ...before: readonly string[]): number => {
      const { tries, pause } = refusesSignals() ? { tries: TRIES, pause: 0 } : PAUSED;
      tried += tries;
      const words = [String(stopped), way, String(tries), String(pause)];
      return Number(Bun.spawnSync([...before, reach, ...words]).stdout);
    };
    const standsStill = () => until("it stands still", () => /^[Tt]$/.test(stat(stopped)[0] ?? ""));

    beforeAll(async () => {
      // In a process group of its own.
      child = start("setsid", ...asMallory, children, "0");
      key = await ready(child);
      stopped = child.pid;
      sensor.condemned?.condemn(key, "SIGSTOP");
      process.kill(stopped, "SIGSTOP");
      await standsStill();
      proceed(child);
    });
    afterAll(() => child[Symbol.dispose]());

    test.each(["kill", "thread", "queue", "pidfd", "group"])(
      "is not continued by SIGCONT, neither by root nor by its user: %s",
      async (way) => {
        const before = tried;
        const refused = tryTo(way) + tryTo(way, ...asMallory);
        expect(refused).toBe(refusesSignals() ? tried - before : 0);
        await standsStill();
        expect(sensor.condemned?.continued(key)).toBeGreaterThanOrEqual(tried);
      },
    );

    test.each(["seize", "attach", "vm", "mem"])("is not within its user's reach: %s", (way) => {
      if (refusesTracers()) expect(tryTo(way, ...asMallory)).toBe(TRIES);
      else console.log("skipped: this kernel lets nobody replace one of its functions");
    });

    test("is within root's reach, for forensics", () => {
      expect([tryTo("vm"), tryTo("mem")]).toEqual([0, 0]);
    });

    test("is not continued by a tracer", async () => {
      if (!staysStopped()) return console.log("skipped: Linux 6.15");
      expect(tryTo("trace")).toBe(0);
      await standsStill();
    });

    test.skipIf(hierarchy === "")("stands still when its control group is frozen and thawed", async () => {
      const group = join(hierarchy, `tw-condemned-${process.pid}`);
      const before = readFileSync(`/proc/${stopped}/cgroup`, "latin1").split("0::")[1]?.trim() ?? "/";
      mkdirSync(group);
      try {
        writeFileSync(join(group, "cgroup.procs"), String(stopped));
        for (const state of ["1", "0"]) {
          writeFileSync(join(group, "cgroup.freeze"), state);
          await until("it is so", () =>
            readFileSync(join(group, "cgroup.events"), "latin1").includes(`frozen ${state}`),
          );
        }
        await standsStill();
      } finally {
        writeFileSync(join(hierarchy, before, "cgroup.procs"), String(stopped));
        rmdirSync(group);
      }
    });

    test("goes on as any other once it was pardoned", async () => {
      sensor.condemned?.pardon(key);
      process.kill(stopped, "SIGCONT");
      expect(await child.stderr.text()).toBe("0");
    });

    test("does not run when a timer of its own continues it, which nobody refuses", async () => {
      if (!signalsChildren) return console.log("skipped: Linux 6.13");
      using spinning = start(compile(folder, "restless"));
      const { pid } = spinning;
      await until("it runs", () => commOf(pid) === "restless" && Number(stat(pid)[11]) > 2);
      const restless = { pid, startTicks: reader.startTicks(pid) ?? 0, startExact: true };
      sensor.condemned?.condemn(restless, "SIGSTOP");
      process.kill(pid, "SIGSTOP");
      await Bun.sleep(20);
      const before = Number(stat(pid)[11]);
      await Bun.sleep(500);
      expect(Number(stat(pid)[11]) - before).toBeLessThan(staysStopped() ? 3 : 10);
    });
  });
});

/** Undefined if the process has ended. */
function commOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1").trim();
  } catch {
    return undefined;
  }
}
