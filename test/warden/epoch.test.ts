// What was settled before a change that decisions depend on is settled no more.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { type Exclusion, formatExclusions } from "../../src/baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE } from "../../src/baseline/file-names.ts";
import { defaultConfig } from "../../src/config/config.ts";
import { Poll } from "../../src/linux/epoll.ts";
import { Timer } from "../../src/linux/timerfd.ts";
import { Totals } from "../../src/report/totals.ts";
import { type ExecEvent, type Sensor, unknownFacts } from "../../src/sensor/event.ts";
import { EventSource } from "../../src/warden/event-source.ts";
import { NOON } from "../baseline/samples.ts";
import { BaselineRig } from "./baseline-rig.ts";

/** A sensor that keeps settled keys as the kernel's programs do: with the epoch as a part of each. */
class KeySensor implements Sensor {
  readonly source = "ebpf";
  private readonly timer = new Timer();
  private readonly settled = new Set<string>();
  private epoch = 0;

  get fd(): number {
    return this.timer.fd;
  }

  drain(): void {}

  settle(event: ExecEvent): void {
    this.settled.add(`${this.epoch} ${event.facts.executable}`);
  }

  isSettled(event: ExecEvent): boolean {
    return this.settled.has(`${this.epoch} ${event.facts.executable}`);
  }

  setEpoch(epoch: number): void {
    this.epoch = epoch;
  }

  [Symbol.dispose](): void {
    this.timer[Symbol.dispose]();
  }
}

const facts = { ...unknownFacts, executable: "/usr/bin/job" };
const event: ExecEvent = { kind: "exec", source: "ebpf", time: 0, pid: 300, facts };

class Host implements Disposable {
  readonly rig = new BaselineRig();
  readonly reasons: string[] = [];
  readonly opened: KeySensor[] = [];
  readonly source: EventSource;
  private readonly poll = new Poll();

  constructor() {
    this.source = new EventSource({
      config: defaultConfig(),
      poll: this.poll,
      token: 1,
      totals: new Totals(),
      epoch: this.rig.epoch,
      open: () => {
        const sensor = new KeySensor();
        this.opened.push(sensor);
        return { sensor, why: "a test" };
      },
    });
    this.rig.epoch.onRaise((_, reason) => this.reasons.push(reason));
  }

  exclude(...untils: readonly (number | undefined)[]): void {
    const exclusion = (until: number | undefined): Exclusion => ({
      tree: "/**/job",
      user: undefined,
      scope: undefined,
      until,
      reason: "moving",
      bootEnd: undefined,
      change: undefined,
    });
    this.rig.write(EXCLUSIONS, formatExclusions(untils.map(exclusion)));
  }

  get isSettled(): boolean {
    return this.opened.at(-1)?.isSettled(event) ?? false;
  }

  [Symbol.dispose](): void {
    this.source[Symbol.dispose]();
    this.poll[Symbol.dispose]();
    this.rig[Symbol.dispose]();
  }
}

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host[Symbol.dispose]());

test("an exec stays settled as long as nothing changes", () => {
  host.source.settle(event);
  host.rig.learner.report();
  expect(host.isSettled).toBe(true);
});

describe.skipIf(process.geteuid?.() !== 0)("an exec is settled no more", () => {
  test("after a baseline was accepted or imported", () => {
    host.source.settle(event);
    host.rig.putInForce("/job");
    host.rig.request({ kind: "reload-baseline" });
    expect(host.isSettled).toBe(false);
    expect(host.reasons).toContain("baseline");
  });

  test("after the baseline is gone", () => {
    host.rig.putInForce("/job");
    host.rig.request({ kind: "reload-baseline" });
    host.source.settle(event);
    rmSync(host.rig.path(IN_FORCE));
    host.rig.request({ kind: "reload-baseline" });
    expect(host.isSettled).toBe(false);
  });

  test("after an exclusion was added or removed", () => {
    host.rig.putInForce("/other");
    host.rig.request({ kind: "reload-baseline" });
    host.source.settle(event);
    host.exclude(undefined);
    host.rig.request({ kind: "reload-baseline" });
    expect(host.isSettled).toBe(false);
    expect(host.reasons).toContain("exclusions");
  });

  test("once an exclusion has ended, though nothing else happens: the warden's loop wakes up for it", () => {
    host.exclude(NOON + 60, NOON + 90, undefined);
    host.rig.request({ kind: "reload-baseline" });
    host.source.settle(event);
    const { rig } = host;
    rig.passed = 0.5;
    expect(rig.knownTrees.exclusionEndsIn()).toBe(59.5e9);
    rig.passed = 59.5;
    rig.knownTrees.endExclusions();
    expect(host.isSettled).toBe(true);
    rig.passed = 60;
    rig.knownTrees.endExclusions();
    expect(host.isSettled).toBe(false);
    expect(host.reasons.at(-1)).toBe("exclusion ended");
    host.source.settle(event);
    expect(rig.knownTrees.exclusionEndsIn()).toBe(30e9);
    rig.passed = 90;
    rig.knownTrees.endExclusions();
    expect(host.isSettled).toBe(false);
    expect(rig.knownTrees.exclusionEndsIn()).toBeUndefined();
  });

  test("under another sensor, which begins with the same epoch", () => {
    host.source.settle(event);
    host.source.replace(new Error("the sensor failed"));
    expect(host.isSettled).toBe(false);
    host.source.settle(event);
    host.rig.epoch.raise("users");
    expect(host.isSettled).toBe(false);
  });
});
