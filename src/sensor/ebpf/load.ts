// Makes the maps, assembles, loads and attaches the programs. All of it ends when `Loaded` is disposed of.
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

/** Live processes of a large server; one that is forgotten only wakes the reader once more. */
const LINEAGES = 16_384;
/** Distinct command lines that are settled at a time. */
const SETTLED = 16_384;

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
    const map = (
      type: BpfMap["spec"]["type"],
      name: string,
      keyBytes: number,
      valueBytes: number,
      entries: number,
      flags = 0,
    ) => stack.use(new BpfMap({ type, name: `tw_${name}`, keyBytes, valueBytes, entries, flags }));
    const ring = map("ringBuffer", "events", 0, 0, options.ringBytes);
    const page = map("array", "shared", 4, sharedLayout.size, 1, BPF_F_MMAPABLE);
    const scratch = map(
      "array",
      "scratch",
      4,
      roundUp(FIELD_BYTES + walkState.size + recordLimit(options.argsBytes)),
      possibleCpus(),
    );
    const calls = map("programArray", "programs", 4, 4, 1);
    const lineages = map("lruHash", "lineages", 8, 8, LINEAGES);
    this.settled = map("lruHash", "settled", 8, 4, SETTLED);
    const maps: ProgramMaps = {
      ring,
      fillLevel: options.ringBytes / 4,
      shared: page,
      scratch,
      argsBytes: options.argsBytes,
      programs: calls,
      lineages,
      settled: this.settled,
    };
    const programs = new Map<string, BpfProgram>();
    const load = (name: string, tracepoint: number, code: Code): BpfProgram => {
      const program = stack.use(new BpfProgram(`tw_${name}`, assemble(code), tracepoint));
      programs.set(name, program);
      return program;
    };
    const walk = load("walk", kernel.tracepoints.exec, walkProgram(kernel, maps));
    const value = pinned(4);
    new DataView(value.buffer).setUint32(0, walk.fd, true);
    calls.set(pinned(4), value);
    this.ring = stack.use(new RingMapping(ring));
    this.page = stack.use(new SharedPage(page));
    this.ringFd = ring.fd;
    const attach = (program: BpfProgram) => {
      const link = attachTracepoint(program);
      stack.defer(() => closeDescriptor(link));
    };
    // All are loaded before the first runs; the exit first, so that no process is seen to begin whose end is missed.
    const fork = load("fork", kernel.tracepoints.fork, forkProgram(kernel, maps));
    const exec = load("exec", kernel.tracepoints.exec, execProgram(kernel, maps));
    const exit = load("exit", kernel.tracepoints.exit, exitProgram(kernel, maps));
    attach(exit);
    attach(exec);
    attach(fork);
    this.programs = programs;
    this.resources = stack.move();
  }

  [Symbol.dispose](): void {
    this.resources.dispose();
  }
}

function roundUp(bytes: number): number {
  return (bytes + 7) & ~7;
}

/** How many CPUs there can ever be: the highest number of /sys/devices/system/cpu/possible ("0-3", "0,2-5"), and one. */
function possibleCpus(): number {
  const list = readFileSync("/sys/devices/system/cpu/possible", "utf8");
  return Number(/\d+\s*$/.exec(list)?.[0] ?? 0) + 1;
}
