// Options of JavaScriptCore, which it reads from the environment (BUN_JSC_NAME). Measured with Bun 1.4.5.

/**
 * For every process but the supervisors: the collector runs after fewer megabytes of garbage, and the FTL compiler,
 * which costs more than it saves here, is off.
 */
export const frugal = { BUN_JSC_largeHeapSize: "1048576", BUN_JSC_useFTLJIT: "0" } as const;

/**
 * For processes that read kernel events: their hot functions are hot from the first exec on. Optimising them after 100
 * calls instead of 1,000 (large functions need several times as many) saves a third of the CPU for each of the first
 * execs, which on most hosts are all of them, and needs hardly any memory. The order matters: the runtime checks after
 * each option that no threshold is greater than the next.
 */
export const compiledEarly = {
  BUN_JSC_thresholdForOptimizeSoon: "100",
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "100",
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "100",
} as const;
