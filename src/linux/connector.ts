// The process events connector (linux/cn_proc.h, linux/connector.h): its frames, and how to ask for them.
import type { FilterInstruction } from "./classic-bpf.ts";

/** linux/netlink.h: the protocol; linux/connector.h: the one group and id of process events. */
export const NETLINK_CONNECTOR = 11;
export const CN_IDX_PROC = 1;
const CN_VAL_PROC = 1;
const NLMSG_DONE = 3;

// linux/cn_proc.h: enum proc_cn_event
export const PROC_EVENT_NONE = 0;
export const PROC_EVENT_FORK = 0x1;
export const PROC_EVENT_EXEC = 0x2;
export const PROC_EVENT_UID = 0x4;
export const PROC_EVENT_EXIT = 0x8000_0000;

/**
 * Every frame is as long as this: nlmsghdr (16), cn_msg (20), proc_event (40). Offsets from the frame's start. The
 * timestamp is aligned to 4 bytes only.
 */
export const FRAME_BYTES = 76;
export const frame = {
  /** nlmsghdr.nlmsg_len */
  length: 0,
  /** nlmsghdr.nlmsg_type */
  type: 4,
  /** cn_msg.id.idx and .val */
  idx: 16,
  val: 20,
  /** cn_msg.len: of what follows it */
  dataLength: 32,
  what: 36,
  /** Two u32 halves, nanoseconds of CLOCK_MONOTONIC. */
  time: 44,
  /** NONE: the answer to an operation, an errno. */
  error: 52,
  /** FORK */
  parentTgid: 56,
  childPid: 60,
  childTgid: 64,
  /** EXEC, UID, EXIT: thread, and thread group. */
  pid: 52,
  tgid: 56,
  /** UID */
  realUid: 60,
  uid: 64,
  /** EXIT: raw wait status. */
  status: 60,
} as const;

/** True if `view` holds an event of the process connector at `start`. */
export function isProcessEvent(view: DataView, start: number, length: number): boolean {
  return (
    length >= FRAME_BYTES &&
    view.getUint16(start + frame.type, true) === NLMSG_DONE &&
    view.getUint32(start + frame.idx, true) === CN_IDX_PROC &&
    view.getUint32(start + frame.val, true) === CN_VAL_PROC &&
    view.getUint16(start + frame.dataLength, true) >= FRAME_BYTES - frame.what
  );
}

/** Nanoseconds of CLOCK_MONOTONIC of the event at `start`. */
export function eventTime(view: DataView, start: number): number {
  return view.getUint32(start + frame.time, true) + view.getUint32(start + frame.time + 4, true) * 2 ** 32;
}

/** The message that starts (LISTEN) or ends (IGNORE) the flow of events. Linux 6.6 understands more; this all do. */
export function operation(name: "listen" | "ignore"): Uint8Array {
  // enum proc_cn_mcast_op
  const op = name === "listen" ? 1 : 2;
  const message = new Uint8Array(new ArrayBuffer(40));
  const view = new DataView(message.buffer);
  view.setUint32(frame.length, message.length, true);
  view.setUint16(frame.type, NLMSG_DONE, true);
  view.setUint32(frame.idx, CN_IDX_PROC, true);
  view.setUint32(frame.val, CN_VAL_PROC, true);
  view.setUint16(frame.dataLength, 4, true);
  view.setUint32(frame.what, op, true);
  return message;
}

// linux/bpf_common.h, linux/filter.h
const LD_W_ABS = 0x20;
const JMP_JEQ_K = 0x15;
const RET_K = 0x06;

/** A filter that passes only these events: on every kernel, and without their taking room in the queue. */
export function eventFilter(events: readonly number[]): FilterInstruction[] {
  const tests = events.map((event, i): FilterInstruction => {
    const toPass = events.length - i;
    return [JMP_JEQ_K, toPass, 0, byteSwapped(event)];
  });
  return [[LD_W_ABS, 0, 0, frame.what], ...tests, [RET_K, 0, 0, 0], [RET_K, 0, 0, 0xffff_ffff]];
}

/** BPF loads a word as big-endian; the connector writes it as the machine does, which is little-endian here. */
function byteSwapped(word: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, word, true);
  return view.getUint32(0, false);
}
