// What is known of this host: the baseline in force, those of the roles, and exclusions.
import { expect, test } from "bun:test";
import { chmodSync, rmSync } from "node:fs";
import { formatExclusions } from "../../src/baseline/exclusions.ts";
import { EXCLUSIONS, IN_FORCE } from "../../src/baseline/file-names.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import type { RoleBaseline } from "../../src/policy/role-baseline.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { allSteps } from "../../src/vocabulary/steps.ts";
import { lineage } from "../baseline/lineages.ts";
import { NOON } from "../baseline/samples.ts";
import { BaselineRig, baselineOf } from "./baseline-rig.ts";

function ofRole(...trees: readonly string[]): RoleBaseline {
  const bytes = Buffer.from(baselineOf(...trees));
  return { role: "shop", file: "/p/shop.baseline", digest: "sha256:0", trees: trees.length, bytes };
}

/** Which of three programs are familiar, after each of some steps. */
function familiarAfter(...steps: readonly ((rig: BaselineRig) => void)[]): string[] {
  const trees = ["own", "roles", "later"].map((name) => treeOf(lineage(`/opt/tools/${name}`)));
  using rig = new BaselineRig({ ofRoles: [ofRole("/roles")], inForce: ["/own"] });
  return [() => {}, ...steps].map((step) => {
    step(rig);
    return trees
      .filter((tree) => rig.knownTrees.isFamiliar(tree))
      .map(({ path }) => path)
      .join(" ");
  });
}

test("the roles' baselines are known beside the host's own, until they are replaced", () => {
  expect(
    familiarAfter(
      ({ knownTrees }) => allSteps(knownTrees.reloading([ofRole("/later")])),
      (rig) => {
        rmSync(rig.path(IN_FORCE));
        allSteps(rig.knownTrees.reloading());
      },
      ({ knownTrees }) => allSteps(knownTrees.reloading([])),
    ),
  ).toEqual(["/own /roles", "/own /later", "/later", ""]);
});

test("while the host's own cannot be used nothing changes, and then what came meanwhile counts", () => {
  expect(
    familiarAfter(
      (rig) => {
        rig.write(IN_FORCE, "broken");
        allSteps(rig.knownTrees.reloading([ofRole("/later")]));
      },
      (rig) => {
        rig.putInForce("/own");
        chmodSync(rig.path(IN_FORCE), 0o666);
        allSteps(rig.knownTrees.reloading());
      },
      (rig) => {
        chmodSync(rig.path(IN_FORCE), 0o600);
        allSteps(rig.knownTrees.reloading());
      },
    ),
  ).toEqual(["/own /roles", "/own /roles", "/own /roles", "/own /later"]);
});

test("exclusions that others can write hide nothing more, and it is said how to repair that", () => {
  using rig = new BaselineRig({ inForce: ["/own"] });
  rig.write(EXCLUSIONS, formatExclusions([]));
  chmodSync(rig.path(EXCLUSIONS), 0o666);
  allSteps(rig.knownTrees.reloading());
  const [rejected] = rig.changes.filter(({ event }) => event === "baseline.rejected");
  expect(String(rejected?.details["baseline.errors"])).toContain(
    `${EXCLUSIONS}:0: can be written by others: its mode is 0666: chmod go-w ${rig.path(EXCLUSIONS)}`,
  );
});

const leaf = lineage("/usr/bin/ls");
const facts = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/ls", cgroup: "/" };
const exec = { process: { lineage: leaf }, facts, tree: treeOf(leaf) };

test("a look-up changes nothing: only the learner collects", () => {
  using rig = new BaselineRig({ inForce: ["/nothing"] });
  expect(rig.knownTrees.lookUp(exec, NOON).known).toBe(false);
  expect(rig.learner.hasReports).toBe(false);
  rig.learner.onExec(exec, rig.knownTrees.lookUp(exec, NOON));
  expect(rig.learner.hasReports).toBe(true);
});

test("a tree that an exclusion hides is neither known nor unknown, and is not learned", () => {
  using rig = new BaselineRig({ inForce: ["/nothing"] });
  const hidden = {
    tree: "/**/ls",
    user: undefined,
    scope: undefined,
    until: undefined,
    reason: "moving",
    bootEnd: undefined,
    change: undefined,
  };
  rig.write(EXCLUSIONS, formatExclusions([hidden]));
  rig.request({ kind: "reload-baseline" });
  expect(rig.knownTrees.lookUp(exec, NOON)).toEqual({});
  rig.request({ kind: "learn", seconds: null });
  rig.learner.onExec(exec, rig.knownTrees.lookUp(exec, NOON));
  expect(rig.learner.hasReports).toBe(false);
});

test("a baseline that cannot be read at the start leaves nothing known, unknown or null", () => {
  using rig = new BaselineRig({ inForce: ["/cron/sh"], broken: true });
  expect(rig.count("baseline.rejected")).toBe(1);
  expect(rig.knownTrees.lookUp(exec, NOON)).toEqual({});
});

test("the answer to a command that changes the baseline has the epoch of it, or what is wrong with the file", () => {
  using rig = new BaselineRig({ inForce: ["/cron/sh"] });
  const before = rig.epoch.current;
  rig.putInForce("/cron/sh", "/cron/ls");
  rig.request({ kind: "reload-baseline" });
  expect(rig.answer()).toMatchObject({ problems: [], epoch: rig.epoch.current });
  expect(rig.epoch.current).toBeGreaterThan(before);
  rig.write(IN_FORCE, "broken\n");
  rig.request({ kind: "reload-baseline" });
  expect(rig.answer()?.problems.length).toBeGreaterThan(0);
});

test("without a baseline nothing is known or unknown, and only a learning collects", () => {
  using rig = new BaselineRig();
  expect(rig.knownTrees.lookUp(exec, NOON)).toEqual({ known: null, familiar: null });
  rig.learner.onExec(exec, {});
  expect(rig.learner.hasReports).toBe(false);
  expect(rig.request({ kind: "learn", seconds: null })).toBe(true);
  rig.learner.onExec(exec, {});
  expect(rig.learner.hasReports).toBe(true);
});
