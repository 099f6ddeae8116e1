import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import { IN_FORCE, LEARNING_STATE } from "../../src/baseline/file-names.ts";
import type { LearnedUpdate } from "../../src/baseline/learned.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import type { RoleBaseline } from "../../src/policy/role-baseline.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { BaselineService } from "../../src/warden/baseline-service.ts";
import { Epoch } from "../../src/warden/epoch.ts";
import { lineage } from "../baseline/lineages.ts";
import { entry, NOON } from "../baseline/samples.ts";

test("a state that cannot be written ends nothing: it is told once, and written when it can be", () => {
  const stateDirectory = mkdtempSync(join(tmpdir(), "knowing-"));
  try {
    const state = join(stateDirectory, LEARNING_STATE);
    mkdirSync(dirname(state), { recursive: true });
    // What is written first stands in the way of a folder.
    mkdirSync(`${state}.new`);
    const told: string[] = [];
    const knowing = new BaselineService({
      stateDirectory,
      ofRoles: [],
      recordChange: (event) => told.push(event),
      reportLearned: () => true,
      epoch: new Epoch(),
      look: () => undefined,
      imageOf: () => null,
      now: () => 1_800_000_000,
    });
    knowing.reportLearned();
    knowing.reportLearned();
    expect(told.filter((event) => event === "baseline.not_saved")).toHaveLength(1);
    rmdirSync(`${state}.new`);
    knowing.reportLearned();
    expect(existsSync(state)).toBe(true);
  } finally {
    rmSync(stateDirectory, { recursive: true });
  }
});

function baselineOf(...trees: readonly string[]): string {
  const header = { role: undefined, hosts: ["a"], created: NOON, learnedFrom: NOON, learnedTo: NOON };
  return formatBaseline({ header, entries: trees.map((tree) => entry(tree)) });
}

function ofRole(...trees: readonly string[]): RoleBaseline {
  const bytes = Buffer.from(baselineOf(...trees));
  return { role: "shop", file: "/p/shop.baseline", digest: "sha256:0", trees: trees.length, bytes };
}

/** Which of three programs are familiar, after each of some steps. */
function familiarAfter(...steps: readonly ((knowing: BaselineService, inForce: string) => void)[]): string[] {
  const stateDirectory = mkdtempSync(join(tmpdir(), "knowing-"));
  const trees = ["own", "roles", "later"].map((name) => treeOf(lineage(`/opt/tools/${name}`)));
  try {
    const inForce = join(stateDirectory, IN_FORCE);
    mkdirSync(dirname(inForce), { recursive: true });
    writeFileSync(inForce, baselineOf("/own"), { mode: 0o600 });
    const knowing = new BaselineService({
      stateDirectory,
      ofRoles: [ofRole("/roles")],
      recordChange: () => {},
      reportLearned: () => true,
      epoch: new Epoch(),
      look: () => undefined,
      imageOf: () => null,
      now: () => NOON,
    });
    return [() => {}, ...steps].map((step) => {
      step(knowing, inForce);
      return trees
        .filter((tree) => knowing.isFamiliar(tree))
        .map(({ path }) => path)
        .join(" ");
    });
  } finally {
    rmSync(stateDirectory, { recursive: true });
  }
}

test("what comes with the roles is known beside what is the host's own, until others come", () => {
  expect(
    familiarAfter(
      (knowing) => knowing.reload([ofRole("/later")]),
      (knowing, inForce) => {
        rmSync(inForce);
        knowing.reload();
      },
      (knowing) => knowing.reload([]),
    ),
  ).toEqual(["/own /roles", "/own /later", "/later", ""]);
});

test("while the host's own cannot be used nothing changes, and then what came meanwhile counts", () => {
  expect(
    familiarAfter(
      (knowing, inForce) => {
        writeFileSync(inForce, "broken");
        knowing.reload([ofRole("/later")]);
      },
      (knowing, inForce) => {
        writeFileSync(inForce, baselineOf("/own"));
        chmodSync(inForce, 0o666);
        knowing.reload();
      },
      (knowing, inForce) => {
        chmodSync(inForce, 0o600);
        knowing.reload();
      },
    ),
  ).toEqual(["/own /roles", "/own /roles", "/own /roles", "/own /later"]);
});

test("what runs in a container before its image is known is neither known nor unknown, and learned below its image", () => {
  const stateDirectory = mkdtempSync(join(tmpdir(), "knowing-"));
  try {
    const inForce = join(stateDirectory, IN_FORCE);
    mkdirSync(dirname(inForce), { recursive: true });
    writeFileSync(inForce, baselineOf("/nothing"), { mode: 0o600 });
    let image: string | null | undefined;
    const reports: LearnedUpdate[] = [];
    const knowing = new BaselineService({
      stateDirectory,
      ofRoles: [],
      recordChange: () => {},
      reportLearned: (update) => reports.push(update) > 0,
      epoch: new Epoch(),
      look: () => undefined,
      imageOf: () => image,
      now: () => NOON,
    });
    const leaf = lineage({ run: "/usr/bin/ls", container: "c".repeat(64) });
    const facts = { ...factsFromEvents(nothingKnown), executable: "/usr/bin/ls", cgroup: "/docker" };
    const exec = { process: { lineage: leaf }, facts, tree: treeOf(leaf) };
    expect(knowing.lookUp(exec)).toEqual({});
    expect(knowing.hasReports).toBe(true);
    knowing.reportLearned();
    expect(reports).toEqual([]);
    image = "nginx";
    knowing.reportLearned();
    expect(reports).toMatchObject([{ kind: "tree", tree: { scope: "container/nginx" } }]);
    expect(knowing.lookUp(exec).known).toBe(false);
  } finally {
    rmSync(stateDirectory, { recursive: true });
  }
});
