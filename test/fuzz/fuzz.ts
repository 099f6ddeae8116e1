// Runs a target on inputs: nothing may be thrown, no input may take long, no result may be larger than its input
// justifies, and memory must not grow.
import { bytesOf, readCorpus } from "./corpus.ts";
import { Mutator } from "./mutate.ts";
import type { FuzzTarget } from "./target.ts";

export interface FuzzFigures {
  readonly inputs: number;
  readonly seconds: number;
  /** The longest time that one input took, ms. */
  readonly slowestMs: number;
  /** The largest result for one byte of input. */
  readonly largestRatio: number;
  readonly failure: FuzzFailure | undefined;
}

export interface FuzzFailure {
  /** undefined if all inputs together are the reason. */
  readonly input: Uint8Array | undefined;
  readonly why: string;
}

const DEFAULT_LIMIT_MS = 250;
/** An input that took long is tried again: another program may have had the CPU. */
const TRIES = 5;
/** The largest result: this much for each byte of input, and this much for any input. */
const OUTPUT_PER_BYTE = 64;
const OUTPUT_FREE = 65_536;
/**
 * Bytes by which live memory may be larger at the end than after the first tenth. The process as a whole says nothing:
 * the allocator keeps what it once had.
 */
const GROWTH_LIMIT = 32 << 20;
/** Inputs whose results had a size that was not seen before, kept to be mutated further. */
const POOL_LIMIT = 512;
/** Longer ones, in bytes, are not kept: their descendants would be ever longer, and take the time of many short ones. */
const POOL_INPUT_LIMIT = 1_024;

/** Runs `target` on its corpus and on `inputs` mutations of it; stops at the first failure. */
export async function fuzz(target: FuzzTarget, inputs: number, seed: number): Promise<FuzzFigures> {
  const corpus = readCorpus(target.name);
  const mutator = new Mutator(seed, target.words ?? []);
  const pool: Uint8Array[] = [...corpus];
  const seen = new Set<number>();
  const limitMs = target.limitMs ?? DEFAULT_LIMIT_MS;
  let slowestMs = 0;
  let largestRatio = 0;
  let failure: FuzzFailure | undefined;
  let memory = 0;
  let done = 0;
  const begin = performance.now();
  for (; done < inputs + corpus.length && failure === undefined; done += 1) {
    const input = corpus[done] ?? mutator.next(pool);
    const fail = (why: string): void => {
      failure = { input: bytesOf(input), why };
    };
    const start = performance.now();
    try {
      const result = target.parse(bytesOf(input));
      const size = typeof result === "number" ? result : await result;
      if (size > OUTPUT_FREE + input.length * OUTPUT_PER_BYTE) fail(`a result of size ${size}`);
      largestRatio = Math.max(largestRatio, size / Math.max(1, input.length));
      if (pool.length < POOL_LIMIT && input.length <= POOL_INPUT_LIMIT && !seen.has(size)) {
        seen.add(size);
        pool.push(bytesOf(input));
      }
    } catch (error) {
      fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
    const ms = performance.now() - start;
    if (ms > limitMs && failure === undefined) {
      const least = await leastTime(target, input, ms);
      if (least > limitMs) fail(`it took ${least.toFixed(0)} ms`);
      slowestMs = Math.max(slowestMs, least);
    } else slowestMs = Math.max(slowestMs, ms);
    if (done === Math.floor(inputs / 10)) memory = usedMemory();
  }
  const growth = usedMemory() - memory;
  if (memory > 0 && growth > GROWTH_LIMIT && failure === undefined)
    failure = { input: undefined, why: `memory has grown by ${Math.round(growth / 2 ** 20)} MiB` };
  return { inputs: done, seconds: (performance.now() - begin) / 1e3, slowestMs, largestRatio, failure };
}

async function leastTime(target: FuzzTarget, input: Uint8Array, first: number): Promise<number> {
  let least = first;
  for (let i = 0; i < TRIES; i += 1) {
    const start = performance.now();
    await target.parse(bytesOf(input));
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

function usedMemory(): number {
  Bun.gc(true);
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
