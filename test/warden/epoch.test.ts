// What was settled before a change that decisions depend on is settled no more.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import { type Exclusion, formatExclusions } from "../../src/baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE } from "../../src/baseline/file-names.ts";
import { formatWardenRequest, REQUEST_FOLDER, requestName } from "../../src/baseline/warden-request.ts";
import { defaultConfig } from "../../src/config/config.ts";
import { Poll } from "../../src/linux/epoll.ts";
import { Timer } from "../../src/linux/timerfd.ts";
import { Totals } from "../../src/report/totals.ts";
import { type ExecEvent, type Sensor, unknownFacts } from "../../src/sensor/event.ts";
import { BaselineService } from "../../src/warden/baseline-service.ts";
import { Epoch } from "../../src/warden/epoch.ts";
import { EventSource } from "../../src/warden/event-source.ts";
import { entry, NOON } from "../baseline/samples.ts";

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
  readonly directory = mkdtempSync(join(tmpdir(), "epoch-"));
  readonly epoch = new Epoch();
  readonly reasons: string[] = [];
  readonly opened: KeySensor[] = [];
  readonly source: EventSource;
  readonly baseline: BaselineService;
  private readonly poll = new Poll();
  /** Seconds since 1970. */
  private clock = NOON;

  constructor() {
    this.source = new EventSource({
      config: defaultConfig(),
      poll: this.poll,
      token: 1,
      totals: new Totals(),
      epoch: this.epoch,
      open: () => {
        const sensor = new KeySensor();
        this.opened.push(sensor);
        return { sensor, why: "a test" };
      },
    });
    this.baseline = new BaselineService({
      stateDirectory: this.directory,
      ofRoles: [],
      recordChange: () => undefined,
      reportLearned: () => true,
      epoch: this.epoch,
      look: () => undefined,
      imageOf: () => null,
      now: () => this.clock,
    });
    this.epoch.onRaise((_, reason) => this.reasons.push(reason));
  }

  write(file: string, text: string): void {
    const path = join(this.directory, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { mode: 0o600 });
  }

  accept(...trees: readonly string[]): void {
    const header = { role: undefined, hosts: ["a"], created: NOON, learnedFrom: NOON, learnedTo: NOON };
    this.write(IN_FORCE, formatBaseline({ header, entries: trees.map((tree) => entry(tree)) }));
  }

  exclude(...untils: readonly (number | undefined)[]): void {
    const exclusion = (until: number | undefined): Exclusion => ({
      tree: "/**/job",
      user: undefined,
      scope: undefined,
      until,
      reason: "moving",
    });
    this.write(EXCLUSIONS, formatExclusions(untils.map(exclusion)));
  }

  /** What `baseline accept`, `import` and `exclude` end with. */
  requestReload(): void {
    const folder = join(this.directory, REQUEST_FOLDER);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, requestName(1, 1)), formatWardenRequest({ kind: "reload-baseline" }), {
      mode: 0o600,
    });
    this.baseline.handleRequests();
  }

  get isSettled(): boolean {
    return this.opened.at(-1)?.isSettled(event) ?? false;
  }

  [Symbol.dispose](): void {
    this.source[Symbol.dispose]();
    this.poll[Symbol.dispose]();
    rmSync(this.directory, { recursive: true });
  }
}

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => host[Symbol.dispose]());

test("an exec stays settled as long as nothing changes", () => {
  host.source.settle(event);
  host.baseline.reportLearned();
  expect(host.isSettled).toBe(true);
});

describe.skipIf(process.geteuid?.() !== 0)("an exec is settled no more", () => {
  test("after a baseline was accepted or imported", () => {
    host.source.settle(event);
    host.accept("/job");
    host.requestReload();
    expect(host.isSettled).toBe(false);
    expect(host.reasons).toContain("baseline");
  });

  test("after the baseline is gone", () => {
    host.accept("/job");
    host.requestReload();
    host.source.settle(event);
    rmSync(join(host.directory, IN_FORCE));
    host.requestReload();
    expect(host.isSettled).toBe(false);
  });

  test("after an exclusion was added or removed", () => {
    host.accept("/other");
    host.requestReload();
    host.source.settle(event);
    host.exclude(undefined);
    host.requestReload();
    expect(host.isSettled).toBe(false);
    expect(host.reasons).toContain("exclusions");
  });

  test("once an exclusion has ended, though nothing else happens: the warden's loop wakes up for it", () => {
    host.exclude(NOON + 60, NOON + 90, undefined);
    host.requestReload();
    host.source.settle(event);
    const noon = NOON * 1e9;
    const inNs = host.baseline.exclusionEndsIn(noon + 0.5e9);
    expect(inNs).toBe(59.5e9);
    host.baseline.endExclusions(noon + 59.9e9);
    expect(host.isSettled).toBe(true);
    host.baseline.endExclusions(noon + 60e9);
    expect(host.isSettled).toBe(false);
    expect(host.reasons.at(-1)).toBe("exclusion ended");
    host.source.settle(event);
    expect(host.baseline.exclusionEndsIn(noon + 60e9)).toBe(30e9);
    host.baseline.endExclusions(noon + 90e9);
    expect(host.isSettled).toBe(false);
    expect(host.baseline.exclusionEndsIn(noon + 90e9)).toBeUndefined();
  });

  test("under another sensor, which begins with the same epoch", () => {
    host.source.settle(event);
    host.source.replace("a test");
    expect(host.isSettled).toBe(false);
    host.source.settle(event);
    host.epoch.raise("users");
    expect(host.isSettled).toBe(false);
  });
});
