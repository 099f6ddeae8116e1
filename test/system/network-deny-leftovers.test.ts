// Entries of processes that are denied something go with their processes, also if their exits were lost: nobody can fill the
// kernel's room by floods.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { BpfMap } from "../../src/linux/bpf/map.ts";
import { monotonicNow } from "../../src/linux/clock.ts";
import { EPERM } from "../../src/linux/libc.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import { deniedProcess } from "../../src/sensor/ebpf/network/layout.ts";
import { mostProcesses } from "../../src/sensor/ebpf/process-limit.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import type { KeptObjects, ObjectKeeper } from "../../src/sensor/object-keeper.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { DenialsInForce } from "../../src/warden/denials-in-force.ts";
import { Tracker } from "../../src/warden/tracker.ts";
import { policyOf } from "../policy/helpers.ts";
import { DenyingWatch, denied } from "./denied-network.ts";
import { drainAll, whyNot } from "./ebpf-watch.ts";
import { Actor, ActorFolder, NetworkWatch } from "./network-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const CROWD = 200;
const PORT = 18_487;
const RING_BYTES = 64 << 10;

/** Takes note of the descriptors of what the sensor uses. */
class Keeper implements ObjectKeeper {
  readonly build = "1.0";
  private objects: KeptObjects = { description: "", descriptors: [] };

  takeLeft(): undefined {
    return undefined;
  }

  keep(objects: KeptObjects): void {
    this.objects = objects;
  }

  /** The map of denied processes. */
  get denied(): BpfMap {
    const names = this.objects.description.split("\n").flatMap((line) => line.split(" ").slice(2));
    const fd = this.objects.descriptors[names.indexOf("map:denied")];
    const spec = { type: "hash", name: "tw_denied", keyBytes: 8, valueBytes: deniedProcess.size } as const;
    return new BpfMap({ ...spec, entries: mostProcesses() }, fd);
  }
}

test.skipIf(reason !== undefined)(
  "the entries of processes whose exits were lost go with the next scan",
  async () => {
    using folder = new ActorFolder();
    const keeper = new Keeper();
    using watch = new NetworkWatch(["connect"], { bufferBytes: RING_BYTES, keeper });
    const policy = policyOf([{ id: "d", on: ["connect"], when: { under: ["shopd"] }, action: "deny" }]);
    const shop = testSubject({ lineage: ["/bin/sh", "/usr/bin/shopd"] });
    const other = testSubject({ lineage: ["/bin/sh"] });
    const totals = new Totals();
    let lost = 0;
    const tracker = new Tracker(
      { identify, totals, trees: new TreeTotals(totals), suspendedNs: 0, isKnown: () => false },
      {
        onFork: (child) => denials.assign(child),
        onExec: ({ process }) => denials.assign(process),
        onExit: () => undefined,
        onMissedExit: ({ pid }) => watch.sensor.exited(pid),
        onNetwork: () => undefined,
        onClose: () => undefined,
        onLoss: ({ count }) => {
          lost += count ?? 0;
        },
      },
    );
    const denials = new DenialsInForce({
      policy: { current: policy },
      enforcement: { mayAct: true, states: ruleStatesOf(policy, () => true, noOverrides) },
      epoch: { current: 1 },
      processes: () => tracker.forest.processes(),
      above: (process) => tracker.forest.liveAncestors(process),
      kernel: () => watch.sensor.denials,
      subjectOf: ({ lineage }) => (lineage.program.executable === folder.actor ? shop : other),
      isSpared: () => false,
    });
    const drain = () => drainAll(watch.sensor, (event) => tracker.handle(event));
    await using actor = await Actor.start(folder.actor);
    drain();
    allSteps(denials.applying());
    const map = keeper.denied;
    const before = map.keys().length;
    expect(before).toBeGreaterThan(0);

    // Their forks are in the ring; what follows fills it, so that their exits are not. Then the forks are read.
    await actor.do(`crowd ${CROWD}`);
    for (let i = 0; i < RING_BYTES / 160; i += 1) Bun.spawnSync(["true"]);
    await actor.do("close");
    drain();
    expect(lost).toBeGreaterThan(CROWD / 2);
    expect(map.keys().length).toBeGreaterThan(before + CROWD / 2);

    const found = [...tracker.forest.processes()].filter(({ pid }) => existsSync(`/proc/${pid}`));
    const scan = found.map(({ pid }) => ({ pid, kernelThread: false, facts: unknownFacts }));
    tracker.forget(tracker.reconcile(scan, monotonicNow()).missing);
    expect(map.keys()).toHaveLength(before);
  },
  30_000,
);

test.skipIf(reason !== undefined)(
  "a child that cannot inherit what its parent is denied, because there is no room, is counted",
  async () => {
    using denying = new DenyingWatch();
    const { denials } = denying;
    await using actor = await denying.start();
    const set = denying.setOf(denied("127.0.0.0/8"));
    const sets = { set, afterExec: set };
    expect(denials.assign(denying.judged(actor), sets)).toBe(true);
    expect(await actor.do(`fork tcp 127.0.0.1 ${PORT}`)).toMatchObject({ errno: EPERM });
    expect(denials.full).toBe(0);
    // Above the highest number that a process can have.
    let pid = 1 << 22;
    while (denials.assign({ pid, startTicks: 1, execId: undefined }, sets)) pid += 1;
    expect((await actor.do(`fork tcp 127.0.0.1 ${PORT}`)).errno).not.toBe(EPERM);
    expect(denials.full).toBeGreaterThan(0);
  },
  30_000,
);
