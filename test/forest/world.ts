// A forest of named programs, driven by hand-written events.
import { Forest } from "../../src/forest/forest.ts";
import type { Lineage } from "../../src/forest/lineage.ts";
import type { Runnable } from "../../src/forest/runnable.ts";
import { type ProcessFacts, type ScannedProcess, unknownFacts } from "../../src/sensor/event.ts";

/** Something to run, known by its key alone. */
export function runnable(key: string): Runnable {
  return {
    key,
    executable: key,
    executableName: key,
    script: undefined,
    inline: false,
    shellCommand: false,
    path: key,
    folded: key,
    foldedExecutable: key,
    name: key,
    label: key,
    random: false,
    unscored: false,
    randomness: 0,
    entropy: undefined,
  };
}

/** Milliseconds of a made-up boot to the nanoseconds that events carry. */
const ns = (ms: number) => ms * 1e6;
const ticks = (ms: number) => Math.floor(ms / 10);

export class World {
  now = 1_000;
  readonly missed: number[] = [];
  readonly forest: Forest;

  constructor() {
    const images = new Map<string, Runnable>();
    const identify = ({ executable }: ProcessFacts): Runnable => {
      const key = executable ?? "?";
      const program = images.get(key) ?? runnable(key);
      images.set(key, program);
      return program;
    };
    this.forest = new Forest({
      identify,
      identifyRunning: identify,
      kernelProgram: runnable("kthreadd"),
      missedExit: (process) => this.missed.push(process.pid),
    });
  }

  private step(): number {
    this.now += 50;
    return ns(this.now);
  }

  fork(parentPid: number, pid: number): void {
    const time = this.step();
    this.forest.fork({
      kind: "fork",
      source: "netlink",
      time,
      pid,
      parentPid,
      startTicks: ticks(this.now),
      startExact: false,
    });
  }

  exec(pid: number, executable: string, more: Partial<ProcessFacts> = {}): void {
    const time = this.step();
    const startTicks = this.forest.get(pid)?.startTicks;
    const facts = { ...unknownFacts, startTicks, executable, uid: 0, ...more };
    this.forest.exec({ kind: "exec", source: "netlink", time, pid, facts });
  }

  spawn(parentPid: number, pid: number, executable: string, more: Partial<ProcessFacts> = {}): void {
    this.fork(parentPid, pid);
    this.exec(pid, executable, more);
  }

  user(pid: number, uid: number): void {
    this.forest.user({ kind: "user", source: "netlink", time: this.step(), pid, uid, realUid: uid });
  }

  exit(pid: number): void {
    this.forest.exit({ kind: "exit", source: "netlink", time: this.step(), pid, status: 0 });
  }

  found(
    pid: number,
    parentPid: number,
    executable: string,
    startTicks: number,
    kernelThread = false,
  ): ScannedProcess {
    return { pid, kernelThread, facts: { ...unknownFacts, startTicks, parentPid, executable, uid: 0 } };
  }

  scan(...processes: readonly ScannedProcess[]) {
    return this.forest.reconcile(processes, this.step());
  }

  /** Root to leaf, as images. */
  names(pid: number): string {
    const names: string[] = [];
    let node: Lineage | null = this.forest.get(pid)?.lineage ?? null;
    for (; node !== null; node = node.parent) {
      if (node.init) continue;
      names.push(node.elided === null ? node.program.key : `... ${node.program.key}`);
    }
    return names.reverse().join("/");
  }
}

/** A host with an init and an sshd of which everything is known. */
export function smallHost(): World {
  const world = new World();
  world.scan(
    world.found(1, 0, "systemd", 0),
    world.found(2, 0, "kthreadd", 0, true),
    world.found(3, 2, "kworker", 0, true),
  );
  world.spawn(1, 100, "sshd");
  return world;
}
