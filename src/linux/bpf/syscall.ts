// bpf(2): maps, programs, tracepoints. Numbers and struct layouts are those of include/uapi/linux/bpf.h.
import { ptr } from "bun:ffi";
import { closeDescriptor } from "../descriptor.ts";
import { bindLibc, EAGAIN, errno, SystemCallError } from "../libc.ts";
import { systemCall } from "../system-calls.ts";

const libc = bindLibc({ syscall: { args: ["i64", "i64", "ptr", "i64"], returns: "i64" } });

const SYS_bpf = systemCall("bpf");

// enum bpf_cmd
const BPF_MAP_CREATE = 0;
const BPF_MAP_LOOKUP_ELEM = 1;
const BPF_MAP_UPDATE_ELEM = 2;
const BPF_MAP_DELETE_ELEM = 3;
const BPF_MAP_GET_NEXT_KEY = 4;
const BPF_PROG_LOAD = 5;
const LOAD_AGAIN = 5;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_RAW_TRACEPOINT_OPEN = 17;
const BPF_MAP_FREEZE = 22;
const BPF_ENABLE_STATS = 32;

/** enum bpf_map_type */
export const mapTypes = { hash: 1, array: 2, programArray: 3, lruHash: 9, ringBuffer: 27 } as const;
export type MapType = keyof typeof mapTypes;

/** enum bpf_prog_type; enum bpf_attach_type. */
const BPF_PROG_TYPE_TRACING = 26;
const BPF_TRACE_RAW_TP = 23;

/** map_flags: the array's values can be mapped into this process (5.5). */
export const BPF_F_MMAPABLE = 0x400;

/** Bytes of union bpf_attr that the commands here use; the kernel takes missing bytes as zero. */
const ATTRIBUTES = 128;
const NAME_LENGTH = 16;
/** Size of the buffer for the verifier's log. */
const LOG_BYTES = 1 << 20;

// One attribute buffer and one info buffer are reused, because bpf(2) copies both before it returns.
const attributes = new Uint8Array(new ArrayBuffer(ATTRIBUTES));
const view = new DataView(attributes.buffer);

/** The verifier refused a program. `log` names the instruction and the reason. */
export class VerifierError extends Error {
  override readonly name = "VerifierError";
  readonly program: string;
  readonly errno: number;
  readonly log: string;

  constructor(program: string, number: number, log: string) {
    const last = log.trimEnd().split("\n").slice(-4, -1).join("; ");
    super(
      `the kernel refused the program ${program}: ${new SystemCallError("bpf", number).message}${last === "" ? "" : `: ${last}`}`,
    );
    this.program = program;
    this.errno = number;
    this.log = log;
  }
}

function bpf(command: number): number {
  return Number(libc.syscall(SYS_bpf, command, attributes, ATTRIBUTES));
}

/** Runs `command`; throws a SystemCallError that names it. */
function must(command: number, name: string, subject?: string): number {
  const result = bpf(command);
  if (result < 0) throw new SystemCallError(`bpf ${name}`, errno(), subject);
  return result;
}

/** The address of `buffer`, which the caller must keep alive until the call returns. */
function setPointer(offset: number, buffer: Uint8Array): void {
  view.setBigUint64(offset, BigInt(ptr(buffer)), true);
}

function setName(offset: number, name: string): void {
  new TextEncoder().encodeInto(name, attributes.subarray(offset, offset + NAME_LENGTH - 1));
}

export interface MapSpec {
  readonly type: MapType;
  /** At most 15 letters, digits and `_`, for tools that list maps. */
  readonly name: string;
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Number of elements; for a ring buffer its size in bytes, a power of two and a multiple of the page size. */
  readonly entries: number;
  readonly flags?: number;
}

/** A map, closed with `using`. The kernel keeps it while a program or a mapping uses it. */
export class BpfMap implements Disposable {
  readonly fd: number;
  readonly spec: MapSpec;

  constructor(spec: MapSpec) {
    attributes.fill(0);
    view.setUint32(0, mapTypes[spec.type], true);
    view.setUint32(4, spec.keyBytes, true);
    view.setUint32(8, spec.valueBytes, true);
    view.setUint32(12, spec.entries, true);
    view.setUint32(16, spec.flags ?? 0, true);
    setName(28, spec.name);
    this.fd = must(BPF_MAP_CREATE, "MAP_CREATE", spec.name);
    this.spec = spec;
  }

  /** Copies the value of `key` into `value`; false if there is none. Both buffers must be made by `pinned`. */
  lookup(key: Uint8Array, value: Uint8Array): boolean {
    this.element(key, value);
    return bpf(BPF_MAP_LOOKUP_ELEM) >= 0;
  }

  /** Sets `key` to `value`; false if the map does not take it (full, busy, or no longer permitted). */
  update(key: Uint8Array, value: Uint8Array): boolean {
    this.element(key, value);
    return bpf(BPF_MAP_UPDATE_ELEM) >= 0;
  }

  /** As `update`; throws a SystemCallError if the map does not take it. */
  set(key: Uint8Array, value: Uint8Array): void {
    this.element(key, value);
    must(BPF_MAP_UPDATE_ELEM, "MAP_UPDATE_ELEM", this.spec.name);
  }

  /** Removes `key`; false if it was not there. */
  delete(key: Uint8Array): boolean {
    this.element(key, null);
    return bpf(BPF_MAP_DELETE_ELEM) >= 0;
  }

  /** Removes all elements of a hash. */
  clear(): void {
    const key = pinned(this.spec.keyBytes);
    for (;;) {
      // Without a key, the kernel gives the first.
      attributes.fill(0);
      view.setUint32(0, this.fd, true);
      setPointer(16, key);
      if (bpf(BPF_MAP_GET_NEXT_KEY) < 0) return;
      this.delete(key);
    }
  }

  /** From now on only programs can change the map, no system call of any process (5.2). */
  freeze(): void {
    attributes.fill(0);
    view.setUint32(0, this.fd, true);
    must(BPF_MAP_FREEZE, "MAP_FREEZE", this.spec.name);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }

  private element(key: Uint8Array, value: Uint8Array | null): void {
    attributes.fill(0);
    view.setUint32(0, this.fd, true);
    setPointer(8, key);
    if (value !== null) setPointer(16, value);
  }
}

/** A buffer whose address does not change, for data that the kernel accesses through a pointer in a struct. */
export function pinned(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

/** A loaded program. */
export class BpfProgram implements Disposable {
  readonly fd: number;
  readonly name: string;

  /**
   * Loads a program for the tracepoint whose type in the kernel's BTF is `tracepoint`: its arguments are pointers that
   * the verifier knows the structs of, and it may read along them without a helper (5.5). `name`: at most 15 letters,
   * digits and `_`. Throws a VerifierError with the kernel's log if it is refused.
   */
  constructor(name: string, instructions: Uint8Array, tracepoint: number) {
    this.name = name;
    const code = pinned(instructions.length);
    code.set(instructions);
    const licence = pinned(16);
    // bpf_probe_read_kernel is only for programs under a licence of include/linux/license.h.
    new TextEncoder().encodeInto("Dual MIT/GPL", licence);
    let fd = load(name, code, licence, tracepoint, null);
    if (fd < 0) {
      const failure = errno();
      const log = pinned(LOG_BYTES);
      fd = load(name, code, licence, tracepoint, log);
      if (fd < 0) throw new VerifierError(name, failure, textUntilNul(log));
    }
    this.fd = fd;
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}

function load(
  name: string,
  code: Uint8Array,
  licence: Uint8Array,
  tracepoint: number,
  log: Uint8Array | null,
): number {
  attributes.fill(0);
  view.setUint32(0, BPF_PROG_TYPE_TRACING, true);
  view.setUint32(4, code.length / 8, true);
  setPointer(8, code);
  setPointer(16, licence);
  if (log !== null) {
    view.setUint32(24, 1, true);
    view.setUint32(28, log.length, true);
    setPointer(32, log);
  }
  setName(48, name);
  view.setUint32(68, BPF_TRACE_RAW_TP, true);
  view.setUint32(108, tracepoint, true);
  // A pending signal makes the verifier return EAGAIN; the load is repeated as often as libbpf does.
  let fd = bpf(BPF_PROG_LOAD);
  for (let again = 0; fd < 0 && errno() === EAGAIN && again < LOAD_AGAIN; again += 1) fd = bpf(BPF_PROG_LOAD);
  return fd;
}

function textUntilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end === -1 ? bytes.length : end));
}

/** Attaches a program to its tracepoint until the returned descriptor is closed. Needs neither tracefs nor perf. */
export function attachTracepoint(program: BpfProgram): number {
  attributes.fill(0);
  view.setUint32(8, program.fd, true);
  return must(BPF_RAW_TRACEPOINT_OPEN, "RAW_TRACEPOINT_OPEN", program.name);
}

/** struct bpf_link_info: type, id, prog_id, and what depends on the type. */
const LINK_INFO = 64;
const LINK_PROGRAM = 8;
const linkInfo = pinned(LINK_INFO);
const linkView = new DataView(linkInfo.buffer);

/** The id of the program that is attached by `link`; undefined if the descriptor is closed or is no attachment (5.8). */
export function attachedProgram(link: number): number | undefined {
  linkInfo.fill(0);
  attributes.fill(0);
  view.setUint32(0, link, true);
  view.setUint32(4, LINK_INFO, true);
  setPointer(8, linkInfo);
  return bpf(BPF_OBJ_GET_INFO_BY_FD) < 0 ? undefined : linkView.getUint32(LINK_PROGRAM, true);
}

/** The fields of struct bpf_prog_info that are used here. */
export interface ProgramInfo {
  readonly id: number;
  /** Bytes of machine code; 0: interpreted. */
  readonly machineBytes: number;
  /** Nanoseconds and runs while statistics were enabled (`enableStatistics`). */
  readonly runNanoseconds: number;
  readonly runs: number;
  /** Runs that the kernel skipped because the program was already running on that CPU (5.12, else 0). */
  readonly missed: number;
  /** Instructions the verifier looked at (5.16, else 0); a million is the limit. */
  readonly verifiedInstructions: number;
}

const PROGRAM_INFO = 232;
const info = pinned(PROGRAM_INFO);
const infoView = new DataView(info.buffer);

export function programInfo(program: BpfProgram): ProgramInfo {
  info.fill(0);
  attributes.fill(0);
  view.setUint32(0, program.fd, true);
  view.setUint32(4, PROGRAM_INFO, true);
  setPointer(8, info);
  must(BPF_OBJ_GET_INFO_BY_FD, "OBJ_GET_INFO_BY_FD", program.name);
  return {
    id: infoView.getUint32(4, true),
    machineBytes: infoView.getUint32(16, true),
    runNanoseconds: Number(infoView.getBigUint64(192, true)),
    runs: Number(infoView.getBigUint64(200, true)),
    missed: Number(infoView.getBigUint64(208, true)),
    verifiedInstructions: infoView.getUint32(216, true),
  };
}

/**
 * Makes the kernel measure every program's run time until the returned descriptor is closed (5.8); about 20 ns a run.
 */
export function enableStatistics(): number {
  attributes.fill(0);
  return must(BPF_ENABLE_STATS, "ENABLE_STATS");
}
