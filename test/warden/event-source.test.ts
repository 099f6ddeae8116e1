import { expect, test } from "bun:test";
import { type Config, defaultConfig } from "../../src/config/config.ts";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { Poll } from "../../src/linux/epoll.ts";
import { Timer } from "../../src/linux/timerfd.ts";
import { Totals } from "../../src/report/totals.ts";
import type { CarriedSignals } from "../../src/sensor/condemned.ts";
import type { Sensor } from "../../src/sensor/event.ts";
import type { LastResort } from "../../src/sensor/open.ts";
import type { LiveSource, SourceChoice } from "../../src/vocabulary/sensors.ts";
import { Epoch } from "../../src/warden/epoch.ts";
import { EventSource } from "../../src/warden/event-source.ts";
import { policyOf } from "../policy/helpers.ts";

const failure = new Error("recvmmsg: ENOMEM");

function pretendedSensor(source: LiveSource, reads: boolean[], carried: CarriedSignals[]): Sensor {
  const timer = new Timer();
  return {
    source,
    fd: timer.fd,
    drain() {},
    readEnvironment: (on) => void reads.push(on),
    carrySignals: (signals) => void carried.push(signals),
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}

/** An event source under this choice; `opened` collects what it asked for. */
function eventSource(choice: SourceChoice, config: Partial<Config> = {}) {
  const opened: { readonly choice: SourceChoice; readonly lastResort: LastResort | undefined }[] = [];
  /** What the sensors were told of the environment. */
  const reads: boolean[] = [];
  /** Which signals they were to carry on. */
  const carried: CarriedSignals[] = [];
  const poll = new Poll();
  const totals = new Totals();
  const source = new EventSource({
    config: { ...defaultConfig(), ...config, source: choice },
    poll,
    token: 1,
    totals,
    epoch: new Epoch(),
    open(asked, lastResort) {
      opened.push({ choice: asked, lastResort });
      const next = lastResort?.source === "ebpf" ? "netlink" : "ebpf";
      return { sensor: pretendedSensor(asked === "auto" ? next : asked, reads, carried), why: "because" };
    },
  });
  return {
    source,
    opened,
    reads,
    carried,
    [Symbol.dispose]() {
      source[Symbol.dispose]();
      poll[Symbol.dispose]();
    },
  };
}

test("under auto another source takes over from one that failed, which is tried last", () => {
  using rig = eventSource("auto");
  expect(rig.source.name).toBe("ebpf");
  expect(rig.source.replace(failure)).toBe("ebpf");
  expect(rig.source.name).toBe("netlink");
  expect(rig.opened.at(-1)).toEqual({
    choice: "auto",
    lastResort: { source: "ebpf", reason: "Error: recvmmsg: ENOMEM" },
  });
});

test("a source that was chosen by name is never exchanged: its failure ends the warden", () => {
  for (const choice of ["ebpf", "netlink"] as const) {
    using rig = eventSource(choice);
    expect(() => rig.source.replace(failure)).toThrow(failure);
    expect(rig.source.name).toBe(choice);
    expect(rig.opened).toHaveLength(1);
  }
});

test("the environment is read only while a rule in force asks for it", () => {
  using rig = eventSource("ebpf");
  const preload = "process.environment_variable.LD_PRELOAD";
  const conditions = [
    { "==": [{ var: "process.user.id" }, 0] },
    { "!!": { var: preload } },
    { "!": { missing: [preload] } },
    { var: "process.environment_truncated" },
  ];
  const nothing = { mayAct: false, states: new Map() };
  for (const when of conditions)
    rig.source.applyPolicy(policyOf([{ id: "a", when, action: "alert" }]), nothing);
  expect(rig.reads).toEqual([false, true, true, true]);
});

const evidence = { ...defaultConfig().evidence, enabled: true };

test.each([
  ["rules kill", "kill", {}, true, "SIGKILL"],
  ["rules kill, and evidence is taken", "kill", { evidence }, true, "both"],
  ["rules stop", "stop", {}, true, "both"],
  ["rules may not act", "stop", { evidence }, false, "none"],
] as const)(
  "the kernel holds processes that stand still only where there may be some: %s",
  (_, action, config, mayAct, signals) => {
    using rig = eventSource("ebpf", config);
    const policy = policyOf([
      { id: "shell", when: { "==": [{ var: "process.executable.name" }, "sh"] }, action },
    ]);
    rig.source.applyPolicy(policy, { mayAct, states: ruleStatesOf(policy, () => true, noOverrides) });
    rig.source.hasCondemned = () => true;
    rig.source.applyPolicy(policy, { mayAct: false, states: new Map() });
    expect(rig.carried).toEqual([signals, "both"]);
  },
);
