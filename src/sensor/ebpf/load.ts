// Creates the maps, assembles, loads and attaches the programs. Disposing of `LoadedPrograms` releases all of them.
import { readFileSync } from "node:fs";
import { assemble, type Code, type MapReference } from "../../linux/bpf/assembler.ts";
import { BPF_F_MMAPABLE, type BpfMap, type MapSpec } from "../../linux/bpf/map.ts";
import { SharedPage } from "../../linux/bpf/memory.ts";
import {
  type DescriptorsByName,
  digestOfObjects,
  KernelObjects,
  MissingObject,
} from "../../linux/bpf/objects.ts";
import { type Attachment, attachByType, type BpfProgram, detachedPrograms } from "../../linux/bpf/program.ts";
import { RingMapping } from "../../linux/bpf/ring-mapping.ts";
import { pinned } from "../../linux/bpf/syscall.ts";
import type { PreventionOptions } from "../prevention/options.ts";
import type { ProgramMaps } from "./code.ts";
import { copyNames } from "./copies.ts";
import { BEGINNINGS_BYTES, environmentBeginnings } from "./environment.ts";
import { execProgram } from "./exec.ts";
import { exitProgram } from "./exit.ts";
import { forkProgram } from "./fork.ts";
import type { KernelLayout } from "./kernel.ts";
import {
  environmentLayout,
  FIELD_BYTES,
  lineageLayout,
  markLayout,
  recordLimit,
  roundUp,
  SIGNALS_ROOM,
  sharedLayout,
  walkState,
} from "./layout.ts";
import type { PreventionMaps } from "./prevention/entries.ts";
import { ClosedSetMaps, carrierKeys, closedSetReferences, closedSetSpecs } from "./prevention/maps.ts";
import { KernelPrevention } from "./prevention/prevention.ts";
import { signalProgram } from "./signal.ts";
import { type HashKey, randomHashKey } from "./wakeup.ts";
import { walkProgram } from "./walk.ts";

export interface LoadOptions {
  readonly ringBytes: number;
  readonly argsBytes: number;
  /** The environment variables that a record has if they are set. */
  readonly environmentNames: readonly string[];
  /** Undefined: nothing is prevented, and nothing of it is in the kernel. */
  readonly prevention?: PreventionOptions | undefined;
}

/**
 * The live processes of a large server. Beyond it, execs of further processes wake the reader each time. The entries
 * are allocated beforehand, some 80 bytes each: programs on tracepoints may not allocate on older kernels.
 */
const LINEAGES = 32_768;
/** Maximum number of settled command lines. */
const SETTLED = 16_384;
/** Events between the first copy of a program and the last at a time: more than a host has runnable processes. */
const MARKS = 8_192;

interface ProgramSpec {
  readonly name: string;
  readonly tracepoint: keyof KernelLayout["tracepoints"];
  readonly code: (kernel: KernelLayout, maps: ProgramMaps) => Code;
  /** `attached`: the tracepoint runs it. `called`: another program calls it by a tail call. */
  readonly use: "attached" | "called";
  /** A signal is made with interrupts off, so that nothing else runs meanwhile. */
  readonly canBePreempted: boolean;
}

/**
 * All programs are loaded before the first is attached. They are attached in this order: exit comes first, so that the
 * exit of every reported process is reported too.
 */
const programTable: readonly ProgramSpec[] = [
  { name: "walk", tracepoint: "exec", code: walkProgram, use: "called", canBePreempted: true },
  { name: "exit", tracepoint: "exit", code: exitProgram, use: "attached", canBePreempted: true },
  { name: "exec", tracepoint: "exec", code: execProgram, use: "attached", canBePreempted: true },
  { name: "fork", tracepoint: "fork", code: forkProgram, use: "attached", canBePreempted: true },
  { name: "signal", tracepoint: "signal", code: signalProgram, use: "attached", canBePreempted: false },
];

/** The table with a row for each copy, whose number `copy` is, from 0 on. */
function rowsFor(kernel: KernelLayout): readonly (ProgramSpec & { readonly copy: number })[] {
  return programTable.flatMap((row) =>
    copyNames(row.name, kernel)
      .slice(0, row.canBePreempted ? undefined : 1)
      .map((name, copy) => ({ ...row, name, copy })),
  );
}

/** A secret that no program is loaded with, for the digest. */
const NO_SECRET: HashKey = { first: 1n, second: 1n, start: 0n };

export class LoadedPrograms implements Disposable {
  readonly ringMap: BpfMap;
  readonly ring: RingMapping;
  readonly page: SharedPage;
  readonly settled: BpfMap;
  readonly lineages: BpfMap;
  readonly prevention: KernelPrevention | undefined;
  /** The programs by their names, see `copyNames`. */
  readonly programs: ReadonlyMap<string, BpfProgram>;
  private readonly objects: KernelObjects;
  private readonly attachments: Attachment[] = [];
  private readonly resources: DisposableStack;

  /**
   * `left`: the descriptors of what an earlier process has loaded with the same digest, which belong to this from now on.
   * Throws a MissingObject if they are not complete, or if the kernel does not run one of those programs any more.
   */
  constructor(kernel: KernelLayout, options: LoadOptions, left?: DescriptorsByName) {
    using stack = new DisposableStack();
    const objects = stack.use(new KernelObjects(left));
    const specs = mapSpecs(options);
    const map = (name: keyof typeof specs): BpfMap => objects.map(specs[name]);
    const made = {
      ring: map("ring"),
      shared: map("shared"),
      environmentNames: map("environmentNames"),
      lineages: map("lineages"),
      settled: map("settled"),
      marks: kernel.hasPreemptiblePrograms ? map("marks") : undefined,
    };
    const copies = copySpecs(kernel, options).map(({ scratch, programs }) => ({
      scratch: objects.map(scratch),
      programs: objects.map(programs),
    }));
    if (!objects.isInherited)
      made.environmentNames.set(pinned(4), environmentBeginnings(options.environmentNames));
    const closing = options.prevention && stack.use(new ClosedSetMaps(objects, options.prevention));
    const maps = programMaps(kernel, options, { shared: made, copies }, randomHashKey(), closing);
    const rows = rowsFor(kernel);
    const programs = new Map<string, BpfProgram>();
    for (const { name, tracepoint, code, copy } of rows) {
      const type = kernel.tracepoints[tracepoint];
      programs.set(
        name,
        objects.program(name, () => assemble(code(kernel, maps(copy))), { tracepoint: type }),
      );
    }
    this.settled = made.settled;
    this.lineages = made.lineages;
    this.ringMap = made.ring;
    this.ring = stack.use(new RingMapping(made.ring));
    this.page = stack.use(new SharedPage(made.shared));
    for (const { name, use, copy } of rows) {
      const program = programs.get(name);
      if (program === undefined) continue;
      if (use === "attached")
        this.attachments.push({ link: objects.link(name, () => attachByType(program)), program });
      else if (!objects.isInherited) makeCallable(copies[copy]?.programs, program);
    }
    if (!objects.isInherited) for (const copy of copies) copy.programs.freeze();
    // The programs are attached first, so that they see every exec that follows its snapshot.
    this.prevention = closing && stack.use(new KernelPrevention(kernel, closing, objects.isInherited));
    this.programs = programs;
    this.objects = objects;
    const [gone] = this.detached();
    if (gone !== undefined) throw new MissingObject(gone);
    this.resources = stack.move();
  }

  /** Whether the programs have run since before this process. */
  get isInherited(): boolean {
    return this.objects.isInherited;
  }

  /** What another process needs to go on with the programs. */
  get descriptors(): DescriptorsByName {
    return this.objects.descriptors;
  }

  /** The names of the programs that their tracepoints do not run any more. */
  detached(): readonly string[] {
    return detachedPrograms(this.attachments);
  }

  [Symbol.dispose](): void {
    this.resources.dispose();
  }
}

/** A digest of what LoadedPrograms would load: programs with another digest cannot be continued. `build`: of treewarden. */
export function digestOfPrograms(kernel: KernelLayout, options: LoadOptions, build: string): string {
  const specs = mapSpecs(options);
  const order = Object.keys(specs);
  const reference = (name: MapName): MapReference => ({ fd: order.indexOf(name) });
  const references = {
    ring: reference("ring"),
    shared: reference("shared"),
    environmentNames: reference("environmentNames"),
    lineages: reference("lineages"),
    settled: reference("settled"),
    marks: kernel.hasPreemptiblePrograms ? reference("marks") : undefined,
  };
  const ofCopies = copySpecs(kernel, options);
  const copies = ofCopies.map((_, copy) => ({
    scratch: { fd: order.length + 2 * copy },
    programs: { fd: order.length + 2 * copy + 1 },
  }));
  const closing = options.prevention && closedSetSpecs(options.prevention);
  const maps = programMaps(
    kernel,
    options,
    { shared: references, copies },
    NO_SECRET,
    closing && closedSetReferences(order.length + 2 * copies.length),
  );
  const programs = rowsFor(kernel).map(({ code, copy }) => assemble(code(kernel, maps(copy))));
  return digestOfObjects(
    build,
    [
      ...Object.values(specs),
      ...ofCopies.flatMap((copy) => Object.values(copy)),
      ...Object.values(closing ?? {}),
    ],
    [
      ...programs,
      environmentBeginnings(options.environmentNames),
      ...carrierKeys(options.prevention?.carriers ?? { exact: [], prefixes: [] }),
    ],
  );
}

function spec(
  type: MapSpec["type"],
  name: string,
  keyBytes: number,
  valueBytes: number,
  entries: number,
  flags = 0,
): MapSpec {
  return { type, name, keyBytes, valueBytes, entries, flags };
}

/** The maps that all copies of the programs share. */
function mapSpecs({ ringBytes }: LoadOptions) {
  return {
    ring: spec("ringBuffer", "events", 0, 0, ringBytes),
    shared: spec("array", "shared", 4, sharedLayout.size, 1, BPF_F_MMAPABLE),
    environmentNames: spec("array", "names", 4, BEGINNINGS_BYTES, 1),
    lineages: spec("hash", "lineages", 8, lineageLayout.size, LINEAGES),
    settled: spec("lruHash", "settled", 8, 4, SETTLED),
    marks: spec("lruHash", "marks", markLayout.size, 8, MARKS),
  };
}

/** The maps that each copy has for itself: it must not write what another has left unfinished. */
function copySpecs(
  kernel: KernelLayout,
  { argsBytes }: LoadOptions,
): readonly { readonly scratch: MapSpec; readonly programs: MapSpec }[] {
  const record = environmentLayout(recordLimit(argsBytes)).size;
  const scratchBytes = roundUp(FIELD_BYTES + walkState.size + record);
  const cpus = possibleCpus();
  const scratches = copyNames("scratch", kernel).map((name) => spec("array", name, 4, scratchBytes, cpus));
  const arrays = copyNames("programs", kernel).map((name) => spec("programArray", name, 4, 4, 1));
  return scratches.flatMap((scratch, copy) => {
    const programs = arrays[copy];
    return programs === undefined ? [] : [{ scratch, programs }];
  });
}

type MapName = keyof ReturnType<typeof mapSpecs>;

interface LoadedMaps {
  readonly shared: { readonly [name in Exclude<MapName, "marks">]: MapReference } & {
    /** Undefined where there is one copy. */
    readonly marks: MapReference | undefined;
  };
  /** Of each copy. */
  readonly copies: readonly Pick<ProgramMaps, "scratch" | "programs">[];
}

/** The maps of each copy, by its number. */
function programMaps(
  { preemption }: KernelLayout,
  { ringBytes, argsBytes }: LoadOptions,
  { shared, copies }: LoadedMaps,
  hashKey: HashKey,
  prevention: PreventionMaps | undefined,
): (copy: number) => ProgramMaps {
  const maps = {
    ...shared,
    preemption,
    hashKey,
    prevention,
    argsBytes,
    fillLevel: ringBytes / 4,
    eventsRoom: ringBytes - Math.min(SIGNALS_ROOM, ringBytes / 8),
  };
  const { marks } = shared;
  const all = copies.map((own, index): ProgramMaps => {
    const copy = marks && { isFirst: index === 0, isLast: index === copies.length - 1, marks };
    return { ...maps, ...own, copy };
  });
  return (copy) => {
    const own = all[copy];
    if (own === undefined) throw new RangeError(`no copy ${copy}`);
    return own;
  };
}

/** Stores `program` in the only slot of the array of programs, from which the others call it. */
function makeCallable(programs: BpfMap | undefined, program: BpfProgram): void {
  const value = pinned(4);
  new DataView(value.buffer).setUint32(0, program.fd, true);
  programs?.set(pinned(4), value);
}

/** Number of possible CPUs: the highest number in /sys/devices/system/cpu/possible ("0-3", "0,2-5") plus one. */
function possibleCpus(): number {
  const list = readFileSync("/sys/devices/system/cpu/possible", "utf8");
  return Number(/\d+\s*$/.exec(list)?.[0] ?? 0) + 1;
}
