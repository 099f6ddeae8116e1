import { describe, expect, test } from "bun:test";
import { DEPTH_LIMIT, EARLIER_LIMIT } from "../../src/forest/lineage.ts";
import { smallHost, World } from "./world.ts";

describe("a lineage", () => {
  test("names every ancestor but pid 1", () => {
    const world = smallHost();
    world.spawn(100, 200, "bash");
    world.spawn(200, 300, "pstree");
    expect(world.names(300)).toBe("sshd/bash/pstree");
    expect(world.forest.get(300)?.lineage.complete).toBe(true);
  });

  test("does not change because a parent became something else", () => {
    const world = smallHost();
    world.spawn(100, 200, "bash");
    world.fork(200, 300);
    world.exec(200, "top");
    world.exec(300, "ls");
    expect(world.names(300)).toBe("sshd/bash/ls");
    expect(world.names(200)).toBe("sshd/top");
  });

  test("does not change because a parent left", () => {
    const world = smallHost();
    world.spawn(100, 200, "bash");
    world.fork(200, 300);
    world.exit(200);
    world.exec(300, "daemon");
    expect(world.names(300)).toBe("sshd/bash/daemon");
  });

  test("remembers what a process was before a further exec, each program once", () => {
    const world = smallHost();
    world.spawn(100, 200, "env");
    world.exec(200, "nice");
    world.exec(200, "env");
    world.exec(200, "server");
    expect(world.names(200)).toBe("sshd/server");
    expect(world.forest.get(200)?.lineage.earlier.map((program) => program.key)).toEqual(["env", "nice"]);
  });

  test("of a copy that ran no exec is its parent's", () => {
    const world = smallHost();
    world.spawn(100, 200, "bash");
    world.fork(200, 300);
    expect(world.forest.get(300)?.lineage).toBe(world.forest.get(200)?.lineage);
  });

  test("of pid 1's copy shows what pid 1 runs", () => {
    const world = smallHost();
    world.fork(1, 200);
    expect(world.names(200)).toBe("systemd");
  });

  test("of a program that the kernel starts begins at kthreadd", () => {
    const world = smallHost();
    world.spawn(3, 200, "modprobe");
    expect(world.names(200)).toBe("kthreadd/modprobe");
    expect(world.forest.get(200)?.kernelThread).toBe(false);
    expect(world.forest.get(200)?.lineage.complete).toBe(true);
  });

  test("keeps the user of each process", () => {
    const world = smallHost();
    world.spawn(100, 200, "nginx");
    world.user(200, 33);
    world.spawn(200, 300, "sh", { uid: 33 });
    const sh = world.forest.get(300)?.lineage;
    expect([sh?.uid, sh?.parent?.uid, sh?.parent?.parent?.uid]).toEqual([33, 33, 0]);
  });

  test("notices a user that changes and changes back", () => {
    const world = smallHost();
    world.spawn(100, 200, "sudo");
    world.user(200, 1000);
    expect([world.names(200), world.forest.get(200)?.lineage.uid]).toEqual(["sshd/sudo", 1000]);
    world.user(200, 0);
    expect([world.names(200), world.forest.get(200)?.lineage.uid]).toEqual(["sshd/sudo", 0]);
  });

  test("that rests on a scan is not complete, nor are those below it", () => {
    const world = new World();
    world.scan(world.found(1, 0, "systemd", 0), world.found(50, 1, "cron", 5));
    world.spawn(50, 60, "sh");
    expect(world.names(60)).toBe("cron/sh");
    expect(world.forest.get(60)?.lineage.complete).toBe(false);
  });
});

describe("events that come in an order the kernel allows", () => {
  test("an exec of a process nobody knows makes it, under the parent that /proc names", () => {
    const world = smallHost();
    world.exec(300, "ls", { parentPid: 100, startTicks: 110 });
    expect(world.names(300)).toBe("sshd/ls");
    expect(world.forest.get(300)?.lineage.complete).toBe(false);
  });

  test("a fork that a scan had already seen makes the link sure, and no second process", () => {
    const world = smallHost();
    world.scan(
      world.found(1, 0, "systemd", 0),
      world.found(2, 0, "k", 0, true),
      world.found(3, 2, "k", 0, true),
      world.found(100, 1, "sshd", world.forest.get(100)?.startTicks ?? 0),
      world.found(200, 100, "bash", 120),
    );
    expect(world.forest.get(200)?.lineage.complete).toBe(false);
    world.now = 1_150;
    world.fork(100, 200);
    expect(world.names(200)).toBe("sshd/bash");
    expect(world.forest.get(200)?.lineage.complete).toBe(true);
  });

  test("an exit older than the process that has the pid now changes nothing", () => {
    const world = smallHost();
    const late = world.now + 10_000;
    world.scan(
      world.found(1, 0, "systemd", 0),
      world.found(2, 0, "k", 0, true),
      world.found(3, 2, "k", 0, true),
      world.found(100, 1, "sshd", world.forest.get(100)?.startTicks ?? 0),
      world.found(200, 100, "new", late / 10),
    );
    world.exit(200);
    expect(world.names(200)).toBe("sshd/new");
  });

  test("a pid that is given out again is a new process, and the exit that was lost is told", () => {
    const world = smallHost();
    world.spawn(100, 200, "old");
    world.now += 1_000;
    world.spawn(100, 200, "new");
    expect(world.names(200)).toBe("sshd/new");
    expect(world.missed).toEqual([200]);
  });

  test("an exit of a pid nobody knows is nothing", () => {
    const world = smallHost();
    const before = world.forest.size;
    world.exit(4711);
    expect(world.forest.size).toBe(before);
  });
});

describe("a rescan after loss", () => {
  const rest = (world: World) => [
    world.found(1, 0, "systemd", 0),
    world.found(2, 0, "k", 0, true),
    world.found(3, 2, "k", 0, true),
    world.found(100, 1, "sshd", world.forest.get(100)?.startTicks ?? 0),
  ];

  test("finds what started, what ended and what became something else", () => {
    const world = smallHost();
    world.spawn(100, 200, "gone");
    world.spawn(100, 300, "sh");
    world.now += 1_000;
    const start = world.forest.get(300)?.startTicks ?? 0;
    const all = rest(world);
    const differences = world.scan(
      ...all,
      world.found(300, 100, "evil", start),
      world.found(400, 300, "ls", 200),
    );
    expect(world.forest.forget(differences.missing).map((process) => process.pid)).toEqual([200]);
    expect(world.forest.get(200)).toBeUndefined();
    expect(differences.changed.map(({ process }) => process.pid)).toEqual([300]);
    expect(differences.found.map(({ process }) => process.pid)).toEqual([400]);
    expect(world.names(400)).toBe("sshd/evil/ls");
  });

  test("leaves alone what started after it began", () => {
    const world = smallHost();
    const all = rest(world);
    world.spawn(100, 200, "young");
    const differences = world.forest.reconcile(all, (world.now - 500) * 1e6);
    expect([...differences.ended, ...differences.missing]).toEqual([]);
    expect(world.names(200)).toBe("sshd/young");
  });

  test("keeps what it does not find until events from before it are handed over", () => {
    const world = smallHost();
    const all = rest(world);
    world.spawn(100, 200, "sh");
    world.fork(200, 300);
    const { missing } = world.scan(...all);
    world.exec(300, "tool");
    expect(world.names(300)).toBe("sshd/sh/tool");
    expect(world.forest.get(300)?.lineage.complete).toBe(true);
    world.exit(300);
    expect(world.forest.forget(missing).map((process) => process.pid)).toEqual([200]);
    expect(world.forest.get(200)).toBeUndefined();
  });

  test("finds the tree of every process, however many of its ancestors nobody knew", () => {
    const world = smallHost();
    const depth = 5_000;
    const line = Array.from({ length: depth }, (_, i) =>
      world.found(1_000 + i, i === 0 ? 100 : 999 + i, "sh", 200),
    );
    const { found } = world.scan(...rest(world), ...line.reverse());
    expect(found.map(({ process }) => process.pid)).toEqual(
      Array.from({ length: depth }, (_, i) => 1_000 + i),
    );
    expect(found.filter(({ process }) => process.ancestry === null)).toEqual([]);
    expect(world.names(999 + depth)).toBe("sshd/sh");
  });

  test("of what is already known finds nothing", () => {
    const world = smallHost();
    const differences = world.scan(...rest(world));
    expect([differences.found.length, differences.ended.length, differences.changed.length]).toEqual([
      0, 0, 0,
    ]);
  });
});

describe("everything under a process", () => {
  test("includes those whose parent has left", () => {
    const world = smallHost();
    world.spawn(100, 200, "sh");
    world.fork(200, 300);
    world.fork(300, 400);
    world.exit(300);
    world.spawn(400, 500, "miner");
    const top = world.forest.get(200);
    if (top === undefined) throw new Error("200 is there");
    expect(
      world.forest
        .descendants(top)
        .map((process) => process.pid)
        .sort(),
    ).toEqual([200, 400, 500]);
  });

  test("does not include what its ancestors started elsewhere", () => {
    const world = smallHost();
    world.spawn(100, 200, "sh");
    world.spawn(100, 201, "other");
    const top = world.forest.get(200);
    if (top === undefined) throw new Error("200 is there");
    expect(world.forest.descendants(top).map((process) => process.pid)).toEqual([200]);
  });
});

describe("attacks on the forest's memory", () => {
  test("a chain of fork, exit of the parent, fork leaves one process and no ended ones", () => {
    const world = smallHost();
    world.spawn(100, 1000, "a");
    for (let pid = 1000; pid < 101_000; pid++) {
      world.fork(pid, pid + 1);
      world.exit(pid);
    }
    expect(world.forest.size).toBe(5);
    expect(world.forest.endedKept).toBe(0);
    expect(world.forest.lineages.size).toBeLessThan(10);
  });

  test("the same with an exec of two names in turn leaves a bounded lineage with its middle elided", () => {
    const world = smallHost();
    world.spawn(100, 1000, "a");
    for (let pid = 1000; pid < 6_000; pid++) {
      world.spawn(pid, pid + 1, pid % 2 === 0 ? "b" : "a");
      world.exit(pid);
    }
    expect(world.forest.get(6000)?.lineage.depth).toBeLessThanOrEqual(DEPTH_LIMIT);
    expect(world.names(6000)).toStartWith("sshd/a/b");
    expect(world.names(6000)).toContain("...");
    expect(world.forest.lineages.size).toBeLessThan(4 * DEPTH_LIMIT);
    expect(world.forest.endedKept).toBe(0);
  });

  test("a process that execs different names for ever remembers a few", () => {
    const world = smallHost();
    world.spawn(100, 200, "start");
    for (let i = 0; i < 10_000; i++) world.exec(200, `name${i}`);
    expect(world.forest.get(200)?.lineage.earlier.length).toBe(EARLIER_LIMIT);
    expect(world.forest.lineages.size).toBeLessThan(10);
  });

  test("a million short-lived children leave nothing", () => {
    const world = smallHost();
    const before = [world.forest.size, world.forest.lineages.size];
    for (let i = 0; i < 1_000_000; i++) {
      world.spawn(100, 1000 + (i % 30_000), `child${i % 1000}`);
      world.exit(1000 + (i % 30_000));
    }
    expect([world.forest.size, world.forest.lineages.size]).toEqual(before);
    expect(world.forest.endedKept).toBe(0);
  }, 60_000);

  test("places of ended processes are fewer than live ones, however a family grows and dies", () => {
    const world = smallHost();
    let next = 1000;
    const alive = [100];
    let random = 12345;
    const pick = (n: number) => {
      random = (random * 1103515245 + 12345) % 2147483648;
      return random % n;
    };
    for (let i = 0; i < 20_000; i++) {
      const index = pick(alive.length);
      const pid = alive[index] ?? 100;
      if (pick(100) < 52 || pid === 100) {
        world.fork(pid, next);
        alive.push(next++);
      } else {
        world.exit(pid);
        alive.splice(index, 1);
      }
      if (world.forest.endedKept >= world.forest.size)
        throw new Error(`${world.forest.endedKept} ended kept`);
    }
    for (const pid of alive.reverse()) world.exit(pid);
    expect(world.forest.endedKept).toBe(0);
    expect(world.forest.size).toBe(3);
  });
});

test("a key finds its process, and no longer once the pid is another process's", () => {
  const world = smallHost();
  world.spawn(100, 300, "sh");
  const { pid, startTicks, startExact } = world.forest.get(300) ?? {
    pid: 0,
    startTicks: 0,
    startExact: true,
  };
  const key = { pid, startTicks, startExact };
  expect(world.forest.find(key)?.pid).toBe(300);
  world.exit(300);
  expect(world.forest.find(key)).toBeUndefined();
  world.spawn(100, 300, "bash");
  expect(world.forest.find(key)).toBeUndefined();
});

test("after the machine was suspended ends are still told from those of a pid's earlier owner", () => {
  const world = smallHost();
  const suspended = 60_000;
  const { forest } = world;
  forest.suspendedNs = suspended * 1e6;
  const time = (world.now + 1) * 1e6;
  const startTicks = (world.now + suspended) / 10;
  forest.fork({ kind: "fork", source: "ebpf", time, pid: 300, parentPid: 100, startTicks, startExact: true });
  expect(
    forest.exit({ kind: "exit", source: "ebpf", time: time - 20e6, pid: 300, status: 0 }),
  ).toBeUndefined();
  expect(forest.exit({ kind: "exit", source: "ebpf", time, pid: 300, status: 0 })?.pid).toBe(300);
});
