// What every live sensor must report, whatever its source: cases with real processes, which every implementation
// passes, among them that what its row in vocabulary/sensors.ts claims is true.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecEvent, ForkEvent, ProcessEvent, Sensor } from "../../src/sensor/event.ts";
import { type LiveSource, sensors } from "../../src/vocabulary/sensors.ts";
import { Held, Stage } from "../system/ebpf-watch.ts";
import { unknownVariables } from "./known-variables.ts";

const NOBODY = 65_534;
/** Far more than any sensor lets an event wait. */
const PATIENCE_MS = 2000;

/** `whyNot`: the reason why the cases cannot run here, undefined if they can. */
export function everySensor(source: LiveSource, open: () => Sensor, whyNot: string | undefined): void {
  if (whyNot !== undefined) console.log(`skipped: ${source}: ${whyNot}`);
  describe.skipIf(whyNot !== undefined)(`the sensor ${source}`, () => cases(source, open));
}

function cases(source: LiveSource, open: () => Sensor): void {
  const row = sensors[source];
  let stage: Stage;
  let sensor: Sensor;
  let events: ProcessEvent[] = [];

  beforeAll(() => {
    stage = new Stage();
    chmodSync(stage.folder, 0o755);
    sensor = open();
  });

  afterAll(() => {
    sensor[Symbol.dispose]();
    stage[Symbol.dispose]();
  });

  function drain(): readonly ProcessEvent[] {
    sensor.drain((event) => events.push(event));
    return events;
  }

  function of(pid: number): readonly ProcessEvent[] {
    return drain().filter((event) => event.kind !== "loss" && event.pid === pid);
  }

  const kinds = (pid: number): string[] =>
    of(pid)
      .map(({ kind }) => kind)
      .filter((kind) => kind !== "user");

  const execs = (pid: number): readonly ExecEvent[] => of(pid).filter((event) => event.kind === "exec");

  const children = (pid: number): readonly ForkEvent[] =>
    drain().filter((event): event is ForkEvent => event.kind === "fork" && event.parentPid === pid);

  /** Waits until the exit of `pid` was told: its parent may know before the sensor does. */
  async function ended(pid: number): Promise<number | undefined> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const exit = of(pid).find((event) => event.kind === "exit");
      if (exit?.kind === "exit") return exit.status;
      if (performance.now() > deadline) throw new Error(`no exit of ${pid}`);
      await Bun.sleep(1);
    }
  }

  /** Runs a command to its end and gives its pid; the events of earlier cases are forgotten. */
  async function run(...command: string[]): Promise<number> {
    drain();
    events = [];
    const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] });
    await child.exited;
    await ended(child.pid);
    return child.pid;
  }

  /** The facts of what ends up as `actor hold`, told while it runs. */
  async function held(command: string[], options: { cwd?: string } = {}) {
    drain();
    events = [];
    await using process = await Held.start(command, options);
    const exec = execs(process.pid).at(-1);
    if (exec === undefined) throw new Error("no exec told");
    return { pid: process.pid, facts: exec.facts };
  }

  function copied(...path: string[]): string {
    const copy = join(stage.folder, ...path);
    copyFileSync(stage.actor, copy);
    return copy;
  }

  describe("a life", () => {
    test("is a fork, an exec and an exit, in this order", async () => {
      const pid = await run(stage.actor, "exit", "0");
      expect(kinds(pid)).toEqual(["fork", "exec", "exit"]);
      const times = of(pid).map(({ time }) => time);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(children(process.pid).map((fork) => fork.pid)).toContain(pid);
    });

    test("ends with the status that wait(2) gives", async () => {
      expect(await ended(await run(stage.actor, "exit", "3"))).toBe(3 << 8);
      expect(((await ended(await run(stage.actor, "abort"))) ?? 0) & 0x7f).toBe(6);
    });

    test("without an exec is told too", async () => {
      const pid = await run("sh", "-c", "(exit 4); (exit 5); true");
      const [first, second] = children(pid);
      expect(kinds(first?.pid ?? 0)).toEqual(["fork", "exit"]);
      expect(await ended(second?.pid ?? 0)).toBe(5 << 8);
    });

    test("by vfork is told like any other", async () => {
      const pid = await run(stage.actor, "vfork", stage.actor, "exit", "4");
      const child = children(pid)[0]?.pid ?? 0;
      expect(await ended(child)).toBe(4 << 8);
      expect(kinds(child)).toEqual(["fork", "exec", "exit"]);
    });

    test("has one exec for each program, when it runs several", async () => {
      const pid = await run("sh", "-c", `exec env '${stage.actor}' exit 0`);
      expect(kinds(pid)).toEqual(["fork", "exec", "exec", "exec", "exit"]);
    });

    test("has no exec for an attempt that failed", async () => {
      const pid = await run("sh", "-c", "exec /nonexistent/program 2>/dev/null");
      expect(kinds(pid)).toEqual(["fork", "exec", "exit"]);
    });

    test("of an orphan belongs to who made it", async () => {
      const pid = await run("sh", "-c", `sh -c 'sleep 0.05; exit 6' & echo`);
      const orphan = children(pid)[0];
      expect(await ended(orphan?.pid ?? 0)).toBe(6 << 8);
      expect(children(1).map((fork) => fork.pid)).not.toContain(orphan?.pid);
    });

    test("is not begun or ended by a thread", async () => {
      const pid = await run(stage.actor, "threads", "20");
      expect(kinds(pid)).toEqual(["fork", "exec", "exit"]);
      expect(children(pid)).toEqual([]);
    });

    test("does not end with its first thread while others live", async () => {
      drain();
      events = [];
      const child = Bun.spawn([stage.actor, "leader-leaves"], { stdio: ["ignore", "ignore", "inherit"] });
      await child.exited;
      const status = await ended(child.pid);
      expect(kinds(child.pid)).toEqual(["fork", "exec", "exit"]);
      expect(status).toBe((child.exitCode ?? -1) << 8);
      const [, exec, exit] = of(child.pid);
      // The last thread leaves 30 ms after the first.
      expect((exit?.time ?? 0) - (exec?.time ?? 0)).toBeGreaterThan(25e6);
    });

    test("goes on under its pid when another thread runs a program", async () => {
      const pid = await run(stage.actor, "thread-exec", stage.actor, "exit", "2");
      expect(kinds(pid)).toEqual(["fork", "exec", "exec", "exit"]);
      expect(await ended(pid)).toBe(2 << 8);
    });

    test("with a pid that was used before is another life", async () => {
      const first = await run(stage.actor, "exit", "1");
      const earlier = of(first);
      for (let tries = 0; tries < 50; tries += 1) {
        writeFileSync("/proc/sys/kernel/ns_last_pid", String(first - 1));
        const second = await run(stage.actor, "exit", "2");
        if (second !== first) continue;
        expect(kinds(second)).toEqual(["fork", "exec", "exit"]);
        expect(await ended(second)).toBe(2 << 8);
        expect(of(second)[0]?.time).toBeGreaterThan(earlier[2]?.time ?? Number.POSITIVE_INFINITY);
        return;
      }
      throw new Error("the pid did not come back");
    });

    test("that changes its users says so before its next child", async () => {
      const pid = await run(stage.actor, "setuid-fork", String(NOBODY));
      const child = children(pid)[0];
      const told = drain();
      const user = told.findIndex((event) => event.kind === "user" && event.pid === pid);
      expect(told[user]).toMatchObject({ uid: NOBODY, realUid: 0 });
      expect(user).toBeLessThan(child === undefined ? -1 : told.indexOf(child));
    });
  });

  describe("a program", () => {
    test("has its path, arguments, folder, users and parent", async () => {
      const { facts } = await held([stage.actor, "hold"], { cwd: stage.folder });
      expect(facts).toMatchObject({
        executable: stage.actor,
        executableDeleted: false,
        executableMemfd: false,
        executableSetuid: false,
        args: [stage.actor, "hold"],
        argsTruncated: false,
        cwd: stage.folder,
        parentPid: process.pid,
        uid: 0,
        realUid: 0,
        gid: 0,
      });
      expect(facts.cgroup).toStartWith("/");
      expect(facts.executableAge).toBeLessThan(60);
    });

    test("begins at the tick /proc says, and its fork at most one off", async () => {
      drain();
      events = [];
      await using child = await Held.start([stage.actor, "hold"]);
      const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
      const ticks = Number(stat.slice(stat.lastIndexOf(")")).split(" ")[20]);
      const fork = of(child.pid)[0];
      expect(execs(child.pid).at(-1)?.facts.startTicks).toBe(ticks);
      expect(Math.abs((fork?.kind === "fork" ? fork.startTicks : 0) - ticks)).toBeLessThanOrEqual(1);
    });

    test("keeps blanks, newlines, quotes and emptiness of its arguments", async () => {
      const args = [stage.actor, "hold", "", " ", "line\nline", "(x) y", '"'];
      expect((await held(args)).facts.args).toEqual(args);
    });

    test("keeps bytes that are not UTF-8", async () => {
      const script = `cd '${stage.folder}' && cp actor "$(printf 'n\\377\\200')" && exec "./$(printf 'n\\377\\200')" hold "$(printf '\\376')"`;
      const { facts } = await held(["sh", "-c", script]);
      expect(facts.executable).toBe(`${stage.folder}/n\udcff\udc80`);
      expect(facts.args?.at(-1)).toBe("\udcfe");
    });

    test("with 1 MiB of arguments has the first 4 KiB of them, marked", async () => {
      const args = [stage.actor, "hold", ...new Array<string>(1024).fill("a".repeat(1023))];
      const { facts } = await held(args);
      expect(facts.argsTruncated).toBe(true);
      expect(facts.args?.join("\0")).toBe(args.join("\0").slice(0, 4096));
    });

    test("has its whole path, 3,000 bytes deep", async () => {
      const below = join(stage.folder, "deep");
      mkdirSync(below);
      const { facts } = await held([stage.actor, "deep", "300", "000000000", stage.actor, "hold"], {
        cwd: below,
      });
      expect(facts.executable).toBe(`${below}${"/000000000".repeat(300)}/deep`);
    });

    test("that is a script is its interpreter, with the arguments that the kernel made", async () => {
      const script = join(stage.folder, "script");
      writeFileSync(script, `#!${stage.actor} hold\n`);
      chmodSync(script, 0o755);
      const { facts } = await held([script, "one"]);
      expect(facts.executable).toBe(stage.actor);
      expect(facts.args).toEqual([stage.actor, "hold", script, "one"]);
      expect([script, undefined]).toContain(facts.script);
    });

    test("in memory is a memfd", async () => {
      const { facts } = await held([stage.actor, "memfd", "a /b", stage.actor, "hold"]);
      expect(facts).toMatchObject({
        executable: "memfd:a /b",
        executableMemfd: true,
        executableDeleted: false,
      });
    });

    test("that was removed has its last path", async () => {
      const path = copied("removed");
      const { facts } = await held([stage.actor, "removed", path, "hold"]);
      expect(facts).toMatchObject({ executable: path, executableDeleted: true, executableMemfd: false });
    });

    test("with its set-user-id bit has both users", async () => {
      const path = copied("setuid");
      chmodSync(path, 0o4755);
      const drop = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
      const { facts } = await held([...drop, path, "hold"]);
      expect(facts).toMatchObject({ executableSetuid: true, uid: 0, realUid: NOBODY, gid: NOBODY });
    });

    test("in a chroot has its path on the host", async () => {
      const root = join(stage.folder, "root");
      mkdirSync(root);
      copied("root", "inside");
      const { facts } = await held([stage.actor, "chroot", root, "/inside", "hold"]);
      expect(facts.executable).toBe(join(root, "inside"));
      expect(facts.cwd).toBe(root);
    });

    test("in a pid namespace has the host's pids", async () => {
      drain();
      events = [];
      await using outer = await Held.start([
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        stage.actor,
        "hold",
      ]);
      const inner = children(outer.pid)[0]?.pid ?? 0;
      const facts = execs(inner).at(-1)?.facts;
      expect(facts?.args).toEqual([stage.actor, "hold"]);
      expect(facts?.parentPid).toBe(outer.pid);
    });
  });

  describe("its row in the table of sensors", () => {
    test("names the source that its events bear", async () => {
      const pid = await run(stage.actor, "exit", "0");
      expect(sensor.source).toBe(source);
      expect(new Set(of(pid).map((event) => event.source))).toEqual(new Set([source]));
    });

    test("says whether forks and ends are reported", async () => {
      const reported = kinds(await run(stage.actor, "exit", "0"));
      expect({ forks: reported.includes("fork"), exits: reported.includes("exit") }).toEqual({
        forks: row.forks,
        exits: row.exits,
      });
    });

    test("says when a change of users is reported", async () => {
      const pid = await run("setpriv", `--reuid=${NOBODY}`, stage.actor, "exit", "0");
      const isAtOnce = of(pid).some((event) => event.kind === "user");
      expect(isAtOnce).toBe(row.userChanges === "at once");
    });

    test("says how surely arguments and scope are known; what is known is right", async () => {
      const known = { arguments: 0, scope: 0 };
      const lives = 50;
      for (let i = 0; i < lives; i += 1) {
        const exec = execs(await run(stage.actor, "exit", "0")).at(-1);
        const { executable, args, cgroup, tty } = exec?.facts ?? {};
        if (args !== undefined) expect(args).toEqual([stage.actor, "exit", "0"]);
        if (executable !== undefined) expect(executable).toBe(stage.actor);
        if (executable !== undefined && args !== undefined) known.arguments += 1;
        if (cgroup !== undefined && tty !== undefined) known.scope += 1;
      }
      for (const part of ["arguments", "scope"] as const) {
        if (row[part] === "always") expect(known[part]).toBe(lives);
        if (row[part] === "never") expect(known[part]).toBe(0);
      }
      const { facts } = await held([stage.actor, "hold"]);
      expect(facts.args !== undefined).toBe(row.arguments !== "never");
      expect(facts.cgroup !== undefined && facts.tty !== undefined).toBe(row.scope !== "never");
    });

    test("names every variable that it never knows, and no other", async () => {
      drain();
      events = [];
      await using process = await Held.start(["sh", "-c", `'${stage.actor}' hold; true`]);
      const held = children(process.pid)[0]?.pid ?? process.pid;
      drain();
      expect([...unknownVariables(events, held)].toSorted()).toEqual([...row.neverKnown].toSorted());
    });
  });
}
