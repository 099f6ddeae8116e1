import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { formatBaseline } from "../../src/baseline/file.ts";
import { candidateOf, learnedEvent } from "../../src/baseline/learned.ts";
import { IN_FORCE, LEARNING_STATE } from "../../src/baseline/places.ts";
import { treeOf } from "../../src/fingerprint/tree.ts";
import type { RoleBaseline } from "../../src/policy/shipped.ts";
import type { EventRecord } from "../../src/report/record.ts";
import { factsOf, nothing } from "../../src/sensor/facts.ts";
import { writeNow } from "../../src/warden/filing.ts";
import { Knowing } from "../../src/warden/knowing.ts";
import { lineage } from "../baseline/lineages.ts";
import { entry, NOON } from "../baseline/samples.ts";

test("a state that cannot be written ends nothing: it is told once, and written when it can be", () => {
  const stateDirectory = mkdtempSync(join(tmpdir(), "knowing-"));
  try {
    const state = join(stateDirectory, LEARNING_STATE);
    // No file can take the place of a folder.
    mkdirSync(state, { recursive: true });
    const told: string[] = [];
    const knowing = new Knowing({
      stateDirectory,
      ofRoles: [],
      tell: (event) => told.push(event),
      hasRoom: () => true,
      look: () => undefined,
      imageOf: () => null,
      now: () => 1_800_000_000,
      write: writeNow,
    });
    knowing.tellLearned();
    knowing.tellLearned();
    expect(told.filter((event) => event === "baseline.not_saved")).toHaveLength(1);
    rmdirSync(state);
    knowing.tellLearned();
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
function familiarAfter(...steps: readonly ((knowing: Knowing, inForce: string) => void)[]): string[] {
  const stateDirectory = mkdtempSync(join(tmpdir(), "knowing-"));
  const trees = ["own", "roles", "later"].map((name) => treeOf(lineage(`/opt/tools/${name}`)));
  try {
    const inForce = join(stateDirectory, IN_FORCE);
    mkdirSync(dirname(inForce), { recursive: true });
    writeFileSync(inForce, baselineOf("/own"), { mode: 0o600 });
    const knowing = new Knowing({
      stateDirectory,
      ofRoles: [ofRole("/roles")],
      tell: () => {},
      hasRoom: () => true,
      look: () => undefined,
      imageOf: () => null,
      now: () => NOON,
      write: writeNow,
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
    const told: EventRecord[] = [];
    const knowing = new Knowing({
      stateDirectory,
      ofRoles: [],
      tell: (event, record) => {
        if (event === learnedEvent) told.push(record);
      },
      hasRoom: () => true,
      look: () => undefined,
      imageOf: () => image,
      now: () => NOON,
      write: writeNow,
    });
    const leaf = lineage({ run: "/usr/bin/ls", container: "c".repeat(64) });
    const facts = { ...factsOf(nothing), executable: "/usr/bin/ls", cgroup: "/docker" };
    const exec = { process: { lineage: leaf }, facts, tree: treeOf(leaf) };
    expect(knowing.ask(exec)).toEqual({});
    expect(knowing.hasReports).toBe(true);
    knowing.tellLearned();
    expect(told).toEqual([]);
    image = "nginx";
    knowing.tellLearned();
    expect(told.map((record) => candidateOf(record)?.scope)).toEqual(["container/nginx"]);
    expect(knowing.ask(exec).known).toBe(false);
  } finally {
    rmSync(stateDirectory, { recursive: true });
  }
});
