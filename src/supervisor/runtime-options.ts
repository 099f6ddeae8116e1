// How JavaScriptCore runs: options that it reads from the environment (BUN_JSC_NAME). Measured with Bun 1.4.5.

/** Of every process but the supervisors: garbage is counted by the megabyte, and the last compiler costs more than it gives. */
export const frugal = { BUN_JSC_largeHeapSize: "1048576", BUN_JSC_useFTLJIT: "0" } as const;

/**
 * Of those that take the kernel's events: what is hot there is hot from the first exec on. Compiled with optimisation
 * after 100 calls instead of 1,000, in large functions several times as many, it costs a third less CPU for each exec for
 * as long as most hosts run so many, and no memory to speak of. In this order: after each of them the runtime demands
 * that none is greater than the next.
 */
export const compiledEarly = {
  BUN_JSC_thresholdForOptimizeSoon: "100",
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "100",
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "100",
} as const;
