// How the time of something grows with its input, where a limit in milliseconds would measure the machine.
import { expect } from "bun:test";

/** From the small input to the large one. */
const TIMES = 8;
/** What is linear takes 8 times as long, what is quadratic 64 times: anything in between is the machine's noise. */
const LIMIT = 24;
/** Of runs that another process interrupts the fastest one counts; an attempt in which all were is made again. */
const RUNS = 5;
const ATTEMPTS = 5;

/** Expects that `run` takes no more than linear time for an input of `size`. */
export function expectLinear(run: (size: number) => void, size: number): void {
  let growth = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && growth > LIMIT; attempt += 1) {
    const small = fastest(() => run(Math.ceil(size / TIMES)));
    growth = fastest(() => run(size)) / small;
  }
  expect(growth).toBeLessThanOrEqual(LIMIT);
}

function fastest(run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i += 1) {
    const begin = performance.now();
    run();
    best = Math.min(best, performance.now() - begin);
  }
  return best;
}
