// Programs at the hooks of a control group: attaching by a link, and who else is attached.
import { closeDescriptor } from "../descriptor.ts";
import { attachTypeOf, type BpfProgram, type CgroupHook, programInfo } from "./program.ts";
import { attribute, callBpf, mustCallBpf, pinned } from "./syscall.ts";

/** More programs than anybody attaches to one hook of one control group (BPF_CGROUP_MAX_PROGS). */
const MAX_PROGRAMS = 64;

/**
 * Attaches a program to a hook of the control group whose directory is open as `cgroup`, for all processes in it and
 * below, beside the programs of others, until the returned descriptor is closed (5.7). Throws a SystemCallError: EPERM
 * if another program has the hook exclusively (attached without BPF_F_ALLOW_MULTI).
 */
export function attachToCgroup(program: BpfProgram, hook: CgroupHook, cgroup: number): number {
  attribute.clear();
  attribute.u32(0, program.fd);
  attribute.u32(4, cgroup);
  attribute.u32(8, attachTypeOf(hook));
  return mustCallBpf("LINK_CREATE", program.name);
}

/** A program of anybody's. */
export interface AttachedProgram {
  readonly id: number;
  /** undefined: it may not be looked at, which takes CAP_SYS_ADMIN, or it has just been removed. */
  readonly name: string | undefined;
}

/** The programs at a hook of this control group itself; none if the kernel does not answer. */
export function programsAt(hook: CgroupHook, cgroup: number): readonly AttachedProgram[] {
  const ids = pinned(4 * MAX_PROGRAMS);
  attribute.clear();
  attribute.u32(0, cgroup);
  attribute.u32(4, attachTypeOf(hook));
  attribute.pointer(16, ids);
  attribute.u32(24, MAX_PROGRAMS);
  if (callBpf("PROG_QUERY") < 0) return [];
  const count = Math.min(attribute.getU32(24), MAX_PROGRAMS);
  return [...new Uint32Array(ids.buffer, 0, count)].map((id) => ({ id, name: programName(id) }));
}

/** The name of a loaded program; undefined if there is none of this id, or it may not be looked at. */
export function programName(id: number): string | undefined {
  attribute.clear();
  attribute.u32(0, id);
  const fd = callBpf("PROG_GET_FD_BY_ID");
  if (fd < 0) return undefined;
  try {
    return programInfo({ fd, name: `${id}` }).name;
  } finally {
    closeDescriptor(fd);
  }
}
