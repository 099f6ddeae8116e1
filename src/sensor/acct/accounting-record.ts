// One record of process accounting, version 3 (acct(5); linux/acct.h, struct acct_v3). Bytes in, a value out.

import { decodeText } from "../../linux/text.ts";
import { TICKS_PER_SECOND } from "../../linux/ticks.ts";

export const RECORD_BYTES = 64;
const VERSION = 3;
/** linux/acct.h, ACCT_BYTEORDER: set in the version by a big-endian kernel. */
const BIG_ENDIAN = 0x80;

/** Offsets in struct acct_v3, native endian. */
const field = {
  flag: 0,
  version: 1,
  tty: 2,
  exitcode: 4,
  uid: 8,
  gid: 12,
  pid: 16,
  ppid: 20,
  btime: 24,
  etime: 28,
  comm: 48,
} as const;
const COMM_BYTES = 16;

// linux/acct.h
const AFORK = 0x01;
const ACORE = 0x08;

export interface AcctRecord {
  /** It forked and never ran an exec of its own. */
  readonly forkedOnly: boolean;
  /** Raw wait status, wait(2). */
  readonly status: number;
  /** Real user and group. */
  readonly realUid: number;
  readonly realGid: number;
  readonly pid: number;
  /** Its parent when it ended: a reaper, for an orphan. */
  readonly ppid: number;
  /** Start, whole seconds since the epoch; may be a second late. */
  readonly btime: number;
  /** Seconds that it lived, to a hundredth. */
  readonly seconds: number;
  /** Controlling terminal in the kernel's old encoding (major << 8 | minor); 0 if none. */
  readonly tty: number;
  readonly comm: string;
}

export type AcctFailure = { readonly failure: string };

/** The record at `at`, of which all bytes are there. */
export function parseAccountingRecord(bytes: Uint8Array, at = 0): AcctRecord | AcctFailure {
  const version = bytes[at + field.version] ?? 0;
  if ((version & BIG_ENDIAN) !== 0) return { failure: "a record of a big-endian kernel" };
  if (version !== VERSION) return { failure: `a record of version ${version}, not of version ${VERSION}` };
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, RECORD_BYTES);
  const word = (offset: number): number => view.getUint32(offset, true);
  const flag = view.getUint8(field.flag);
  const etime = view.getFloat32(field.etime, true);
  return {
    forkedOnly: (flag & AFORK) !== 0,
    // The kernel keeps "dumped core" apart from the status that wait(2) gives.
    status: word(field.exitcode) | ((flag & ACORE) === 0 ? 0 : 0x80),
    realUid: word(field.uid),
    realGid: word(field.gid),
    pid: word(field.pid),
    ppid: word(field.ppid),
    btime: word(field.btime),
    seconds: etime >= 0 && etime < 2 ** 32 ? etime / TICKS_PER_SECOND : 0,
    tty: view.getUint16(field.tty, true),
    comm: decodeComm(bytes, at + field.comm),
  };
}

function decodeComm(bytes: Uint8Array, start: number): string {
  let end = start;
  while (end < start + COMM_BYTES && bytes[end] !== 0) end += 1;
  return decodeText(bytes, start, end);
}
