// The parsers of hostile bytes on their corpus and on a few mutations of it; `npm run fuzz` does this for as long as one
// likes. The first tests show that a bug would be found.
import { describe, expect, test } from "bun:test";
import { formatEntry, parseCorpus, readCorpus } from "./corpus.ts";
import { fuzz } from "./fuzz.ts";
import { INPUT_LIMIT, Mutator } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";
import { targets } from "./targets.ts";

/** The wire's corpus, for another parser. */
function targetOf(parse: FuzzTarget["parse"], limitMs?: number): FuzzTarget {
  return { name: "wire", parses: "", weight: 1, parse, ...(limitMs === undefined ? {} : { limitMs }) };
}

describe("the fuzzer finds a parser that", () => {
  test("throws", async () => {
    const target = targetOf((input) => {
      if (input.includes(0x5b)) throw new RangeError("too long");
      return 0;
    });
    const { failure } = await fuzz(target, 1_000, 1);
    expect(failure?.why).toContain("RangeError: too long");
    expect(failure?.input?.includes(0x5b)).toBe(true);
  });

  test("takes long", async () => {
    const target = targetOf((input) => {
      if (input.length > 100) Bun.sleepSync(30);
      return 0;
    }, 20);
    expect((await fuzz(target, 1_000, 1)).failure?.why).toMatch(/^it took \d+ ms$/);
  });

  test("makes much out of little", async () => {
    const target = targetOf((input) => input.length ** 3);
    expect((await fuzz(target, 1_000, 1)).failure?.why).toContain("a result of size");
  });
});

test("the same seed gives the same inputs, another seed others, and none is longer than the limit", () => {
  const pool = readCorpus("wire");
  const inputsOf = (seed: number): string[] => {
    const mutator = new Mutator(seed, ["word"]);
    return Array.from({ length: 500 }, () => Buffer.from(mutator.next(pool)).toString("latin1"));
  };
  const inputs = inputsOf(1);
  expect(inputsOf(1)).toEqual(inputs);
  expect(inputsOf(2)).not.toEqual(inputs);
  expect(new Set(inputs).size).toBeGreaterThan(450);
  expect(Math.max(...inputs.map(({ length }) => length))).toBeLessThanOrEqual(INPUT_LIMIT);
});

test("an entry of a corpus is read as it was written, whatever bytes it has", () => {
  const inputs = [
    Uint8Array.from({ length: 256 }, (_, i) => i),
    new Uint8Array(0),
    Buffer.from("\n## no title\n\n"),
    Buffer.from("\\x0a\\"),
  ];
  const text = inputs.map((input, i) => formatEntry(`entry ${i}\n`, input)).join("");
  expect(parseCorpus(text).map((input) => [...input])).toEqual(inputs.map((input) => [...input]));
});

/** Inputs for a target of weight 1. */
const INPUTS = 100;

for (const target of targets) {
  test(`${target.name}: ${target.parses}`, async () => {
    const { failure } = await fuzz(target, Math.ceil(INPUTS * target.weight), 1);
    target.end?.();
    expect(failure?.why).toBeUndefined();
  }, 60_000);
}
