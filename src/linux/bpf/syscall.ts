// bpf(2) itself: the attribute buffer, the call, and its errors. Numbers and struct layouts are those of
// include/uapi/linux/bpf.h.
import { ptr } from "bun:ffi";
import { bindLibc, errno, SystemCallError } from "../libc.ts";
import { systemCall } from "../system-calls.ts";

const libc = bindLibc({ syscall: { args: ["i64", "i64", "ptr", "i64"], returns: "i64" } });

const SYS_bpf = systemCall("bpf");

/** enum bpf_cmd */
export const bpfCommands = {
  MAP_CREATE: 0,
  MAP_LOOKUP_ELEM: 1,
  MAP_UPDATE_ELEM: 2,
  MAP_DELETE_ELEM: 3,
  MAP_GET_NEXT_KEY: 4,
  PROG_LOAD: 5,
  PROG_GET_FD_BY_ID: 13,
  OBJ_GET_INFO_BY_FD: 15,
  PROG_QUERY: 16,
  RAW_TRACEPOINT_OPEN: 17,
  BTF_LOAD: 18,
  MAP_FREEZE: 22,
  LINK_CREATE: 28,
  ENABLE_STATS: 32,
  ITER_CREATE: 33,
} as const;
export type BpfCommand = keyof typeof bpfCommands;

/** Bytes of union bpf_attr that the commands here use; the kernel takes missing bytes as zero. */
const ATTRIBUTES = 128;
const NAME_LENGTH = 16;

// One attribute buffer is reused, because bpf(2) copies it before it returns.
const attributes = new Uint8Array(new ArrayBuffer(ATTRIBUTES));
const view = new DataView(attributes.buffer);

/** Writes the attributes of one call, by their offsets in union bpf_attr. */
export const attribute = {
  /** Begins a call: every attribute is zero. */
  clear(): void {
    attributes.fill(0);
  },
  u32(offset: number, value: number): void {
    view.setUint32(offset, value, true);
  },
  getU32(offset: number): number {
    return view.getUint32(offset, true);
  },
  /** The address of `buffer`, which the caller must keep alive until the call returns. */
  pointer(offset: number, buffer: Uint8Array): void {
    view.setBigUint64(offset, BigInt(ptr(buffer)), true);
  },
  /** The name of a map or program: at most 15 bytes. */
  name(offset: number, name: string): void {
    new TextEncoder().encodeInto(name, attributes.subarray(offset, offset + NAME_LENGTH - 1));
  },
};

/** Runs `command` with the attributes written before; a negative result means that errno() has the reason. */
export function callBpf(command: BpfCommand): number {
  return Number(libc.syscall(SYS_bpf, bpfCommands[command], attributes, ATTRIBUTES));
}

/** As `callBpf`; throws a SystemCallError that names the command. */
export function mustCallBpf(command: BpfCommand, subject?: string): number {
  const result = callBpf(command);
  if (result < 0) throw new SystemCallError(`bpf ${command}`, errno(), subject);
  return result;
}

/** A copy of `bytes` whose address does not change. */
export function pinnedCopy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = pinned(bytes.length);
  copy.set(bytes);
  return copy;
}

/** A buffer whose address does not change, for data that the kernel accesses through a pointer in a struct. */
export function pinned(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}
