import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { pathOf, trials, without } from "./hot/trials.ts";

// Edits are plain text, so the type checker does not notice when the source that they replace is renamed.
test.each(trials.map((trial) => [trial.name, trial] as const))(
  "the edits of the trial %s fit",
  (_, trial) => {
    const text = readFileSync(pathOf(trial), "utf8");
    expect(without(trial, text)).not.toBe(text);
  },
);
