// Creates the maps, assembles, loads and attaches the programs. Disposing of `LoadedPrograms` releases all of them.
import { readFileSync } from "node:fs";
import { assemble, type Code } from "../../linux/bpf/assembler.ts";
import { BPF_F_MMAPABLE, BpfMap } from "../../linux/bpf/map.ts";
import { SharedPage } from "../../linux/bpf/memory.ts";
import { attachTracepoint, BpfProgram, isAttached } from "../../linux/bpf/program.ts";
import { RingMapping } from "../../linux/bpf/ring-mapping.ts";
import { pinned } from "../../linux/bpf/syscall.ts";
import { closeDescriptor } from "../../linux/descriptor.ts";
import type { ProgramMaps } from "./code.ts";
import { BEGINNINGS_BYTES, environmentBeginnings } from "./environment.ts";
import { execProgram } from "./exec.ts";
import { exitProgram } from "./exit.ts";
import { forkProgram } from "./fork.ts";
import type { KernelLayout } from "./kernel.ts";
import {
  environmentLayout,
  FIELD_BYTES,
  lineageLayout,
  recordLimit,
  roundUp,
  sharedLayout,
  walkState,
} from "./layout.ts";
import { signalProgram } from "./signal.ts";
import { randomHashKey } from "./wakeup.ts";
import { walkProgram } from "./walk.ts";

export interface LoadOptions {
  readonly ringBytes: number;
  readonly argsBytes: number;
  /** The environment variables that a record has if they are set. */
  readonly environmentNames: readonly string[];
}

/**
 * The live processes of a large server. Beyond it, execs of further processes wake the reader each time. The entries
 * are allocated beforehand, some 80 bytes each: programs on tracepoints may not allocate on older kernels.
 */
const LINEAGES = 32_768;
/** Maximum number of settled command lines. */
const SETTLED = 16_384;

interface ProgramSpec {
  readonly name: string;
  readonly tracepoint: keyof KernelLayout["tracepoints"];
  readonly code: (kernel: KernelLayout, maps: ProgramMaps) => Code;
  /** `attached`: the tracepoint runs it. `called`: another program calls it by a tail call. */
  readonly use: "attached" | "called";
}

/**
 * All programs are loaded before the first is attached. They are attached in this order: exit comes first, so that the
 * exit of every reported process is reported too.
 */
const programTable: readonly ProgramSpec[] = [
  { name: "walk", tracepoint: "exec", code: walkProgram, use: "called" },
  { name: "exit", tracepoint: "exit", code: exitProgram, use: "attached" },
  { name: "exec", tracepoint: "exec", code: execProgram, use: "attached" },
  { name: "fork", tracepoint: "fork", code: forkProgram, use: "attached" },
  { name: "signal", tracepoint: "signal", code: signalProgram, use: "attached" },
];

export class LoadedPrograms implements Disposable {
  readonly ringMap: BpfMap;
  readonly ring: RingMapping;
  readonly page: SharedPage;
  readonly settled: BpfMap;
  readonly lineages: BpfMap;
  /** The programs by their names in the table, for measurements. */
  readonly programs: ReadonlyMap<string, BpfProgram>;
  /** The descriptor of each attachment, with its program. */
  private readonly links = new Map<number, BpfProgram>();
  private readonly resources: DisposableStack;

  constructor(kernel: KernelLayout, options: LoadOptions) {
    using stack = new DisposableStack();
    const maps = { ...makeMaps(stack, options), preemption: kernel.preemption };
    const programs = new Map<string, BpfProgram>();
    for (const { name, tracepoint, code } of programTable) {
      const type = kernel.tracepoints[tracepoint];
      programs.set(
        name,
        stack.use(new BpfProgram(`tw_${name}`, assemble(code(kernel, maps)), { tracepoint: type })),
      );
    }
    this.settled = maps.settled;
    this.lineages = maps.lineages;
    this.ringMap = maps.ring;
    this.ring = stack.use(new RingMapping(maps.ring));
    this.page = stack.use(new SharedPage(maps.shared));
    for (const { name, use } of programTable) {
      const program = programs.get(name);
      if (program === undefined) continue;
      if (use === "called") makeCallable(maps.programs, program);
      else {
        const link = attachTracepoint(program);
        stack.defer(() => closeDescriptor(link));
        this.links.set(link, program);
      }
    }
    maps.programs.freeze();
    this.programs = programs;
    this.resources = stack.move();
  }

  /** The names of the programs that their tracepoints do not run any more. */
  detached(): readonly string[] {
    return [...this.links]
      .filter(([link, program]) => !isAttached(link, program))
      .map(([, program]) => program.name);
  }

  [Symbol.dispose](): void {
    this.resources.dispose();
  }
}

function makeMaps(stack: DisposableStack, { ringBytes, argsBytes, environmentNames }: LoadOptions) {
  const map = (
    type: BpfMap["spec"]["type"],
    name: string,
    keyBytes: number,
    valueBytes: number,
    entries: number,
    flags = 0,
  ) => stack.use(new BpfMap({ type, name: `tw_${name}`, keyBytes, valueBytes, entries, flags }));
  const names = map("array", "names", 4, BEGINNINGS_BYTES, 1);
  names.set(pinned(4), environmentBeginnings(environmentNames));
  const record = environmentLayout(recordLimit(argsBytes)).size;
  const scratchBytes = roundUp(FIELD_BYTES + walkState.size + record);
  return {
    ring: map("ringBuffer", "events", 0, 0, ringBytes),
    fillLevel: ringBytes / 4,
    shared: map("array", "shared", 4, sharedLayout.size, 1, BPF_F_MMAPABLE),
    scratch: map("array", "scratch", 4, scratchBytes, possibleCpus()),
    argsBytes,
    environmentNames: names,
    programs: map("programArray", "programs", 4, 4, 1),
    lineages: map("hash", "lineages", 8, lineageLayout.size, LINEAGES),
    hashKey: randomHashKey(),
    settled: map("lruHash", "settled", 8, 4, SETTLED),
  };
}

/** Stores `program` in the only slot of the array of programs, from which the others call it. */
function makeCallable(programs: BpfMap, program: BpfProgram): void {
  const value = pinned(4);
  new DataView(value.buffer).setUint32(0, program.fd, true);
  programs.set(pinned(4), value);
}

/** Number of possible CPUs: the highest number in /sys/devices/system/cpu/possible ("0-3", "0,2-5") plus one. */
function possibleCpus(): number {
  const list = readFileSync("/sys/devices/system/cpu/possible", "utf8");
  return Number(/\d+\s*$/.exec(list)?.[0] ?? 0) + 1;
}
