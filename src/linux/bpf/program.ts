// BPF programs: loading, the verifier's error, attaching by type, and what the kernel reports about them.
import { closeDescriptor } from "../descriptor.ts";
import { EAGAIN, errno, SystemCallError } from "../libc.ts";
import { attribute, callBpf, mustCallBpf, pinned, pinnedCopy } from "./syscall.ts";

/**
 * What runs a program: a tracepoint, a function of the kernel, or a hook of control groups. Values: enum bpf_prog_type,
 * enum bpf_attach_type.
 */
const programTypes = {
  tracepoint: { program: 26, attach: 23 }, // TRACING, TRACE_RAW_TP
  iterator: { program: 26, attach: 28 }, // TRACING, TRACE_ITER
  modifyReturn: { program: 26, attach: 26 }, // TRACING, MODIFY_RETURN
  egress: { program: 8, attach: 1 }, // CGROUP_SKB
  socketRelease: { program: 9, attach: 34 }, // CGROUP_SOCK, CGROUP_INET_SOCK_RELEASE
  postBind4: { program: 9, attach: 12 },
  postBind6: { program: 9, attach: 13 },
  bind4: { program: 18, attach: 8 }, // CGROUP_SOCK_ADDR
  bind6: { program: 18, attach: 9 },
  connect4: { program: 18, attach: 10 },
  connect6: { program: 18, attach: 11 },
  sendmsg4: { program: 18, attach: 14 },
  sendmsg6: { program: 18, attach: 15 },
} as const;

/** A hook of control groups that programs attach to (socketRelease: 5.9, the others at the latest 4.18). */
export type CgroupHook = Exclude<keyof typeof programTypes, "tracepoint" | "iterator" | "modifyReturn">;

/** The number of what runs a program, enum bpf_attach_type. */
export function attachTypeOf(hook: keyof typeof programTypes): number {
  return programTypes[hook].attach;
}

/**
 * Where a program will run. A tracepoint, an iterator or a function is the id of its type in the kernel's BTF.
 * `modifyReturn`: before a function of the kernel, which is not run and returns what the program does, unless that is 0.
 * Of all functions only those of security modules (`security_...`, with or without `lsm=bpf`) and those made for fault
 * injection can be had (check_attach_modify_return of kernel/bpf/verifier.c; 5.7 on x86-64, 6.0 on arm64).
 */
export type ProgramPlace =
  | { readonly tracepoint: number }
  | { readonly iterator: number }
  | { readonly modifyReturn: number }
  | { readonly hook: CgroupHook };

/** Loads are repeated as often as libbpf does. */
const LOAD_AGAIN = 5;
/** Size of the buffer for the verifier's log. */
const LOG_BYTES = 1 << 20;

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

/** A loaded program. */
export class BpfProgram implements Disposable {
  readonly fd: number;
  readonly name: string;

  /**
   * Loads a program. The arguments of a tracepoint are pointers that the verifier knows the structs of, and the program
   * may read along them without a helper (5.5). `name`: at most 15 letters, digits and `_`. Throws a VerifierError with
   * the kernel's log if it is refused. In place of instructions, the descriptor of a program that is loaded already, and
   * belongs to this from now on.
   */
  constructor(name: string, instructions: Uint8Array | number, place: ProgramPlace) {
    this.name = name;
    if (typeof instructions === "number") {
      this.fd = instructions;
      return;
    }
    const code = pinnedCopy(instructions);
    const licence = pinned(16);
    // bpf_probe_read_kernel is only for programs under a licence of include/linux/license.h.
    new TextEncoder().encodeInto("Dual MIT/GPL", licence);
    let fd = load(name, code, licence, place, null);
    if (fd < 0) {
      const failure = errno();
      const log = pinned(LOG_BYTES);
      fd = load(name, code, licence, place, log);
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
  place: ProgramPlace,
  log: Uint8Array | null,
): number {
  const type = programTypes[kindOf(place)];
  attribute.clear();
  attribute.u32(0, type.program);
  attribute.u32(4, code.length / 8);
  attribute.pointer(8, code);
  attribute.pointer(16, licence);
  if (log !== null) {
    attribute.u32(24, 1);
    attribute.u32(28, log.length);
    attribute.pointer(32, log);
  }
  attribute.name(48, name);
  attribute.u32(68, type.attach);
  const typeId = typeIdOf(place);
  if (typeId !== undefined) attribute.u32(108, typeId);
  // A pending signal makes the verifier return EAGAIN.
  let fd = callBpf("PROG_LOAD");
  for (let again = 0; fd < 0 && errno() === EAGAIN && again < LOAD_AGAIN; again += 1)
    fd = callBpf("PROG_LOAD");
  return fd;
}

function kindOf(place: ProgramPlace): keyof typeof programTypes {
  if ("hook" in place) return place.hook;
  if ("iterator" in place) return "iterator";
  return "modifyReturn" in place ? "modifyReturn" : "tracepoint";
}

/** The type in the kernel's BTF that a program is made for; undefined for one of a control group. */
function typeIdOf(place: ProgramPlace): number | undefined {
  if ("hook" in place) return undefined;
  if ("iterator" in place) return place.iterator;
  return "modifyReturn" in place ? place.modifyReturn : place.tracepoint;
}

function textUntilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(bytes.subarray(0, end === -1 ? bytes.length : end));
}

/**
 * Attaches a program to the tracepoint or function that it was loaded for, until the returned descriptor is closed. Needs
 * neither tracefs nor perf. Throws a SystemCallError, for a function ENOTSUPP (524) where this machine has no trampolines.
 */
export function attachByType(program: BpfProgram): number {
  attribute.clear();
  attribute.u32(8, program.fd);
  return mustCallBpf("RAW_TRACEPOINT_OPEN", program.name);
}

/** struct bpf_link_info: type, id, prog_id, and what depends on the type. */
const LINK_INFO = 64;
const LINK_TYPE = 0;
const LINK_PROGRAM = 8;
const LINK_CGROUP = 16;
/** enum bpf_link_type */
const BPF_LINK_TYPE_CGROUP = 3;
const linkInfo = pinned(LINK_INFO);
const linkView = new DataView(linkInfo.buffer);

/** A program, and the descriptor of its attachment. */
export interface Attachment {
  readonly program: BpfProgram;
  readonly link: number;
}

/** The names of the programs that the kernel does not run any more. */
export function detachedPrograms(attachments: Iterable<Attachment>): readonly string[] {
  return [...attachments].filter((each) => !isAttached(each)).map(({ program }) => program.name);
}

/**
 * Whether `link` still attaches `program` (5.8): it is not if the descriptor was closed, or
 * if somebody has detached it (BPF_LINK_DETACH), as any process with the capability can from a control group.
 */
function isAttached({ link, program }: Attachment): boolean {
  linkInfo.fill(0);
  attribute.clear();
  attribute.u32(0, link);
  attribute.u32(4, LINK_INFO);
  attribute.pointer(8, linkInfo);
  if (callBpf("OBJ_GET_INFO_BY_FD") < 0) return false;
  const isDetached =
    linkView.getUint32(LINK_TYPE, true) === BPF_LINK_TYPE_CGROUP &&
    linkView.getBigUint64(LINK_CGROUP, true) === 0n;
  return !isDetached && linkView.getUint32(LINK_PROGRAM, true) === programInfo(program).id;
}

/** The fields of struct bpf_prog_info that are used here. */
export interface ProgramInfo {
  readonly id: number;
  readonly name: string;
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

export function programInfo(program: Pick<BpfProgram, "fd" | "name">): ProgramInfo {
  info.fill(0);
  attribute.clear();
  attribute.u32(0, program.fd);
  attribute.u32(4, PROGRAM_INFO);
  attribute.pointer(8, info);
  mustCallBpf("OBJ_GET_INFO_BY_FD", program.name);
  return {
    id: infoView.getUint32(4, true),
    name: textUntilNul(info.subarray(64, 80)),
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
  attribute.clear();
  return mustCallBpf("ENABLE_STATS");
}
