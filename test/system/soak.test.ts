// A short soak: 500 execs a second, as `npm run bench:soak` has them for an hour.
import { describe, expect, test } from "bun:test";
import { Loads } from "../bench/load.ts";
import { soak } from "../bench/soak.ts";
import { median } from "../bench/table.ts";
import { whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const SECONDS = 12;
/** Between two collections garbage may grow by so much. */
const SLACK_MB = 12;

describe.skipIf(reason !== undefined)("a run at 500 execs a second", () => {
  test("loses nothing, and its private memory stays where it is", async () => {
    using loads = new Loads();
    const bench = { loads, peers: [], wardens: [], count: 0, rounds: 1, say: () => undefined };
    const { privateMb, lost } = await soak(bench, SECONDS, 1);
    const half = privateMb.length >> 1;
    const [early, late] = [median(privateMb.slice(0, half)), median(privateMb.slice(half))];
    console.log(`private memory: ${early.toFixed(1)} MB, then ${late.toFixed(1)} MB`);
    expect(lost).toBe(0);
    expect(late).toBeLessThan(early + SLACK_MB);
  }, 60_000);
});
