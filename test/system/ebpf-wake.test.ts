// When the reader of the eBPF sensor is woken, and what it needs to be allowed to read at all.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import { type EbpfSensor, openEbpfSensor } from "../../src/sensor/ebpf/sensor.ts";
import type { ExecEvent } from "../../src/sensor/event.ts";
import { drainAll, Stage, whyNot } from "./ebpf-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Far longer than a test takes: what is not urgent does not come. */
const GATHER_MS = 10_000;

describe.skipIf(reason !== undefined)("the reader", () => {
  let stage: Stage;

  beforeAll(() => {
    stage = new Stage();
  });

  afterAll(() => stage[Symbol.dispose]());

  /** The sensor, gathering: woken by a first event, and drained. */
  function gathering(poll: Poll): EbpfSensor {
    const sensor = openEbpfSensor({ flushIntervalMs: GATHER_MS });
    poll.add(sensor.fd, 1, EPOLLIN);
    run(sensor);
    poll.wait(1000);
    sensor.drain(() => {});
    return sensor;
  }

  /** Runs the actor with these arguments. */
  const run = (_sensor: EbpfSensor, ...args: string[]) => Bun.spawnSync([stage.actor, "exit", "0", ...args]);

  /** Its exec among what waits. */
  function execOf(sensor: EbpfSensor): ExecEvent {
    let found: ExecEvent | undefined;
    drainAll(sensor, (event) => {
      if (event.kind === "exec" && event.facts.executable === stage.actor) found = event;
    });
    if (found === undefined) throw new Error("no exec");
    return found;
  }

  /** The reader is not woken by this exec. What else the machine runs meanwhile is settled too, until all is still. */
  function staysQuiet(poll: Poll, sensor: EbpfSensor, ...args: string[]): boolean {
    const deadline = performance.now() + 10_000;
    while (performance.now() < deadline) {
      run(sensor, ...args);
      if (poll.wait(20) === 0) return true;
      drainAll(sensor, (event) => {
        if (event.kind === "exec") sensor.settle(event);
      });
    }
    return false;
  }

  /** Milliseconds from an exec to the wake-up for it, while others gather. */
  function wakes(sensor: EbpfSensor, meanwhile = () => {}): number {
    using poll = new Poll();
    poll.add(sensor.fd, 1, EPOLLIN);
    run(sensor);
    expect(poll.wait(1000)).toBe(1);
    sensor.drain(() => {});
    run(sensor);
    meanwhile();
    const start = performance.now();
    expect(poll.wait(1000)).toBe(1);
    const took = performance.now() - start;
    expect(execOf(sensor).facts.args).toEqual([stage.actor, "exit", "0"]);
    return took;
  }

  test("is woken by the first event, and by the clock for what comes after it", () => {
    using sensor = openEbpfSensor();
    expect(wakes(sensor)).toBeWithin(10, 80);
  });

  test("is woken later where nobody watches, and not where somebody might be killed", () => {
    using sensor = openEbpfSensor();
    sensor.live = false;
    expect(wakes(sensor)).toBeWithin(80, 140);
    sensor.setWakeupPolicy("unsettled");
    expect(wakes(sensor)).toBeLessThan(70);
  });

  test("is woken sooner for what gathers already when somebody begins to watch", () => {
    using sensor = openEbpfSensor();
    sensor.live = false;
    const watch = () => {
      sensor.live = true;
    };
    expect(wakes(sensor, watch)).toBeLessThan(70);
  });

  test("is not woken for execs while nothing is urgent", () => {
    using poll = new Poll();
    using sensor = gathering(poll);
    for (let i = 0; i < 10; i += 1) run(sensor);
    expect(poll.wait(50)).toBe(0);
    expect(execOf(sensor).facts.args).toEqual([stage.actor, "exit", "0"]);
  });

  test("is woken for every exec while all are urgent", () => {
    using poll = new Poll();
    using sensor = gathering(poll);
    sensor.setWakeupPolicy("all");
    for (let i = 0; i < 3; i += 1) {
      run(sensor);
      expect(poll.wait(1000)).toBe(1);
      execOf(sensor);
    }
    sensor.setWakeupPolicy("none");
    run(sensor);
    expect(poll.wait(50)).toBe(0);
  });

  test("is woken before the ring is full", () => {
    using poll = new Poll();
    using sensor = openEbpfSensor({ flushIntervalMs: GATHER_MS, bufferBytes: 16_384 });
    poll.add(sensor.fd, 1, EPOLLIN);
    run(sensor);
    poll.wait(1000);
    sensor.drain(() => {});
    for (let i = 0; i < 20; i += 1) run(sensor);
    expect(poll.wait(1000)).toBe(1);
  });

  describe("of unsettled execs only", () => {
    /** The settle keys of the last execs among what waits of programs with this path or name. */
    function keysOf(sensor: EbpfSensor, program: string): number[] {
      const keys: number[] = [];
      drainAll(sensor, (event) => {
        if (event.kind !== "exec" || !("settleKey" in event)) return;
        const { executable = "" } = event.facts;
        if (executable === program || basename(executable) === program) keys.push(Number(event.settleKey));
      });
      return keys;
    }

    /** What `act` runs last, a program with this path or name, has one key in one folder and another in another. */
    function expectOtherKey(program: string, act: (folder: string) => unknown): void {
      using sensor = openEbpfSensor({ flushIntervalMs: GATHER_MS });
      sensor.setWakeupPolicy("unsettled");
      const [first, again, other] = ["one", "one", "two"].map((name) => {
        const folder = join(stage.folder, name);
        mkdirSync(folder, { recursive: true });
        act(folder);
        return keysOf(sensor, program).at(-1);
      });
      expect(first).toBePositive();
      expect(again).toBe(first);
      expect(other).toBePositive();
      expect(other).not.toBe(first);
    }

    test("is woken until the exec is settled, and not after", () => {
      using poll = new Poll();
      using sensor = gathering(poll);
      sensor.setWakeupPolicy("unsettled");
      run(sensor, "one");
      expect(poll.wait(1000)).toBe(1);
      sensor.settle(execOf(sensor));
      expect(staysQuiet(poll, sensor, "one")).toBe(true);
    }, 20_000);

    test("is woken for other arguments", () => {
      using poll = new Poll();
      using sensor = gathering(poll);
      sensor.setWakeupPolicy("unsettled");
      run(sensor, "one");
      sensor.settle(execOf(sensor));
      poll.wait(0);
      run(sensor, "two");
      expect(poll.wait(1000)).toBe(1);
    });

    test("is woken for the same command under another lineage", () => {
      using poll = new Poll();
      using sensor = gathering(poll);
      sensor.setWakeupPolicy("unsettled");
      run(sensor, "one");
      sensor.settle(execOf(sensor));
      Bun.spawnSync(["env", stage.actor, "exit", "0", "one"]);
      expect(poll.wait(1000)).toBe(1);
      const keys: number[] = [];
      sensor.drain((event) => {
        if (event.kind === "exec" && event.facts.executable === stage.actor && "settleKey" in event)
          keys.push(Number(event.settleKey));
      });
      expect(keys.length).toBe(1);
    });

    test("is woken for a script of the same name in another folder", () => {
      const runScript = (folder: string) => {
        writeFileSync(join(folder, "run.sh"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
        Bun.spawnSync(["./run.sh"], { cwd: folder });
      };
      expectOtherKey(realpathSync("/bin/sh"), runScript);
    });

    test("is woken for the same command in another working directory", () => {
      expectOtherKey(stage.actor, (folder) => Bun.spawnSync([stage.actor, "exit", "0"], { cwd: folder }));
    });

    test("is woken for another path to the same file", () => {
      expectOtherKey("app", (folder) => {
        const path = join(folder, "app");
        if (!existsSync(path)) linkSync(stage.actor, path);
        Bun.spawnSync([path, "exit", "0"], { cwd: "/" });
      });
    });

    test("is woken for the same command below another script of the same interpreter", () => {
      expectOtherKey(stage.actor, (folder) => {
        writeFileSync(join(folder, "job.sh"), `${stage.actor} exit 0\nexit 0\n`);
        Bun.spawnSync(["/bin/sh", "job.sh"], { cwd: folder });
      });
    });

    test("is woken for the same command of another group", () => {
      expectOtherKey(stage.actor, (folder) =>
        Bun.spawnSync([stage.actor, "setgid-fork", stage.actor, "exit", "0"], {
          env: { GROUP: basename(folder) === "one" ? "65534" : "6" },
        }),
      );
    });

    test("gives an idle process the same key whatever others fork meanwhile", () => {
      using poll = new Poll();
      using sensor = gathering(poll);
      sensor.setWakeupPolicy("unsettled");
      const idle = Bun.spawn(["/bin/sh", "-c", `while read line; do ${stage.actor} exit 0; done`], {
        stdin: "pipe",
      });
      const keyBelow = (): number => {
        idle.stdin.write("go\n");
        idle.stdin.flush();
        for (let left = 100; left > 0; left -= 1) {
          poll.wait(50);
          const [key] = keysOf(sensor, "actor");
          if (key !== undefined) return key;
        }
        throw new Error("no exec");
      };
      try {
        const before = keyBelow();
        Bun.spawnSync([stage.actor, "forks", "20000"]);
        drainAll(sensor, () => {});
        expect(keyBelow()).toBe(before);
      } finally {
        idle.kill();
      }
    }, 60_000);

    test("is woken again in another epoch, and for nothing that was settled in an earlier one", () => {
      using poll = new Poll();
      using sensor = gathering(poll);
      sensor.setWakeupPolicy("unsettled");
      run(sensor, "one");
      const first = execOf(sensor);
      sensor.settle(first);
      poll.wait(0);
      sensor.setEpoch(2);
      run(sensor, "one");
      expect(poll.wait(1000)).toBe(1);
      execOf(sensor);
      sensor.settle(first);
      run(sensor, "one");
      expect(poll.wait(1000)).toBe(1);
    });

    test("is always woken for what was not read whole", () => {
      using poll = new Poll();
      using sensor = gathering(poll);
      sensor.setWakeupPolicy("unsettled");
      const long = "a".repeat(8192);
      for (let i = 0; i < 2; i += 1) {
        run(sensor, long);
        expect(poll.wait(1000)).toBe(1);
        sensor.settle(execOf(sensor));
      }
    });
  });

  test("leaves nothing open", () => {
    const open = () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return /bpf|eventpoll|timerfd/.test(readlinkSync(`/proc/self/fd/${fd}`));
        } catch {
          return false;
        }
      }).length;
    const before = open();
    {
      using sensor = openEbpfSensor();
      expect(open()).toBeGreaterThan(before);
      run(sensor);
    }
    expect(open()).toBe(before);
  });
});

describe.skipIf(reason !== undefined)("the rights it needs", () => {
  const module = join(import.meta.dir, "../../src/sensor/ebpf/sensor.ts");
  const script = `
    import { openEbpfSensor } from ${JSON.stringify(module)};
    try { using s = openEbpfSensor(); let n = 0; Bun.spawnSync(["true"]); s.drain(() => { n += 1; }); console.log(n > 0 ? "events" : "none"); }
    catch (error) { console.log(error.name + ": " + error.message + " (" + error.hint + ")"); }`;

  /** What comes of it with these capabilities and no other, as root without any power of its own. */
  function withOnly(...capabilities: string[]): string {
    const list = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
    const command = [
      "setpriv",
      `--bounding-set=${list}`,
      `--inh-caps=${list}`,
      process.execPath,
      "-e",
      script,
    ];
    return Bun.spawnSync(command, { stdio: ["ignore", "pipe", "inherit"] })
      .stdout.toString()
      .trim();
  }

  test("are CAP_BPF and CAP_PERFMON", () => expect(withOnly("bpf", "perfmon")).toBe("events"));

  test("are not given by CAP_BPF alone: the refusal says what is missing", () => {
    expect(withOnly("bpf")).toMatch(/^SensorUnavailable: .*EPERM.*CAP_BPF and CAP_PERFMON/);
  });

  test("are not given by being root alone", () => expect(withOnly()).toMatch(/^SensorUnavailable: .*EPERM/));
});
