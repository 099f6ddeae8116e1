import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { EventRecord } from "../../src/report/event-record.ts";
import { Totals } from "../../src/report/totals.ts";
import type { OwnSignal, SignalSink } from "../../src/sensor/event.ts";
import { SelfWatch } from "../../src/warden/self-watch.ts";

const { SIGINT, SIGKILL, SIGSTOP, SIGTERM } = constants.signals;
const SECOND = 1e9;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tw-self-"));
  mkdirSync(join(folder, "overrides"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A warden's watch without a kernel: signals and problems are made up. */
function watched() {
  const state = { now: 0, problem: undefined as string | undefined };
  const recorded: (EventRecord & { readonly event: string })[] = [];
  const totals = new Totals();
  let sink: SignalSink = { signal: () => undefined, lost: () => undefined };
  const watch = new SelfWatch({
    forest: { get: () => undefined },
    source: {
      watchSignals: (_pids, to) => {
        sink = to;
      },
      findTampering: () => state.problem,
    },
    totals,
    record: (event, details) => recorded.push({ event, ...details }),
    files: {
      stateDirectory: folder,
      configuration: join(folder, "config.yaml"),
      policies: ["web"],
      keys: [],
    },
    now: () => state.now,
    wallNow: () => 1e18 + state.now,
    executable: "/usr/bin/treewarden",
  });
  const signal = (changes: Partial<OwnSignal>) =>
    sink.signal({ pid: 20, signal: SIGSTOP, isKernels: false, senderPid: 99, senderUid: 0, ...changes });
  watch.setPids({ supervisor: 10, warden: 20, reporter: 30 });
  return { state, recorded, totals, watch, signal, lost: (count: number) => sink.lost(count) };
}

test("signals that came too fast are counted, and the next record has their number", () => {
  using watching = withDisposal(watched());
  const { signal, lost, recorded, totals } = watching;
  lost(7);
  signal({});
  expect(recorded).toMatchObject([{ "self.count": 1, "self.omitted": 7 }]);
  expect(totals.sumOf("selfEvents")).toBe(8);
});

test("a signal is recorded with the process that got it, also when another one has its place", () => {
  using watching = withDisposal(watched());
  const { watch, signal, recorded, totals } = watching;
  watch.setPids({ supervisor: 10, warden: 20, reporter: 31 });
  signal({ pid: 30, signal: SIGKILL });
  expect(recorded).toMatchObject([
    { event: "self.signaled", "self.process": "reporter", "self.signal": "SIGKILL", "self.by.pid": 99 },
  ]);
  expect(totals.sumOf("selfEvents")).toBe(1);
});

test("an order to stop is recorded, and is no attack", () => {
  using watching = withDisposal(watched());
  const { signal, recorded, totals } = watching;
  signal({ pid: 10, signal: SIGTERM });
  expect(recorded).toMatchObject([{ "self.process": "supervisor", "self.signal": "SIGTERM" }]);
  expect(recorded[0]).not.toHaveProperty("policy.severity");
  expect(totals.sumOf("selfEvents")).toBe(0);
});

test("a key of the terminal is no record, a process that the kernel kills is one without a sender", () => {
  using watching = withDisposal(watched());
  const { signal, recorded } = watching;
  signal({ signal: SIGINT, isKernels: true });
  expect(recorded).toEqual([]);
  signal({ signal: SIGKILL, isKernels: true });
  expect(recorded).toMatchObject([{ "self.signal": "SIGKILL", "self.process": "warden" }]);
  expect(recorded[0]).not.toHaveProperty("self.by.pid");
});

test("the stop that ptrace(2) brings about is a debugger", () => {
  using watching = withDisposal(watched());
  const { signal, recorded } = watching;
  signal({ signal: SIGSTOP, isKernels: true, senderPid: 77 });
  expect(recorded).toMatchObject([
    { event: "self.traced", "self.by.pid": 77, "policy.severity": "critical" },
  ]);
});

test("a check every five seconds, whose time is a metric as long as the kernel reports", () => {
  using watching = withDisposal(watched());
  const { state, watch, totals, recorded } = watching;
  const checkedAt = () => totals.sumOf("selfCheck");
  expect(watch.dueIn(0)).toBe(5 * SECOND);
  state.now = 10 * SECOND;
  expect(watch.work(state.now)).toBeUndefined();
  expect(checkedAt()).toBe(1e9 + 10);
  state.now = 20 * SECOND;
  state.problem = "nothing runs";
  expect(watch.work(state.now)).toBe("nothing runs");
  expect(checkedAt()).toBe(1e9 + 10);
  expect(recorded).toMatchObject([{ event: "sensor.detached", "error.message": "nothing runs" }]);
});

test("a warden that did not run for a minute records it", () => {
  using watching = withDisposal(watched());
  const { state, watch, recorded } = watching;
  state.now = 65 * SECOND;
  watch.work(state.now);
  expect(recorded).toMatchObject([{ event: "self.stalled", "self.seconds": 60 }]);
});

test("files of root's orders and of the configuration, but not those that are about to replace them", () => {
  using watching = withDisposal(watched());
  const { watch, recorded } = watching;
  const order = join(folder, "overrides/paused.json");
  writeFileSync(`${order}.7.new`, "{}");
  renameSync(`${order}.7.new`, order);
  writeFileSync(join(folder, "config.yaml"), "");
  writeFileSync(join(folder, "other.yaml"), "");
  watch.onFiles();
  const changes = new Set(recorded.map((record) => `${record["self.file"]} ${record["self.change"]}`));
  expect(changes).toEqual(
    new Set([
      `${order} replaced`,
      `${join(folder, "config.yaml")} made`,
      `${join(folder, "config.yaml")} written`,
    ]),
  );
});

function withDisposal(watching: ReturnType<typeof watched>): ReturnType<typeof watched> & Disposable {
  return { ...watching, [Symbol.dispose]: () => watching.watch[Symbol.dispose]() };
}
