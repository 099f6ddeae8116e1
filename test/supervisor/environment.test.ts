import { expect, test } from "bun:test";
import {
  examinerEnvironment,
  reporterEnvironment,
  supervisorEnvironment,
  wardenEnvironment,
} from "../../src/supervisor/environment.ts";
import { compiledEarly } from "../../src/supervisor/runtime-options.ts";

const environment = {
  PATH: "/usr/bin",
  TZ: "UTC",
  NO_COLOR: "1",
  OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318",
  AWS_SECRET_ACCESS_KEY: "secret",
  BUN_OPTIONS: "--preload /tmp/x.js",
  BUN_BE_BUN: "1",
  BUN_JSC_useJIT: "0",
  LD_PRELOAD: "/tmp/x.so",
  NOTHING: undefined,
};

const smallHeap = {
  BUN_JSC_largeHeapSize: "1048576",
  BUN_JSC_useFTLJIT: "0",
  BUN_JSC_minNumberOfWorklistThreads: "1",
  BUN_JSC_maxNumberOfWorklistThreads: "1",
  BUN_JSC_numberOfBaselineCompilerThreads: "1",
  BUN_JSC_numberOfDFGCompilerThreads: "1",
  BUN_JSC_numberOfGCMarkers: "1",
  BUN_JSC_useWarmUpMarkedBlocks: "0",
  BUN_JSC_forceRAMSize: "67108864",
};
const tightHeap = { ...smallHeap, BUN_JSC_forceMiniVMMode: "1" };

test("supervisors and reporter get only the variables that affect their output", () => {
  const handedOn = {
    TZ: "UTC",
    NO_COLOR: "1",
  };
  expect(supervisorEnvironment(environment)).toEqual({ ...handedOn, ...tightHeap });
  const mediumHeap = { ...smallHeap, BUN_JSC_forceRAMSize: "134217728" };
  expect(reporterEnvironment(environment)).toEqual({ ...handedOn, ...mediumHeap });
});

test("warden and examiner get only the time zone of the caller's variables", () => {
  expect(examinerEnvironment(environment)).toEqual({ TZ: "UTC", ...tightHeap });
  expect(wardenEnvironment(environment)).toEqual({ TZ: "UTC", ...smallHeap, ...compiledEarly });
});
