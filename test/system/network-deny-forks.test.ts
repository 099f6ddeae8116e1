// A process that is forked while another epoch comes into force is denied what its parent is, from its first call on.
import { expect, test } from "bun:test";
import { ruleStatesOf } from "../../src/enforcement/arming.ts";
import { noOverrides } from "../../src/enforcement/overrides.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import type { ProcessEvent } from "../../src/sensor/event.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { DenialsInForce } from "../../src/warden/denials-in-force.ts";
import { Tracker } from "../../src/warden/tracker.ts";
import { policyOf } from "../policy/helpers.ts";
import { whyNot } from "./ebpf-watch.ts";
import { Actor, ActorFolder, NetworkWatch } from "./network-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const PORT = 18_483;
const FORKS = 3_000;

test.skipIf(reason !== undefined)(
  "children are denied what their parent is, whatever epoch begins",
  async () => {
    using folder = new ActorFolder();
    using watch = new NetworkWatch(["connect"]);
    const policy = policyOf([{ id: "d", on: ["connect"], when: { under: ["shopd"] }, action: "deny" }]);
    const shop = testSubject({ lineage: ["/bin/sh", "/usr/bin/shopd"] });
    const other = testSubject({ lineage: ["/bin/sh"] });
    const epoch = { current: 1 };
    const totals = new Totals();
    const tracker = new Tracker(
      { identify, totals, trees: new TreeTotals(totals), suspendedNs: 0, isKnown: () => false },
      {
        onFork: (child) => denials.assign(child),
        onExec: ({ process }) => denials.assign(process),
        onExit: () => undefined,
        onNetwork: () => undefined,
        onClose: () => undefined,
        onLoss: () => undefined,
      },
    );
    const denials = new DenialsInForce({
      policy: { current: policy },
      enforcement: { mayAct: true, states: ruleStatesOf(policy, () => true, noOverrides) },
      epoch,
      processes: () => tracker.forest.processes(),
      above: (process) => tracker.forest.liveAncestors(process),
      kernel: () => watch.sensor.denials,
      subjectOf: ({ lineage }) => (lineage.program.executable === folder.actor ? shop : other),
      isSpared: () => false,
    });
    const drain = () => watch.sensor.drain((event: ProcessEvent) => tracker.handle(event));
    denials.catchUp = drain;
    await using actor = await Actor.start(folder.actor);
    drain();
    allSteps(denials.applying());

    let isOver = false;
    const free = actor.do(`brood ${FORKS} 127.0.0.1 ${PORT}`).finally(() => {
      isOver = true;
    });
    let epochs = 0;
    while (!isOver) {
      epoch.current += 1;
      epochs += 1;
      allSteps(denials.applying());
      drain();
      await Bun.sleep(0);
    }
    expect((await free).errno).toBe(0);
    expect(epochs).toBeGreaterThan(20);
  },
  60_000,
);
