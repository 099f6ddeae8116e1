// Births, ends and changes as the eBPF sensor tells them: which, in what order, how often.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ForkEvent } from "../../src/sensor/event.ts";
import { FactsReader } from "../../src/sensor/facts.ts";
import { Held, Stage, Watch, whyNot } from "./ebpf-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

describe.skipIf(reason !== undefined)("the life of a process", () => {
  let stage: Stage;
  let watch: Watch;

  beforeAll(() => {
    stage = new Stage();
    watch = new Watch();
  });

  afterAll(() => {
    watch[Symbol.dispose]();
    stage[Symbol.dispose]();
  });

  const children = (pid: number): readonly ForkEvent[] =>
    watch.drain().filter((event): event is ForkEvent => event.kind === "fork" && event.parentPid === pid);

  function status(pid: number): number | undefined {
    const end = watch.of(pid).at(-1);
    return end?.kind === "exit" ? end.status : undefined;
  }

  test("is a fork, an exec and an exit, in this order and in time", () => {
    const before = watch.drain().length;
    const { pid } = watch.run([stage.actor, "exit", "0"]);
    const events = watch.of(pid);
    expect(events.map(({ kind }) => kind)).toEqual(["fork", "exec", "exit"]);
    expect(events.map(({ time }) => time)).toEqual(events.map(({ time }) => time).toSorted((a, b) => a - b));
    expect(children(process.pid).map((fork) => fork.pid)).toContain(pid);
    expect(watch.events.length).toBeGreaterThan(before);
  });

  test("begins at the same tick in its fork, its exec and /proc", async () => {
    using reader = new FactsReader();
    await using held = await Held.start([stage.actor, "hold"]);
    const [fork] = watch.of(held.pid);
    const known = reader.read(held.pid);
    expect(fork?.kind === "fork" && fork.startTicks).toBe(known.startTicks ?? 0);
    expect(watch.exec(held.pid).facts.startTicks).toBe(known.startTicks ?? 0);
  });

  describe("ends with the status that wait(2) gives", () => {
    test("an exit code", () => expect(status(watch.run([stage.actor, "exit", "3"]).pid)).toBe(3 << 8));

    test("a signal that dumps core", () => {
      expect((status(watch.run([stage.actor, "abort"]).pid) ?? 0) & 0x7f).toBe(6);
    });

    test("a signal from outside", async () => {
      const child = Bun.spawn([stage.actor, "hold"], { stdin: "pipe", stdout: "ignore" });
      child.kill("SIGKILL");
      await child.exited;
      expect(status(child.pid)).toBe(9);
    });

    test("what it is for a process whose threads leave one by one, the leader first", () => {
      const { pid, exitCode } = watch.run([stage.actor, "leader-leaves"]);
      expect(watch.kinds(pid)).toEqual(["fork", "exec", "exit"]);
      // The leader's 5, or since Linux 6.0 the 7 of the last.
      expect([5, 7]).toContain(exitCode);
      expect(status(pid)).toBe(exitCode << 8);
    });
  });

  test("is not begun or ended by a thread", () => {
    const { pid } = watch.run([stage.actor, "threads", "20"]);
    expect(watch.kinds(pid)).toEqual(["fork", "exec", "exit"]);
    expect(children(pid)).toEqual([]);
  });

  test("goes on under its pid when another thread than the first runs a program", () => {
    const { pid } = watch.run([stage.actor, "thread-exec", stage.actor, "exit", "0"]);
    expect(watch.kinds(pid)).toEqual(["fork", "exec", "exec", "exit"]);
    expect(watch.exec(pid).facts.args).toEqual([stage.actor, "exit", "0"]);
  });

  test("has one exec for each program, when it runs several", () => {
    const { pid } = watch.run(["sh", "-c", `exec env '${stage.actor}' exit 0`]);
    expect(watch.execs(pid).map(({ facts }) => facts.executable?.split("/").at(-1))).toEqual([
      "dash",
      "env",
      "actor",
    ]);
  });

  test("by vfork is told like any other", () => {
    const { pid } = watch.run([stage.actor, "vfork", stage.actor, "exit", "4"]);
    const [child] = children(pid);
    expect(watch.kinds(child?.pid ?? 0)).toEqual(["fork", "exec", "exit"]);
    expect(status(child?.pid ?? 0)).toBe(4 << 8);
  });

  test("belongs to who made it, whoever is its parent later", () => {
    const { pid } = watch.run(["sh", "-c", `'${stage.actor}' clone-parent; true`]);
    const maker = children(pid)[0]?.pid ?? 0;
    expect(children(maker).length).toBe(1);
  });

  test("as another user without an exec is told before the next child", () => {
    const { pid } = watch.run([stage.actor, "setuid-fork", "65534"]);
    const [child] = children(pid);
    const events = watch.of(pid);
    expect(events.map(({ kind }) => kind)).toEqual(["fork", "exec", "user", "exit"]);
    expect(events[2]).toMatchObject({ uid: 65_534, realUid: 0 });
    const order = watch.drain().filter((event) => event === events[2] || event === child);
    expect(order.map(({ kind }) => kind)).toEqual(["user", "fork"]);
  });

  test("that was only attempted is no exec", () => {
    const { pid } = watch.run(["sh", "-c", "exec /nonexistent/program 2>/dev/null"]);
    expect(watch.kinds(pid)).toEqual(["fork", "exec", "exit"]);
  });

  test("2,000 short lives, four at a time: each is told once, whole, and none is lost", async () => {
    const loop = `i=0; while [ $i -lt 500 ]; do '${stage.actor}' exit $i "$0"; i=$((i+1)); done`;
    const marks = ["w", "x", "y", "z"];
    await Promise.all(marks.map((mark) => Bun.spawn(["sh", "-c", loop, mark]).exited));
    const told = new Map<string, number>();
    for (const event of watch.drain()) {
      expect(event.kind).not.toBe("loss");
      if (event.kind !== "exec" || event.facts.args?.length !== 4) continue;
      if (event.facts.executable !== stage.actor) continue;
      const key = event.facts.args.slice(2).join(" ");
      told.set(key, (told.get(key) ?? 0) + 1);
    }
    expect(told.size).toBe(2000);
    for (const mark of marks) for (let i = 0; i < 500; i += 1) expect(told.get(`${i} ${mark}`)).toBe(1);
  }, 60_000);
});

describe.skipIf(reason !== undefined)("what the ring cannot take", () => {
  test("is counted to the last event, told once, and followed by what comes next", () => {
    using stage = new Stage();
    // One page: some ten processes.
    using watch = new Watch({ bufferBytes: 4096 });
    watch.drain();
    const before = watch.events.length;
    const made = Bun.spawnSync([
      "sh",
      "-c",
      `i=0; while [ $i -lt 100 ]; do '${stage.actor}' exit 0; i=$((i+1)); done`,
    ]);
    const events = watch.drain().slice(before);
    const losses = events.filter((event) => event.kind === "loss");
    expect(losses.length).toBe(1);
    expect(losses[0]).toMatchObject({ source: "ebpf", reason: "overrun" });
    const kept = events.filter(({ kind }) => kind === "fork" || kind === "exec" || kind === "exit").length;
    // 101 processes of three events each; other programs of this machine may add to it.
    expect(kept + (losses[0]?.kind === "loss" ? (losses[0].count ?? 0) : 0)).toBeGreaterThanOrEqual(303);
    const { pid } = watch.run([stage.actor, "exit", "0"]);
    expect(watch.kinds(pid)).toEqual(["fork", "exec", "exit"]);
    expect(made.exitCode).toBe(0);
    expect(watch.drain().filter((event) => event.kind === "loss").length).toBe(1);
  });
});
