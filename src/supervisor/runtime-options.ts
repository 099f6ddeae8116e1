// Options of JavaScriptCore, which it reads from the environment (BUN_JSC_NAME). Measured with Bun 1.4.5.

/**
 * For every process but the supervisors: the collector runs after fewer megabytes of garbage, and the FTL compiler,
 * which costs more than it saves here, is off. One thread compiles, one marks what is in use, and none makes heap blocks
 * in advance: each thread has memory of its own, and the runtime starts more of them the more CPUs the host has.
 */
export const frugal = {
  BUN_JSC_largeHeapSize: "1048576",
  BUN_JSC_useFTLJIT: "0",
  BUN_JSC_minNumberOfWorklistThreads: "1",
  BUN_JSC_maxNumberOfWorklistThreads: "1",
  BUN_JSC_numberOfBaselineCompilerThreads: "1",
  BUN_JSC_numberOfDFGCompilerThreads: "1",
  BUN_JSC_numberOfGCMarkers: "1",
  BUN_JSC_useWarmUpMarkedBlocks: "0",
} as const;

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

/**
 * JavaScriptCore sizes its heap by the host's memory unless this option is set. With it, a warden at 500 execs a second
 * needs two thirds of the memory, and 3 us more CPU for each exec under a flood (docs/performance.md).
 */
export const smallHeap = { ...frugal, BUN_JSC_forceRAMSize: "67108864" } as const;

/**
 * For the reporter: with the size above, half of the CPU time that an exported verdict costs goes into collecting garbage
 * as soon as some are exported each second; with this one a tenth, for 3 MB more. A reporter with nothing to export has a
 * heap for which both mean the same.
 */
export const mediumHeap = { ...frugal, BUN_JSC_forceRAMSize: "134217728" } as const;

/**
 * For processes of which little is asked at a time: every collection is a full one, and comes when the heap has grown by
 * a fifth. The examiner needs half of the memory with it, and a tenth more CPU; a warden a tenth less, and a tenth more.
 */
export const tightHeap = { ...smallHeap, BUN_JSC_forceMiniVMMode: "1" } as const;

/**
 * Every option as it stands in an environment. The executable ignores all variables of the runtime but these, and these
 * with another value (build/entry-stub.ts), so that nobody who starts it can change how it runs.
 */
export const runtimeOptions: readonly string[] = [
  ...new Set(
    [tightHeap, mediumHeap, compiledEarly].flatMap((options) =>
      Object.entries(options).map(([name, value]) => `${name}=${value}`),
    ),
  ),
];
