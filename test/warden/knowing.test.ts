import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { LEARNING_STATE } from "../../src/baseline/places.ts";
import { Knowing } from "../../src/warden/knowing.ts";

test("a state that cannot be written ends nothing: it is told once, and written when it can be", () => {
  const stateDirectory = mkdtempSync(join(tmpdir(), "knowing-"));
  try {
    const state = join(stateDirectory, LEARNING_STATE);
    mkdirSync(dirname(state), { recursive: true });
    // What is written first stands in the way of a folder.
    mkdirSync(`${state}.new`);
    const told: string[] = [];
    const knowing = new Knowing({
      stateDirectory,
      ofRoles: [],
      tell: (event) => told.push(event),
      hasRoom: () => true,
      look: () => undefined,
      now: () => 1_800_000_000,
    });
    knowing.tellLearned();
    knowing.tellLearned();
    expect(told.filter((event) => event === "baseline.not_saved")).toHaveLength(1);
    rmdirSync(`${state}.new`);
    knowing.tellLearned();
    expect(existsSync(state)).toBe(true);
  } finally {
    rmSync(stateDirectory, { recursive: true });
  }
});
