// How the feeder of `npm run bench:week` passes records: each follows its length, padded so that it is aligned to 8.
import { commonLayout } from "../../../src/sensor/ebpf/layout.ts";

export const HEAD = 8;
/** pipe(7): what a pipe holds. */
export const PIPE_BYTES = 1 << 16;

/** Sets the time of the record at `start`, ns of CLOCK_MONOTONIC. */
export function setTime(words: Uint32Array, start: number, ns: number): void {
  words[(start + commonLayout.time) >>> 2] = ns % 2 ** 32;
  words[(start + commonLayout.time + 4) >>> 2] = Math.floor(ns / 2 ** 32);
}
