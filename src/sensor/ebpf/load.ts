// Makes the maps, assembles, loads and attaches the programs. All of it ends when `LoadedPrograms` is disposed of.
import { readFileSync } from "node:fs";
import { assemble, type Code } from "../../linux/bpf/assembler.ts";
import { SharedPage } from "../../linux/bpf/memory.ts";
import { RingMapping } from "../../linux/bpf/ring-mapping.ts";
import { attachTracepoint, BPF_F_MMAPABLE, BpfMap, BpfProgram, pinned } from "../../linux/bpf/syscall.ts";
import { closeDescriptor } from "../../linux/descriptor.ts";
import type { ProgramMaps } from "./code.ts";
import { execProgram } from "./exec.ts";
import { exitProgram } from "./exit.ts";
import { forkProgram } from "./fork.ts";
import type { KernelLayout } from "./kernel.ts";
import { FIELD_BYTES, recordLimit, sharedLayout, walkState } from "./layout.ts";
import { walkProgram } from "./walk.ts";

export interface LoadOptions {
  readonly ringBytes: number;
  readonly argsBytes: number;
}

/** Live processes of a large server; one that is evicted only wakes the reader once more. */
const LINEAGES = 16_384;
/** Distinct command lines that are settled at a time. */
const SETTLED = 16_384;

interface ProgramSpec {
  readonly name: string;
  readonly tracepoint: keyof KernelLayout["tracepoints"];
  readonly code: (kernel: KernelLayout, maps: ProgramMaps) => Code;
  /** `attached`: the tracepoint runs it. `called`: another program goes on as this one (a tail call). */
  readonly use: "attached" | "called";
}

/**
 * Every program is loaded before the first is attached. They are attached in this order: the exit first, so that no
 * process is seen to begin whose end is missed.
 */
const programTable: readonly ProgramSpec[] = [
  { name: "walk", tracepoint: "exec", code: walkProgram, use: "called" },
  { name: "exit", tracepoint: "exit", code: exitProgram, use: "attached" },
  { name: "exec", tracepoint: "exec", code: execProgram, use: "attached" },
  { name: "fork", tracepoint: "fork", code: forkProgram, use: "attached" },
];

export class LoadedPrograms implements Disposable {
  readonly ringFd: number;
  readonly ring: RingMapping;
  readonly page: SharedPage;
  readonly settled: BpfMap;
  /** By the name of what each does, for measurements. */
  readonly programs: ReadonlyMap<string, BpfProgram>;
  private readonly resources: DisposableStack;

  constructor(kernel: KernelLayout, options: LoadOptions) {
    using stack = new DisposableStack();
    const maps = makeMaps(stack, options);
    const programs = new Map<string, BpfProgram>();
    for (const { name, tracepoint, code } of programTable) {
      const type = kernel.tracepoints[tracepoint];
      programs.set(name, stack.use(new BpfProgram(`tw_${name}`, assemble(code(kernel, maps)), type)));
    }
    this.settled = maps.settled;
    this.ringFd = maps.ring.fd;
    this.ring = stack.use(new RingMapping(maps.ring));
    this.page = stack.use(new SharedPage(maps.shared));
    for (const { name, use } of programTable) {
      const program = programs.get(name);
      if (program === undefined) continue;
      if (use === "called") makeCallable(maps.programs, program);
      else {
        const link = attachTracepoint(program);
        stack.defer(() => closeDescriptor(link));
      }
    }
    this.programs = programs;
    this.resources = stack.move();
  }

  [Symbol.dispose](): void {
    this.resources.dispose();
  }
}

function makeMaps(stack: DisposableStack, { ringBytes, argsBytes }: LoadOptions) {
  const map = (
    type: BpfMap["spec"]["type"],
    name: string,
    keyBytes: number,
    valueBytes: number,
    entries: number,
    flags = 0,
  ) => stack.use(new BpfMap({ type, name: `tw_${name}`, keyBytes, valueBytes, entries, flags }));
  const scratchBytes = roundUp(FIELD_BYTES + walkState.size + recordLimit(argsBytes));
  return {
    ring: map("ringBuffer", "events", 0, 0, ringBytes),
    fillLevel: ringBytes / 4,
    shared: map("array", "shared", 4, sharedLayout.size, 1, BPF_F_MMAPABLE),
    scratch: map("array", "scratch", 4, scratchBytes, possibleCpus()),
    argsBytes,
    programs: map("programArray", "programs", 4, 4, 1),
    lineages: map("lruHash", "lineages", 8, 8, LINEAGES),
    settled: map("lruHash", "settled", 8, 4, SETTLED),
  };
}

/** Puts `program` into the only place of the array of programs, from which the others call it. */
function makeCallable(programs: BpfMap, program: BpfProgram): void {
  const value = pinned(4);
  new DataView(value.buffer).setUint32(0, program.fd, true);
  programs.set(pinned(4), value);
}

function roundUp(bytes: number): number {
  return (bytes + 7) & ~7;
}

/** How many CPUs there can ever be: the highest number of /sys/devices/system/cpu/possible ("0-3", "0,2-5"), and one. */
function possibleCpus(): number {
  const list = readFileSync("/sys/devices/system/cpu/possible", "utf8");
  return Number(/\d+\s*$/.exec(list)?.[0] ?? 0) + 1;
}
