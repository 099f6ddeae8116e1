// The map of condemned processes and its programs, which are attached while something may be condemned or stopped.
// Everything ends with `dispose`, and with the last process that keeps it, as nothing is pinned.
import { assemble } from "../../../linux/bpf/assembler.ts";
import { BPF_F_NO_PREALLOC, type BpfMap, type MapSpec } from "../../../linux/bpf/map.ts";
import { type DescriptorsByName, digestOfObjects, KernelObjects } from "../../../linux/bpf/objects.ts";
import {
  type Attachment,
  attachByType,
  type BpfProgram,
  detachedPrograms,
  type ProgramPlace,
  VerifierError,
} from "../../../linux/bpf/program.ts";
import { pinned } from "../../../linux/bpf/syscall.ts";
import { SystemCallError } from "../../../linux/libc.ts";
import type { ProcessKey } from "../../../vocabulary/process-key.ts";
import type { CondemnedProcesses, CondemnedSignal } from "../../condemned.ts";
import { copyNames } from "../copies.ts";
import type { KernelLayout } from "../kernel.ts";
import { mostProcesses } from "../process-limit.ts";
import {
  type CondemnedProgram,
  condemnedExecProgram,
  condemnedExitProgram,
  condemnedForkProgram,
} from "./code.ts";
import { condemnedProcess, condemnedSignals } from "./layout.ts";
import {
  refuseContinueProgram,
  refuseTracerProgram,
  stayStoppedProgram,
  stopAgainProgram,
} from "./standing.ts";

interface ProgramRow {
  readonly name: string;
  readonly code: CondemnedProgram;
  /** Undefined: this kernel does not have it. */
  readonly place: (kernel: KernelLayout) => ProgramPlace | undefined;
}

/**
 * In the order in which they are attached: what ends an entry comes before what makes one. Another run of one of them for
 * the same event changes nothing, so they may have copies.
 */
const carryingRows: readonly ProgramRow[] = [
  {
    name: "condemned_exit",
    code: condemnedExitProgram,
    place: ({ tracepoints }) => ({ tracepoint: tracepoints.exit }),
  },
  {
    name: "condemned_exec",
    code: condemnedExecProgram,
    place: ({ tracepoints }) => ({ tracepoint: tracepoints.exec }),
  },
  {
    name: "condemned_fork",
    code: condemnedForkProgram,
    place: ({ tracepoints }) => ({ tracepoint: tracepoints.fork }),
  },
];

/** What has stopped processes stand still. */
const standingRows: readonly ProgramRow[] = [
  {
    name: "refuse_cont",
    code: refuseContinueProgram,
    place: ({ securityFunctions }) => inPlaceOf(securityFunctions.signalCheck),
  },
  {
    name: "refuse_tracer",
    code: refuseTracerProgram,
    place: ({ securityFunctions }) => inPlaceOf(securityFunctions.traceCheck),
  },
  {
    name: "stop_again",
    code: stopAgainProgram,
    place: ({ signalTask, tracepoints }) =>
      signalTask === undefined ? undefined : { tracepoint: tracepoints.signal },
  },
  {
    name: "stay_stopped",
    code: stayStoppedProgram,
    place: ({ scheduled }) => (scheduled === undefined ? undefined : { tracepoint: scheduled }),
  },
];

export class CondemnedPrograms implements CondemnedProcesses, Disposable {
  private readonly map: BpfMap;
  private readonly objects: KernelObjects;
  private readonly resources: DisposableStack;
  /** The start of each process that has an entry by `condemn`, by its pid, until its exit is read. */
  private readonly condemned = new Map<number, number>();
  private readonly key = pinned(8);
  private readonly keyView = new DataView(this.key.buffer);
  private readonly value = pinned(condemnedProcess.size);
  private readonly valueView = new DataView(this.value.buffer);
  private readonly kernel: KernelLayout;
  /** By their names in the tables. */
  private readonly attached = new Map<string, Attachment>();
  private holds = false;

  /**
   * `left`: the descriptors of what an earlier process has loaded with the same digest, which belong to this from now on:
   * what that has condemned stays so. Throws a MissingObject if the map is not among them.
   */
  constructor(kernel: KernelLayout, left?: DescriptorsByName) {
    using stack = new DisposableStack();
    this.objects = stack.use(new KernelObjects(left));
    this.map = this.objects.map(mapSpec());
    this.kernel = kernel;
    for (const row of carryingRows)
      for (const name of copyNames(row.name, kernel)) this.attach({ ...row, name });
    this.resources = stack.move();
  }

  get programs(): ReadonlyMap<string, BpfProgram> {
    return new Map([...this.attached].map(([name, { program }]) => [name, program]));
  }

  /**
   * Whether stopped processes are held, whoever continues them, which costs some 30 ns for each switch of processes on the
   * host. Returns whether that is a change.
   */
  hold(on: boolean): boolean {
    const isChange = on !== this.holds;
    this.holds = on;
    for (const row of isChange ? standingRows : []) {
      if (on) this.attachIfPossible(row);
      else this.detach(row);
    }
    this.objects.closeUnused();
    return isChange;
  }

  /** What another process needs to go on with the programs. */
  get descriptors(): DescriptorsByName {
    return this.objects.descriptors;
  }

  condemn({ pid, startTicks, startExact }: ProcessKey, signal: CondemnedSignal): void {
    if (!startExact) return;
    this.keyView.setBigUint64(0, BigInt(pid), true);
    this.valueView.setBigUint64(condemnedProcess.startTicks, BigInt(startTicks), true);
    this.valueView.setBigUint64(condemnedProcess.signal, BigInt(condemnedSignals[signal]), true);
    this.valueView.setBigUint64(condemnedProcess.continued, 0n, true);
    if (this.map.update(this.key, this.value)) this.condemned.set(pid, startTicks);
  }

  pardon({ pid, startTicks }: ProcessKey): void {
    this.condemned.delete(pid);
    this.removeEntry(pid, startTicks);
  }

  continued({ pid, startTicks }: ProcessKey): number {
    return this.isEntryOf(pid, startTicks)
      ? Number(this.valueView.getBigUint64(condemnedProcess.continued, true))
      : 0;
  }

  /**
   * Takes note of the exit of a process. The kernel removes an entry when its process ends; but one that was made after
   * that, because the events of the process were read late, would stay until the pid is used again.
   */
  exited(pid: number): void {
    const startTicks = this.condemned.get(pid);
    if (startTicks === undefined) return;
    this.condemned.delete(pid);
    this.removeEntry(pid, startTicks);
  }

  /** The names of the programs that their tracepoints do not run any more. */
  detached(): readonly string[] {
    return detachedPrograms(this.attached.values());
  }

  [Symbol.dispose](): void {
    this.resources.dispose();
  }

  private attach({ name, code, place }: ProgramRow): void {
    const placed = place(this.kernel);
    if (placed === undefined) return;
    const program = this.objects.program(name, () => assemble(code(this.kernel, this.map)), placed);
    const link = this.objects.link(name, () => attachByType(program));
    this.attached.set(name, { program, link });
  }

  /** Where the kernel refuses to have one of its functions replaced, the others do what they can. */
  private attachIfPossible(row: ProgramRow): void {
    try {
      this.attach(row);
    } catch (error) {
      if (!(error instanceof VerifierError || error instanceof SystemCallError)) throw error;
      this.detach(row);
    }
  }

  private detach({ name }: ProgramRow): void {
    this.objects.unload(name);
    this.attached.delete(name);
  }

  /** Another process may have the pid by now, and an entry that it inherited. */
  private removeEntry(pid: number, startTicks: number): void {
    if (this.isEntryOf(pid, startTicks)) this.map.delete(this.key);
  }

  /** Whether the entry of `pid`, which is in `value` then, is that of the process that started at `startTicks`. */
  private isEntryOf(pid: number, startTicks: number): boolean {
    this.keyView.setBigUint64(0, BigInt(pid), true);
    if (!this.map.lookup(this.key, this.value)) return false;
    return this.valueView.getBigUint64(condemnedProcess.startTicks, true) === BigInt(startTicks);
  }
}

/** A digest of what CondemnedPrograms would load, see `digestOfObjects`. */
export function digestOfCondemned(kernel: KernelLayout, build: string): string {
  const programs = [...carryingRows, ...standingRows].map(({ code }) => assemble(code(kernel, { fd: 0 })));
  return digestOfObjects(build, [mapSpec()], programs);
}

/** In place of a function of the kernel, if it has it. */
function inPlaceOf(modifyReturn: number | undefined): ProgramPlace | undefined {
  return modifyReturn === undefined ? undefined : { modifyReturn };
}

function mapSpec(): MapSpec {
  return {
    type: "hash",
    name: "condemned",
    keyBytes: 8,
    valueBytes: condemnedProcess.size,
    entries: mostProcesses(),
    flags: BPF_F_NO_PREALLOC,
  };
}
