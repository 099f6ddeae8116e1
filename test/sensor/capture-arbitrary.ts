// Events as a hostile host could make them.
import fc from "fast-check";
import { decodeText } from "../../src/linux/text.ts";
import type { AccountedFacts } from "../../src/sensor/acct/accounted-facts.ts";
import type { CaptureHeader } from "../../src/sensor/capture/format.ts";
import {
  lossReasons,
  type ProcessEvent,
  type ProcessFacts,
  type ScannedProcess,
  type SensorSource,
} from "../../src/sensor/event.ts";
import { sensorSources } from "../../src/vocabulary/sensors.ts";

export const header: CaptureHeader = {
  treewarden: "0.1.0",
  boot_id: "1f0c5f4e-8a3d-4f5a-9a57-3d9f0a0f8f11",
  boot_time_ms: 1_700_000_000_000,
  wall_offset_ns: 1_700_000_000_000_000_000,
  suspended_ns: 0,
  host_name: "web-1",
  kernel: "6.18.0",
};

/** Names in a kernel are bytes without a NUL. */
const text = fc.oneof(
  fc.constantFrom("/usr/bin/sh", "/usr/sbin/nginx", "sh", "-c", "/", "pts/0", "/system.slice/cron.service"),
  fc.uint8Array({ min: 1, max: 255, maxLength: 40 }).map((bytes) => decodeText(bytes)),
);
const perhaps = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const uint32 = fc.nat({ max: 0xffff_ffff });
const pid = fc.nat({ max: 4_194_304 });
const big = fc.oneof(fc.maxSafeNat(), fc.constantFrom(2 ** 53, 2 ** 62, 2 ** 63));
const time = fc.maxSafeNat();
const ticks = fc.nat({ max: 2 ** 40 });
const source = fc.constantFrom<SensorSource>(...sensorSources);

export const facts: fc.Arbitrary<ProcessFacts> = fc.record({
  startTicks: perhaps(ticks),
  parentPid: perhaps(pid),
  executable: perhaps(text),
  executableDeleted: perhaps(fc.boolean()),
  executableMemfd: perhaps(fc.boolean()),
  executableSetuid: perhaps(fc.boolean()),
  executableAge: perhaps(fc.double({ min: 0, max: 1e10, noNaN: true })),
  filename: perhaps(text),
  script: perhaps(text),
  args: perhaps(fc.array(fc.oneof(text, fc.constant("")), { maxLength: 6 })),
  argsTruncated: fc.boolean(),
  cwd: perhaps(text),
  uid: perhaps(uint32),
  realUid: perhaps(uint32),
  gid: perhaps(uint32),
  loginUid: fc.option(perhaps(uint32)),
  sessionId: perhaps(uint32),
  tty: fc.option(perhaps(text)),
  cgroup: perhaps(text),
  device: perhaps(big),
  inode: perhaps(big),
  mountNamespace: perhaps(uint32),
  pidNamespace: perhaps(uint32),
  userMounts: perhaps(fc.boolean()),
});

const accounted: fc.Arbitrary<AccountedFacts> = fc
  .tuple(facts, text)
  .map(([known, comm]) => ({ ...known, comm }));

export const event: fc.Arbitrary<ProcessEvent> = fc.oneof(
  fc.record({
    kind: fc.constant("fork" as const),
    source,
    time,
    pid,
    parentPid: pid,
    startTicks: ticks,
    startExact: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("exec" as const), source, time, pid, facts: fc.oneof(facts, accounted) }),
  fc.record({ kind: fc.constant("user" as const), source, time, pid, uid: uint32, realUid: uint32 }),
  fc.record({ kind: fc.constant("exit" as const), source, time, pid, status: perhaps(uint32) }),
  fc.record({
    kind: fc.constant("loss" as const),
    source,
    time,
    reason: fc.constantFrom(...lossReasons),
    count: perhaps(uint32),
  }),
);

export const scanned: fc.Arbitrary<ScannedProcess> = fc.record({ pid, kernelThread: fc.boolean(), facts });

/** What a recorder is told, in order. */
export type Told =
  | { readonly what: "event"; readonly event: ProcessEvent }
  | { readonly what: "scan"; readonly processes: readonly ScannedProcess[]; readonly time: number }
  | { readonly what: "clock"; readonly wallOffset: number };

export const told: fc.Arbitrary<Told> = fc.oneof(
  { weight: 8, arbitrary: event.map((one): Told => ({ what: "event", event: one })) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.array(scanned, { maxLength: 4 }), time)
      .map(([processes, at]): Told => ({ what: "scan", processes, time: at })),
  },
);
