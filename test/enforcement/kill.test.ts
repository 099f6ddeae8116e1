import { describe, expect, test } from "bun:test";
import {
  type KillOptions,
  type KillResult,
  ProcessKiller,
  type ProcessSignals,
  type SendResult,
} from "../../src/enforcement/kill.ts";
import { KillBudget } from "../../src/enforcement/kill-budget.ts";
import { MAX_STOPPED_TREES, StoppedTrees } from "../../src/enforcement/stopped-trees.ts";
import type { Process } from "../../src/forest/process.ts";
import type { CondemnedSignal } from "../../src/sensor/condemned.ts";
import type { ProcessKey } from "../../src/vocabulary/process-key.ts";
import { smallHost, type World } from "../forest/world.ts";

/** A kernel that only records which processes it was asked to kill. */
class Written implements ProcessSignals {
  readonly killed: number[] = [];
  readonly stopped: number[] = [];
  readonly released: number[] = [];
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

  wallNow(): number {
    return this.time / 1e9;
  }

  startTicks(pid: number): number | undefined {
    return this.other.has(pid) ? this.other.get(pid) : this.world.forest.get(pid)?.startTicks;
  }

  send({ pid }: ProcessKey, signal: CondemnedSignal, isStillIt: () => boolean): SendResult {
    if (!isStillIt()) return "gone";
    (signal === "SIGKILL" ? this.killed : this.stopped).push(pid);
    return "sent";
  }

  release({ pid }: ProcessKey, isStillIt: () => boolean): SendResult {
    if (!isStillIt()) return "gone";
    this.released.push(pid);
    return "sent";
  }

  isOwnProcess({ pid }: ProcessKey): boolean {
    return pid === this.ours;
  }
}

interface SceneOptions extends KillOptions {
  readonly perMinute: number;
}

function scene(options: SceneOptions = { spareBefore: 0, perMinute: 10 }) {
  const world = smallHost();
  world.spawn(100, 200, "nginx");
  world.spawn(200, 300, "sh");
  world.spawn(300, 400, "curl");
  world.spawn(100, 500, "bash");
  for (const process of world.forest.processes()) process.startExact = true;
  const kernel = new Written(world);
  const stopped = new StoppedTrees();
  const killer = new ProcessKiller(world.forest, kernel, new KillBudget(options.perMinute), stopped, options);
  const of = (pid: number): Process => {
    const process = world.forest.get(pid);
    if (process === undefined) throw new Error(`no ${pid}`);
    return process;
  };
  const kill = (pid: number, now = 0, told?: number, isKnown = false) => {
    kernel.time = now;
    const cause = { rule: "web/shell", realUid: 0, isKnown };
    return killer.kill(of(pid), cause, told === undefined ? undefined : { time: told, args: undefined });
  };
  const stop = (pid: number, realUid = 0) =>
    killer.stop(of(pid), { rule: "web/stop", realUid, isKnown: false });
  return { world, kernel, killer, stopped, of, kill, stop };
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

test("nothing of a spared session is killed or stopped, and neither is what it forks; the rest of the tree is", () => {
  const { world, kernel, killer, kill, stop, of } = scene({
    spareBefore: 0,
    perMinute: 10,
    isInSparedSession: ({ pid }) => pid === 300 || pid === 600,
  });
  const withheld = { outcome: "withheld", reason: "spared_session", killed: 0 } as const;
  expect([kill(300), stop(300)]).toEqual([withheld, withheld]);
  expect(kill(200)).toMatchObject({ outcome: "killed", killed: 2 });
  expect(kernel.killed).toEqual([200, 400]);
  world.fork(200, 600);
  expect(killer.forked(of(600))).toBe(false);
});

describe("a verdict to stop", () => {
  test("stops the process and all its descendants, and what they fork before the signal arrives", () => {
    const { world, kernel, killer, stop, of } = scene();
    expect(stop(300)).toEqual({ outcome: "stopped", reason: undefined, killed: 2 });
    world.fork(400, 600);
    expect(killer.forked(of(600))).toBe(true);
    expect([kernel.stopped, kernel.killed]).toEqual([[300, 400, 600], []]);
  });

  test("is taken back by a release: what the processes fork later runs", () => {
    const { world, kernel, killer, stopped, stop, of } = scene();
    stop(300);
    const tree = stopped.treeOf(of(400));
    expect(tree && killer.release(tree)).toEqual({ sent: 2, refused: 0 });
    expect([kernel.released, stopped.size]).toEqual([[300, 400], 0]);
    world.fork(400, 600);
    expect(killer.forked(of(600))).toBe(false);
  });

  test("can be followed by a kill, of root or by a rule", () => {
    const { kernel, killer, stopped, stop, of, kill } = scene();
    stop(300);
    const tree = stopped.treeOf(of(300));
    expect(tree && killer.killStopped(tree)).toEqual({ sent: 2, refused: 0 });
    expect([kernel.killed, stopped.size]).toEqual([[300, 400], 0]);
    const other = scene();
    other.stop(300);
    expect(other.kill(400).outcome).toBe("killed");
    expect(kill(300).outcome).toBe("killed");
  });

  test("ends with the last process of its tree", () => {
    const { killer, stopped, stop, of } = scene();
    stop(300);
    for (const pid of [300, 400]) killer.exited(of(pid));
    expect(stopped.size).toBe(0);
  });

  test("stops another program of a stopped process in the same tree", () => {
    const { stopped, stop } = scene();
    stop(300);
    stop(400);
    expect(stopped.size).toBe(1);
  });

  test("is withheld beyond the number of trees that may be stopped, of one user beyond half of it", () => {
    const { world, stop } = scene({ spareBefore: 0, perMinute: 10_000 });
    const outcomes = Array.from({ length: MAX_STOPPED_TREES + 1 }, (_, i) => {
      world.spawn(500, 1_000 + i, "sh");
      return stop(1_000 + i, i < MAX_STOPPED_TREES / 2 + 1 ? 1000 : 0);
    });
    const withheld: KillResult = { outcome: "withheld", reason: "too_many_stopped", killed: 0 };
    expect(outcomes[MAX_STOPPED_TREES / 2 - 1]?.outcome).toBe("stopped");
    expect(outcomes[MAX_STOPPED_TREES / 2]).toEqual(withheld);
    expect(outcomes[MAX_STOPPED_TREES]?.outcome).toBe("stopped");
  });

  test("for evidence freezes the tree, and leaves its death to whoever takes it", () => {
    const taken: number[] = [];
    const evidence = { mayTake: () => true, take: ({ pid }: Process) => void taken.push(pid) };
    const { world, kernel, killer, stopped, of, kill } = scene({ spareBefore: 0, perMinute: 10, evidence });
    expect(kill(300)).toEqual({ outcome: "killed", reason: undefined, killed: 2 });
    world.exec(300, "nc");
    expect(kill(300).outcome).toBe("killed");
    expect([kernel.stopped, kernel.killed, taken]).toEqual([[300, 400], [], [300]]);
    const tree = stopped.treeOf(of(400));
    if (tree !== undefined) killer.killStopped(tree);
    expect([kernel.killed, stopped.size]).toEqual([[300, 400], 0]);
    // Of another offender, but not of the same again within a minute.
    world.spawn(100, 800, "sh");
    world.spawn(100, 801, "sh");
    kill(800);
    kill(801);
    expect(taken).toEqual([300, 800]);
  });

  test("spares what a kill spares, and never hits a reused pid", () => {
    const { kernel, stop, stopped } = scene();
    kernel.ours = 400;
    expect([1, 3, 400].map((pid) => stop(pid).reason)).toEqual(["pid_1", "kernel_thread", "treewarden"]);
    kernel.other.set(300, 99_999);
    expect(stop(300).reason).toBe("gone");
    expect([kernel.stopped, stopped.size]).toEqual([[], 0]);
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

  test("within 2 ms of its fork the pid of a process cannot be reused; later the start time is compared", () => {
    const { kernel, kill, of } = scene();
    const { startTime } = of(400);
    kernel.other.set(400, 1);
    expect(kill(400, startTime + 1.9e6, startTime + 1e6).outcome).toBe("killed");
    expect(kernel.killed).toEqual([400]);
    const gone = { outcome: "failed", reason: "gone", killed: 0 } as const;
    expect(kill(400, startTime + 2e6, startTime + 1e6)).toEqual(gone);
    // An exec says nothing about when the pid was given out.
    expect(kill(400, startTime + 5e9, startTime + 5e9)).toEqual(gone);
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
