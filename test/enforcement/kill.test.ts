import { describe, expect, test } from "bun:test";
import { ProcessKiller, type ProcessSignals } from "../../src/enforcement/kill.ts";
import { KillBudget } from "../../src/enforcement/kill-budget.ts";
import type { ProcessKey } from "../../src/vocabulary/process-key.ts";
import { smallHost, type World } from "../forest/world.ts";

/** A kernel that only records which processes it was asked to kill. */
class Written implements ProcessSignals {
  readonly killed: number[] = [];
  /** pid to start ticks where /proc differs from the forest. */
  readonly other = new Map<number, number | undefined>();
  ours = 0;
  time = 0;
  private readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  now(): number {
    return this.time;
  }

  startTicks(pid: number): number | undefined {
    return this.other.has(pid) ? this.other.get(pid) : this.world.forest.get(pid)?.startTicks;
  }

  kill({ pid }: ProcessKey, isStillIt: () => boolean): "sent" | "gone" {
    if (!isStillIt()) return "gone";
    this.killed.push(pid);
    return "sent";
  }

  isOwnProcess({ pid }: ProcessKey): boolean {
    return pid === this.ours;
  }
}

function scene(options = { spareBefore: 0, perMinute: 10 }) {
  const world = smallHost();
  world.spawn(100, 200, "nginx");
  world.spawn(200, 300, "sh");
  world.spawn(300, 400, "curl");
  world.spawn(100, 500, "bash");
  for (const process of world.forest.processes()) process.startExact = true;
  const kernel = new Written(world);
  const killer = new ProcessKiller(world.forest, kernel, new KillBudget(options.perMinute), options);
  const kill = (pid: number, now = 0, told?: number, isKnown = false) => {
    const process = world.forest.get(pid);
    if (process === undefined) throw new Error(`no ${pid}`);
    kernel.time = now;
    const cause = { rule: "web/shell", realUid: 0, isKnown };
    return killer.kill(process, cause, told === undefined ? undefined : { time: told, args: undefined });
  };
  return { world, kernel, killer, kill };
}

describe("a kill verdict", () => {
  test("kills the process and all its descendants, parents first, and no other process", () => {
    const { kernel, kill } = scene();
    expect(kill(300)).toEqual({ outcome: "killed", reason: undefined, killed: 2 });
    expect(kernel.killed).toEqual([300, 400]);
  });

  test("also kills children that were forked before the signal arrived", () => {
    const { world, kernel, killer, kill } = scene();
    kill(300);
    world.fork(400, 600);
    world.fork(600, 700);
    for (const pid of [600, 700]) {
      const child = world.forest.get(pid);
      if (child !== undefined) killer.forked(child);
    }
    expect(kernel.killed).toEqual([300, 400, 600, 700]);
  });

  test("does not kill children of other processes", () => {
    const { world, kernel, killer, kill } = scene();
    kill(300);
    world.fork(500, 600);
    const child = world.forest.get(600);
    expect(child !== undefined && killer.forked(child)).toBe(false);
    expect(kernel.killed).not.toContain(600);
  });

  test("never hits a reused pid", () => {
    const { kernel, kill } = scene();
    kernel.other.set(300, 99_999);
    expect(kill(300)).toEqual({ outcome: "failed", reason: "gone", killed: 1 });
    expect(kernel.killed).toEqual([400]);
  });

  test("fails with a reason if the process has ended", () => {
    const { kernel, kill } = scene();
    kernel.other.set(400, undefined);
    expect(kill(400)).toEqual({ outcome: "failed", reason: "gone", killed: 0 });
  });
});

describe("the safeguards", () => {
  test("pid 1 is never killed", () => {
    expect(scene().kill(1).reason).toBe("pid_1");
  });

  test("a kernel thread is never killed", () => {
    expect(scene().kill(3).reason).toBe("kernel_thread");
  });

  test("treewarden is never killed, not even as a descendant of a process that is killed", () => {
    const { kernel, kill } = scene();
    kernel.ours = 400;
    expect(kill(400).reason).toBe("treewarden");
    kill(300);
    expect(kernel.killed).toEqual([300]);
  });

  test("processes older than treewarden are spared, and their new children are not", () => {
    const { world, kernel, kill } = scene();
    const start = world.forest.get(300)?.startTicks ?? 0;
    const { kill: sparing, kernel: second } = scene({ spareBefore: start + 1, perMinute: 10 });
    expect(sparing(300).reason).toBe("preexisting");
    expect(sparing(400).outcome).toBe("killed");
    expect(second.killed).toEqual([400]);
    expect(kill(300).outcome).toBe("killed");
    expect(kernel.killed).toEqual([300, 400]);
  });

  describe("of a process that was there before treewarden", () => {
    const older = () => scene({ spareBefore: Number.MAX_SAFE_INTEGER, perMinute: 10 });

    test("spare what it ran then", () => {
      expect(older().kill(300)).toEqual({ outcome: "withheld", reason: "preexisting", killed: 0 });
    });

    test("do not spare what it executes, not even the same program again", () => {
      const { world, kernel, kill } = older();
      world.exec(500, "bash");
      expect(kill(500, 1e6, 1e6).outcome).toBe("killed");
      world.exec(300, "miner");
      expect(kill(300, 1e6, 1e6).outcome).toBe("killed");
      // The child of the second one runs what it ran before.
      expect(kernel.killed).toEqual([500, 300]);
    });

    test("do not spare what it executed while events were lost, by itself or as a descendant", () => {
      for (const pid of [300, 200]) {
        const { world, kernel, kill } = older();
        world.exec(300, "miner");
        if (pid === 200) world.exec(200, "miner");
        expect(kill(pid).outcome).toBe("killed");
        expect(kernel.killed).toEqual(pid === 300 ? [300] : [200, 300]);
      }
    });

    test("spare what the baseline knows, although a rule of another reason matches", () => {
      const { world, kill } = older();
      world.exec(300, "java");
      expect(kill(300, 1e6, 1e6, true).reason).toBe("preexisting");
    });

    test("never end pid 1, a kernel thread or treewarden, whatever they execute", () => {
      const { world, kernel, kill } = older();
      kernel.ours = 400;
      world.exec(1, "init");
      world.exec(400, "treewarden");
      expect([1, 3, 400].map((pid) => kill(pid, 1e6, 1e6).reason)).toEqual([
        "pid_1",
        "kernel_thread",
        "treewarden",
      ]);
      expect(kernel.killed).toEqual([]);
    });
  });

  test("what is known is killed like anything else if it started after treewarden", () => {
    expect(scene().kill(300, 1e6, 1e6, true).outcome).toBe("killed");
  });

  test("within 2 ms of an exec the pid cannot be reused; later the start time is compared", () => {
    const { kernel, kill } = scene();
    kernel.other.set(400, 1);
    expect(kill(400, 5e6, 3.1e6).outcome).toBe("killed");
    expect(kernel.killed).toEqual([400]);
    expect(kill(400, 5e6, 3e6)).toEqual({ outcome: "failed", reason: "gone", killed: 0 });
  });

  test("descendants were seen earlier, so their start time is compared", () => {
    const { kernel, kill } = scene();
    kernel.other.set(400, 1);
    expect(kill(300, 5e6, 5e6)).toEqual({ outcome: "killed", reason: undefined, killed: 1 });
    expect(kernel.killed).toEqual([300]);
  });

  test("an offender beyond the budget of the minute is withheld, and the next minute has a new one", () => {
    const { kill } = scene({ spareBefore: 0, perMinute: 1 });
    expect(kill(500, 0).outcome).toBe("killed");
    expect(kill(300, 30e9)).toEqual({ outcome: "withheld", reason: "rate_limited", killed: 0 });
    expect(kill(300, 61e9).outcome).toBe("killed");
  });

  test("a kill that came too late costs nothing", () => {
    const { kernel, killer, kill } = scene({ spareBefore: 0, perMinute: 1 });
    kernel.other.set(400, undefined);
    expect(kill(400).reason).toBe("gone");
    expect(killer.budgetRemaining).toBe(1);
    expect(kill(500).outcome).toBe("killed");
    expect(killer.budgetRemaining).toBe(0);
  });

  test("what a killed process had started is killed at no cost, whatever it runs", () => {
    const { world, kernel, killer, kill } = scene({ spareBefore: 0, perMinute: 1 });
    expect(kill(300).outcome).toBe("killed");
    world.exec(400, "nc");
    expect(kill(400).outcome).toBe("killed");
    world.fork(400, 600);
    const child = world.forest.get(600);
    expect(child !== undefined && killer.forked(child)).toBe(true);
    world.exec(600, "python3");
    expect(kill(600).outcome).toBe("killed");
    expect(kernel.killed).toEqual([300, 400, 400, 600, 600]);
  });
});
