// What a hostile host could have a recorder write down.
import fc from "fast-check";
import { decodeText } from "../../src/linux/text.ts";
import type { AccountedFacts } from "../../src/sensor/acct/accounted-facts.ts";
import type { CaptureHeader } from "../../src/sensor/capture/header.ts";
import type { CaptureItem } from "../../src/sensor/capture/items.ts";
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
  madeBy: "record",
  redacted: false,
  hostName: "web-1",
  kernel: "6.18.0",
  bootId: "1f0c5f4e-8a3d-4f5a-9a57-3d9f0a0f8f11",
  bootTimeMs: 1_700_000_000_000,
  wallOffset: 1_700_000_000_000_000_000,
  suspended: 0,
  source: "ebpf",
  argumentsLimit: 4096,
};

/** Names in a kernel are bytes without a NUL. */
const text = fc.oneof(
  fc.constantFrom("/usr/bin/sh", "-c", "/", "pts/0", "\\x0a", "\n", "a\\b", "\u202e"),
  fc.uint8Array({ min: 1, max: 255, maxLength: 40 }).map((bytes) => decodeText(bytes)),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const uint32 = fc.nat({ max: 0xffff_ffff });
const pid = fc.nat({ max: 4_194_304 });
const big = fc.oneof(fc.maxSafeNat(), fc.constantFrom(2 ** 53, 2 ** 62, 2 ** 63));
const time = fc.oneof(fc.maxSafeNat(), fc.constantFrom(2 ** 55, 1.5));
const ticks = fc.nat({ max: 2 ** 40 });
const source = fc.constantFrom<SensorSource>(...sensorSources);

export const facts: fc.Arbitrary<ProcessFacts> = fc.record({
  startTicks: maybe(ticks),
  parentPid: maybe(pid),
  executable: maybe(text),
  executableDeleted: maybe(fc.boolean()),
  executableMemfd: maybe(fc.boolean()),
  executableSetuid: maybe(fc.boolean()),
  executableAge: maybe(fc.double({ min: 0, max: 1e10, noNaN: true })),
  filename: maybe(text),
  script: maybe(text),
  args: maybe(fc.array(fc.oneof(text, fc.constant("")), { maxLength: 6 })),
  argsTruncated: fc.boolean(),
  cwd: maybe(text),
  uid: maybe(uint32),
  realUid: maybe(uint32),
  gid: maybe(uint32),
  loginUid: fc.option(maybe(uint32)),
  sessionId: maybe(uint32),
  tty: fc.option(maybe(text)),
  cgroup: maybe(text),
  device: maybe(big),
  inode: maybe(big),
  mountNamespace: maybe(uint32),
  pidNamespace: maybe(uint32),
  userMounts: maybe(fc.boolean()),
  executableTrusted: maybe(fc.boolean()),
  environment: maybe(
    fc
      .array(fc.tuple(fc.constantFrom("LD_PRELOAD", "BASH_ENV", "ENV"), fc.option(text)), { maxLength: 3 })
      .map((variables) => new Map(variables)),
  ),
  environmentTruncated: maybe(fc.boolean()),
});

const accounted: fc.Arbitrary<AccountedFacts> = fc
  .tuple(facts, text)
  .map(([known, comm]) => ({ ...known, comm }));

const event: fc.Arbitrary<ProcessEvent> = fc.oneof(
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
  fc.record({ kind: fc.constant("exit" as const), source, time, pid, status: maybe(uint32) }),
  fc.record({
    kind: fc.constant("loss" as const),
    source,
    time,
    reason: fc.constantFrom(...lossReasons),
    count: maybe(uint32),
  }),
);

const scanned: fc.Arbitrary<ScannedProcess> = fc.record({ pid, kernelThread: fc.boolean(), facts });

const answer = fc.record(
  {
    package: fc.option(text),
    unpackaged: fc.boolean(),
    modified: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** Anything that a writer may be asked to write, except for user names, which it adds itself. */
export const item: fc.Arbitrary<CaptureItem> = fc.oneof(
  { weight: 10, arbitrary: event },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("scan" as const),
      processes: fc.array(scanned, { maxLength: 4 }),
      time,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("scan_end" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("process_start" as const), pid, startTicks: ticks }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("peer" as const),
      pid,
      time,
      name: maybe(fc.option(text)),
      known: maybe(fc.option(fc.boolean())),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("examined" as const),
      path: text,
      device: big,
      inode: big,
      examined: maybe(answer),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("container" as const),
      pod: maybe(fc.option(fc.record({ name: text, namespace: maybe(text), container: maybe(text) }))),
      id: text,
      image: fc.option(maybe(text)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("changed" as const),
      pid,
      time,
      changed: maybe(fc.boolean()),
      isAwaited: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("text" as const),
      name: text,
      text: fc.oneof(fc.string(), fc.string({ unit: "binary", minLength: 0, maxLength: 50 })),
    }),
  },
);
