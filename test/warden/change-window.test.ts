// Change windows in the warden: what is new below a program is no alarm, but is collected under the id of the change.
import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import fc from "fast-check";
import { type Exclusion, formatExclusions } from "../../src/baseline/exclusions.ts";
import { EXCLUSIONS, OPEN_CHANGES } from "../../src/baseline/file-names.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { lineage, type Step } from "../baseline/lineages.ts";
import { NOON } from "../baseline/samples.ts";
import { BaselineRig, BOOT, UPTIME } from "./baseline-rig.ts";

interface WindowOptions {
  readonly id?: string;
  readonly under?: string;
  readonly from?: number;
  readonly seconds?: number;
  readonly user?: number;
}

/** As `change begin --for` writes it `from` seconds after NOON. */
function windowOf({
  id = "CHG-7",
  under = "deploy",
  from = 0,
  seconds = 60,
  user,
}: WindowOptions = {}): Exclusion {
  return {
    tree: "/**",
    user,
    scope: undefined,
    until: NOON + from + seconds,
    reason: "",
    bootEnd: { boot: BOOT, boottime: UPTIME + from + seconds, length: seconds },
    change: { id, under },
  };
}

function exec(...steps: readonly (string | Step)[]) {
  const leaf = lineage(...steps);
  const facts = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/ls", cgroup: "/" };
  return { process: { lineage: leaf }, facts, tree: treeOf(leaf) };
}

const below = exec("/usr/bin/deploy", "/usr/bin/ls");
const elsewhere = exec("/usr/sbin/nginx", "/usr/bin/ls");

function open(rig: BaselineRig, ...windows: readonly Exclusion[]): void {
  rig.write(EXCLUSIONS, formatExclusions(windows));
  rig.request({ kind: "reload-baseline" });
}

const knowledge = (rig: BaselineRig, of = below) =>
  rig.knownTrees.lookUp(of, NOON + rig.passed + rig.clockSet);
/** The trees that were reported as learned, each with its change. */
const collected = (rig: BaselineRig): readonly (readonly [string, string | null])[] =>
  rig.learned.flatMap((update) => (update.kind === "tree" ? [[update.tree.habit, update.tree.change]] : []));
const reported = (rig: BaselineRig): readonly string[] =>
  rig.changes
    .filter(({ event }) => event.startsWith("change."))
    .map(({ event, details }) => `${event} ${details["change.id"]}`);

describe("a change window", () => {
  test("makes what is new below its program neither known nor unknown, and names the change", () => {
    using rig = new BaselineRig({ inForce: ["/nothing"] });
    expect(knowledge(rig).known).toBe(false);
    open(rig, windowOf());
    expect(knowledge(rig)).toEqual({ change: "CHG-7" });
    expect(knowledge(rig, elsewhere).known).toBe(false);
    expect(knowledge(rig, elsewhere).change).toBeUndefined();
  });

  test("changes nothing for what is known, and nothing where no baseline was ever accepted", () => {
    using rig = new BaselineRig();
    open(rig, windowOf());
    expect(knowledge(rig)).toEqual({ known: null, familiar: null });
    rig.putInForce("/deploy/ls");
    rig.request({ kind: "reload-baseline" });
    expect(knowledge(rig).known).toBe(true);
    expect(knowledge(rig).change).toBeUndefined();
  });

  test("collects what it hides under its id, apart from what is unknown elsewhere", () => {
    using rig = new BaselineRig({ inForce: ["/nothing"] });
    open(rig, windowOf());
    for (const each of [below, elsewhere]) rig.learner.onExec(each, knowledge(rig, each));
    rig.learner.reportAll();
    expect(collected(rig)).toEqual([
      ["/deploy/ls", "CHG-7"],
      ["/nginx/ls", null],
    ]);
  });

  test("also collects while a learning run goes on, which does not learn it", () => {
    using rig = new BaselineRig({ inForce: ["/nothing"] });
    open(rig, windowOf());
    rig.request({ kind: "learn", seconds: null });
    for (const each of [below, elsewhere]) rig.learner.onExec(each, knowledge(rig, each));
    rig.learner.reportAll();
    expect(collected(rig)).toEqual([
      ["/deploy/ls", "CHG-7"],
      ["/nginx/ls", null],
    ]);
  });

  test("collects a new content of a known program under its id, too", () => {
    using rig = new BaselineRig({ inForce: ["/deploy/ls"] });
    const { process, facts } = below;
    const program = { lineage: process.lineage, facts };
    expect(rig.knownTrees.windowOf(program)).toBeUndefined();
    open(rig, windowOf());
    expect(rig.knownTrees.windowOf(program)).toBe("CHG-7");
    rig.learner.onChanged(program, `sha256:${"a".repeat(64)}`);
    rig.learner.reportAll();
    expect(collected(rig)).toEqual([["/deploy/ls", "CHG-7"]]);
  });

  test("reports what it has collected before it is reported as ended", () => {
    using rig = new BaselineRig({ inForce: ["/nothing"] });
    open(rig, windowOf());
    rig.learner.onExec(below, knowledge(rig));
    rig.write(EXCLUSIONS, formatExclusions([]));
    rig.request({ kind: "reload-changes" });
    expect(collected(rig)).toEqual([["/deploy/ls", "CHG-7"]]);
    expect(reported(rig)).toEqual(["change.began CHG-7", "change.ended CHG-7"]);
  });

  test("of a user is for no lineage in which a third one acts", () => {
    using rig = new BaselineRig({ inForce: ["/nothing"] });
    open(rig, windowOf({ user: 1000 }));
    const deploy: Step = { run: "/usr/bin/deploy", uid: 1000 };
    expect(knowledge(rig, exec(deploy, "/usr/bin/ls")).change).toBe("CHG-7");
    expect(knowledge(rig, exec(deploy, { run: "/usr/bin/ls", uid: 33 })).change).toBeUndefined();
  });

  test("wakes the warden for its end, and then what is new is an alarm again", () => {
    using rig = new BaselineRig({ inForce: ["/nothing"] });
    open(rig, windowOf({ seconds: 60 }));
    expect(rig.knownTrees.exclusionEndsIn()).toBe(60e9);
    rig.passed = 60;
    rig.knownTrees.endExclusions();
    expect(knowledge(rig).known).toBe(false);
    expect(reported(rig)).toEqual(["change.began CHG-7", "change.ended CHG-7"]);
  });

  test("is not prolonged by a clock that is set back, and ends early by one that is set forward", () => {
    using rig = new BaselineRig({ inForce: ["/nothing"] });
    open(rig, windowOf({ seconds: 60 }));
    rig.passed = 60;
    rig.clockSet = -3_600;
    expect(rig.knownTrees.exclusionEndsIn()).toBe(0);
    rig.knownTrees.endExclusions();
    expect(knowledge(rig).known).toBe(false);

    rig.clockSet = 0;
    open(rig, windowOf({ id: "CHG-8", from: 60, seconds: 60 }));
    expect(knowledge(rig).change).toBe("CHG-8");
    rig.clockSet = 7_200;
    rig.knownTrees.endExclusions();
    expect(knowledge(rig).known).toBe(false);
    // Once it has ended it stays closed.
    rig.clockSet = 0;
    expect(knowledge(rig).known).toBe(false);
  });

  test("is refused with the whole file if it has no end, or a name that is no one's", () => {
    for (const window of [
      { ...windowOf(), until: undefined },
      windowOf({ under: "base" }),
      windowOf({ id: "packages" }),
    ]) {
      using rig = new BaselineRig({ inForce: ["/nothing"] });
      open(rig, window);
      expect(rig.count("baseline.rejected")).toBe(1);
      expect(knowledge(rig).known).toBe(false);
    }
  });
});

test("what a package manager starts is an alarm as ever, and proposed as a change of its own", () => {
  using rig = new BaselineRig({ inForce: ["/nothing"] });
  const script = exec("/usr/bin/apt-get", "/usr/bin/dpkg", "/usr/bin/ls");
  expect(knowledge(rig, script)).toMatchObject({ known: false, change: "packages" });
  rig.learner.onExec(script, knowledge(rig, script));
  rig.learner.reportAll();
  expect(collected(rig)).toEqual([["/apt-get/dpkg/ls", "packages"]]);
});

test("a learning run learns what a package manager starts", () => {
  using rig = new BaselineRig({ inForce: ["/nothing"] });
  rig.request({ kind: "learn", seconds: null });
  const script = exec("/usr/bin/apt-get", "/usr/bin/dpkg", "/usr/bin/ls");
  rig.learner.onExec(script, knowledge(rig, script));
  rig.learner.reportAll();
  expect(collected(rig)).toEqual([["/apt-get/dpkg/ls", null]]);
});

// The model: when each change ends. The warden must agree with it after every step, also after a restart.
type Action =
  | { readonly kind: "begin"; readonly id: string; readonly seconds: number }
  | { readonly kind: "end"; readonly id: string }
  | { readonly kind: "pass"; readonly seconds: number }
  | { readonly kind: "restart" };

const id = fc.constantFrom("a", "b", "c");
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant("begin" as const), id, seconds: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ kind: fc.constant("end" as const), id }),
  fc.record({ kind: fc.constant("pass" as const), seconds: fc.integer({ min: 1, max: 30 }) }),
  fc.constant({ kind: "restart" as const }),
);

test("windows are open from begin to the earlier of end and expiry, and each change is reported once", () => {
  const run = (actions: readonly Action[]): void => {
    using first = new BaselineRig({ inForce: ["/nothing"] });
    rmSync(first.path(OPEN_CHANGES), { force: true });
    let rig = first;
    const ends = new Map<string, { readonly from: number; readonly seconds: number }>();
    const expected: string[] = [];
    const expire = (): void => {
      for (const [each, { from, seconds }] of ends) {
        if (from + seconds > rig.passed) continue;
        ends.delete(each);
        expected.push(`change.ended ${each}`);
      }
    };
    const write = (): void =>
      rig.write(
        EXCLUSIONS,
        formatExclusions([...ends].map(([each, end]) => windowOf({ id: each, under: each, ...end }))),
      );
    for (const step of actions) {
      if (step.kind === "begin") {
        if (!ends.has(step.id)) expected.push(`change.began ${step.id}`);
        ends.set(step.id, { from: rig.passed, seconds: step.seconds });
        write();
        rig.request({ kind: "reload-baseline" });
      } else if (step.kind === "end") {
        if (ends.delete(step.id)) expected.push(`change.ended ${step.id}`);
        write();
        rig.request({ kind: "reload-changes" });
      } else if (step.kind === "pass") {
        rig.passed += step.seconds;
        expire();
        rig.knownTrees.endExclusions();
      } else rig = new BaselineRig({ after: rig });
      for (const each of ["a", "b", "c"]) {
        const { change, known } = knowledge(rig, exec(`/opt/${each}`, "/usr/bin/ls"));
        expect([each, change, known]).toEqual(
          ends.has(each) ? [each, each, undefined] : [each, undefined, false],
        );
      }
      expect(reported(rig).toSorted()).toEqual(expected.toSorted());
    }
  };
  fc.assert(fc.property(fc.array(action, { maxLength: 12 }), run), { numRuns: 30 });
}, 30_000);
