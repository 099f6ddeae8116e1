// The capture format: its constants and its header. docs/captures.md describes it byte by byte.
import * as v from "valibot";
import { sensorSources } from "../../vocabulary/sensors.ts";
import type { SensorSource } from "../event.ts";

/** First bytes of every capture; the version follows in the next one. */
export const MAGIC = new Uint8Array([0x89, 0x54, 0x57, 0x43, 0x41, 0x50, 0x0a]);
export const VERSION = 1;

/** Before each block: u32 length of the payload, u32 CRC-32 of the payload, both little-endian. */
export const BLOCK_HEAD = 8;
/** A block is closed when it has this many bytes. */
export const BLOCK_BYTES = 64 * 1024;
/** No block is longer: BLOCK_BYTES, and one entry with all of its texts at their longest. */
export const BLOCK_LIMIT = 4 * 1024 * 1024;

/** First byte of a payload. */
export const block = { header: 1, entries: 2, end: 3 } as const;

/** Low four bits of an entry's first byte; what the high four mean depends on the entry. */
export const tag = {
  reset: 0,
  text: 1,
  program: 2,
  place: 3,
  userName: 4,
  clock: 5,
  source: 6,
  fork: 7,
  exec: 8,
  user: 9,
  exit: 10,
  loss: 11,
  scanned: 12,
  scannedKernelThread: 13,
  scanEnd: 14,
} as const;

/** Bits in a first byte. */
export const bit = {
  /** fork: `startExact`; exit: the status follows; loss: the count follows. */
  first: 0x10,
  /** exec and scanned: these follow. */
  startTicks: 0x10,
  parentPid: 0x20,
  executableAge: 0x40,
  argsTruncated: 0x80,
} as const;

/** Bits of a program: what follows, and the three facts that are true, false or unknown, two bits each. */
export const programBit = { device: 1, inode: 2, deleted: 2, memfd: 4, setuid: 6 } as const;

/** Bits of a place: what follows. */
export const placeBit = {
  uid: 0x1,
  realUid: 0x2,
  gid: 0x4,
  loginUid: 0x8,
  noLoginUid: 0x10,
  sessionId: 0x20,
  noTty: 0x40,
  mountNamespace: 0x80,
  pidNamespace: 0x100,
  /** First of two bits: 0 not known, 1 false, 2 true. */
  userMounts: 0x200,
} as const;

/** Index: the number of a source in a capture. Only ever added to. */
export const sourceNumbers: readonly SensorSource[] = sensorSources;

/** Longest text in bytes; a longer one is not kept. The longest arguments that can be configured are half of it. */
export const TEXT_LIMIT = 256 * 1024;
/** How much a reader remembers at most between two resets; a writer resets when it is at the half. */
export const REMEMBERED_TEXTS = 65_536;
export const REMEMBERED_BYTES = 16 * 1024 * 1024;
/** linux/threads.h: PID_MAX_LIMIT of 64-bit kernels. */
export const PID_LIMIT = 4 * 1024 * 1024;
/** Times, start ticks and clocks lie between -TIME_LIMIT and TIME_LIMIT (ktime_t is 64 bits, signed). */
export const TIME_LIMIT = 2 ** 63;
export const HEADER_LIMIT = 16 * 1024;

const clock = v.pipe(
  v.number(),
  v.check((ns) => Math.abs(ns) <= TIME_LIMIT),
);
const schema = v.object({
  /** Version of the treewarden that made it. */
  treewarden: v.string(),
  /** /proc/sys/kernel/random/boot_id */
  boot_id: v.string(),
  /** Milliseconds since the epoch at which start ticks are 0. */
  boot_time_ms: v.number(),
  /** CLOCK_REALTIME - CLOCK_MONOTONIC at the start, ns. */
  wall_offset_ns: clock,
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns. */
  suspended_ns: clock,
  host_name: v.string(),
  /** uname -r */
  kernel: v.string(),
});

/** Where and when a capture was made, under these names as JSON. */
export type CaptureHeader = Readonly<v.InferOutput<typeof schema>>;

/** The header in `text`; undefined if it is none. */
export function parseHeader(text: string): CaptureHeader | undefined {
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
