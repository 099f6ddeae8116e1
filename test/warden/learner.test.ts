// What is learned of this host, and kept for the next warden.
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync, statSync } from "node:fs";
import { LEARNING_STATE } from "../../src/baseline/file-names.ts";
import { type LearningState, parseState } from "../../src/baseline/learning-state.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { AtomicFileWriter } from "../../src/warden/atomic-file-writer.ts";
import { lineage } from "../baseline/lineages.ts";
import { NOON } from "../baseline/samples.ts";
import { BaselineRig } from "./baseline-rig.ts";

test("a state that cannot be written ends nothing: it is reported once, and written when it can be", () => {
  using rig = new BaselineRig();
  const state = rig.path(LEARNING_STATE);
  // No file takes the place of a folder.
  mkdirSync(state);
  rig.learner.report();
  rig.learner.report();
  expect(rig.count("baseline.not_saved")).toBe(1);
  expect(rig.learner.hasReports).toBe(true);
  rmdirSync(state);
  rig.learner.report();
  expect(statSync(state).isFile()).toBe(true);
});

test("a request to stop learning is answered once the state of the ended run is on the disk", async () => {
  const files = new AtomicFileWriter();
  using rig = new BaselineRig({ writeFile: (...file) => files.write(...file) });
  rig.learner.start(null);
  // The disk is still busy with an earlier state.
  rig.request({ kind: "stop-learning" });
  for (let turns = 0; files.busy && !rig.hasAnswered() && turns < 100_000; turns += 1)
    await files.runEventLoop();
  expect(rig.answer()).toMatchObject({ problems: [] });
  expect(savedState(rig)).toMatchObject({ phase: "stopped" });
});

test("a request to stop learning without a learning run is answered, and changes and reports nothing", () => {
  using rig = new BaselineRig();
  rig.learner.report();
  rig.request({ kind: "stop-learning" });
  expect(rig.answer()).toMatchObject({ problems: [] });
  expect(savedState(rig)).toMatchObject({ phase: "watching" });
  expect(rig.changes).toEqual([]);
});

test("trees that are not in the journal when the warden ends are known to the next one as possibly lost", () => {
  using first = new BaselineRig();
  first.learner.start(null);
  const leaf = lineage({ run: "/usr/bin/install" });
  const facts = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/install", cgroup: "/" };
  first.learner.onExec({ process: { lineage: leaf }, facts, tree: treeOf(leaf) }, {});
  first.unconfirmedTrees = 1;
  first.learner.report();
  expect(savedState(first)).toMatchObject({ trees: 1, inTransit: 1, unconfirmed: 0 });
  const second = new BaselineRig({ after: first });
  second.learner.stop();
  expect(savedState(second)).toMatchObject({ trees: 1, inTransit: 0, unconfirmed: 1 });
});

test("the saved state follows what has reached the journal", () => {
  using rig = new BaselineRig();
  rig.learner.start(null);
  rig.unconfirmedTrees = 3;
  rig.learner.report();
  expect(rig.learner.hasReports).toBe(false);
  rig.unconfirmedTrees = 0;
  expect(rig.learner.hasReports).toBe(true);
  rig.learner.report();
  expect(savedState(rig)).toMatchObject({ inTransit: 0 });
  expect(rig.learner.hasReports).toBe(false);
});

test("what runs in a container before its image is known is neither known nor unknown, and learned below its image", () => {
  let image: string | undefined;
  using rig = new BaselineRig({ inForce: ["/nothing"], imageOf: () => image });
  const { knownTrees, learner } = rig;
  const leaf = lineage({ run: "/usr/bin/ls", container: "c".repeat(64) });
  const facts = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/ls", cgroup: "/docker" };
  const exec = { process: { lineage: leaf }, facts, tree: treeOf(leaf) };
  expect(knownTrees.lookUp(exec, NOON)).toEqual({});
  learner.onExec(exec, {});
  expect(learner.hasReports).toBe(true);
  learner.report();
  expect(rig.learned).toEqual([]);
  image = "nginx";
  learner.report();
  expect(rig.learned).toMatchObject([{ kind: "tree", tree: { scope: "container/nginx" } }]);
  expect(knownTrees.lookUp(exec, NOON).known).toBe(false);
});

function savedState(rig: BaselineRig): LearningState | undefined {
  return parseState(readFileSync(rig.path(LEARNING_STATE), "utf8"));
}
