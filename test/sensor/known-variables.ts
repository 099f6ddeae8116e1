// Which variables a policy would know of the execs among some events.
import { createIdentifier } from "../../src/fingerprint/identify.ts";
import { identifyAccounted } from "../../src/offline/accounted.ts";
import { readerOf } from "../../src/policy/subject.ts";
import { Totals } from "../../src/report/totals.ts";
import { TreeTotals } from "../../src/report/tree-totals.ts";
import type { ProcessEvent } from "../../src/sensor/event.ts";
import { type JudgedVariable, judgedNames, kindsWithout } from "../../src/vocabulary/variables.ts";
import { Tracker } from "../../src/warden/tracker.ts";
import { execSubject } from "../../src/warden/verdict-handler.ts";

/** Answered by the baseline or the examiner, or absent on a host where nobody has logged in: no sensor knows them. */
const fromElsewhere: ReadonlySet<JudgedVariable> = new Set<JudgedVariable>([
  "tree.known",
  "tree.familiar",
  "tree.age",
  "tree.count",
  "process.executable.package",
  "process.executable.unpackaged",
  "process.executable.modified",
  "process.runnable.changed",
  "container.image.name",
  "k8s.pod.name",
  "k8s.namespace.name",
  "k8s.container.name",
  "process.session_id",
]);

function isOfExecs(name: JudgedVariable): boolean {
  return kindsWithout(name, ["exec"]).length === 0;
}

/** Variables of execs that a sensor could know and that no exec of `pid` among `events` had. */
export function unknownVariables(events: readonly ProcessEvent[], pid: number): ReadonlySet<JudgedVariable> {
  const unknown = new Set(judgedNames.filter((name) => !fromElsewhere.has(name) && isOfExecs(name)));
  const totals = new Totals();
  const tracker = new Tracker(
    {
      identify: identifyAccounted(createIdentifier()),
      totals,
      trees: new TreeTotals(totals, { mode: "off", limit: 1 }),
      suspendedNs: 0,
      isKnown: () => false,
    },
    {
      onFork() {},
      onExit() {},
      onNetwork() {},
      onClose() {},
      onLoss() {},
      onExec(exec) {
        if (exec.process.pid !== pid) return;
        const subject = execSubject(exec, 0, { bootTimeMs: 0, userName: (uid) => `user${uid}` });
        for (const name of [...unknown]) if (readerOf(name)(subject) !== undefined) unknown.delete(name);
      },
    },
  );
  for (const event of events) tracker.handle(event);
  return unknown;
}
