// The text of `treewarden events verify`.
import { expect, test } from "bun:test";
import { chainSummaryText } from "../../src/cli/verify-journal.ts";

const lastLine = (problemCount: number): string | undefined =>
  chainSummaryText({
    genuine: 8,
    redacted: 0,
    ofReporter: 0,
    rotated: 0,
    unconfirmed: 0,
    last: undefined,
    problems: [],
    problemCount,
  })
    .split("\n")
    .at(-1);

test("the last line counts the problems", () => {
  expect([0, 1, 2].map(lastLine)).toEqual(["no problem found", "1 problem found", "2 problems found"]);
});
